#   Licensed under the Apache License, Version 2.0 (the "License"); you may
#   not use this file except in compliance with the License. You may obtain
#   a copy of the License at
#
#       http://www.apache.org/licenses/LICENSE-2.0
#
#   Unless required by applicable law or agreed to in writing, software
#   distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#   WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#   License for the specific language governing permissions and limitations
#   under the License.

"""What text may go into Nova, and how text that came from Nova is shown."""

import re
from urllib import parse
import uuid

#: Nova's limit for a disabled_reason, and for an aggregate's name, metadata
#: keys and values, in characters.
NOVA_LIMIT = 255

#: A ticket URL is never shortened, and has to leave room for the reason in
#: the service's disabled_reason.
URL_LIMIT = 200

_THREE_BYTES = 0xFFFF
_ID = re.compile('[0-9A-Za-z-]{1,64}')
_CREDENTIALS = re.compile(r'(?<=://)[^/\s]+(?=@)')


def check_text(text: str) -> str:
    """Check free text that is going to be stored in Nova.

    :param text: what the operator typed.
    :returns: the text without blanks around it.
    :raises ValueError: if nothing is left, it is too long, or holds
        characters that would disturb a terminal or Nova's database.
    """
    text = text.strip()
    if not text:
        raise ValueError('must not be empty')
    if len(text) > NOVA_LIMIT:
        raise ValueError(
            f'has {len(text)} characters, and Nova takes at most {NOVA_LIMIT}'
        )
    check_printable(text)
    for char in text:
        if ord(char) > _THREE_BYTES:
            raise ValueError(
                f'holds {char!r}, which Nova cannot store where its database '
                'is a MySQL of three-byte characters'
            )
    return text


def check_printable(text: str) -> str:
    """Check text that is shown, or handed on, as it is.

    :param text: anything.
    :returns: the text.
    :raises ValueError: if it holds characters that would disturb a terminal.
    """
    for char in text:
        if not char.isprintable():
            raise ValueError(
                f"holds the control or invisible character '{escape(char)}'"
            )
    return text


def check_url(url: str) -> str:
    """Check the URL of a ticket.

    :param url: what the operator typed.
    :returns: the URL.
    :raises ValueError: unless it is an http or https URL with a host, without
        credentials, and at most :data:`URL_LIMIT` characters long.
    """
    url = check_text(url)
    if any(char.isspace() for char in url):
        raise ValueError('holds a blank')
    try:
        parts = parse.urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as exc:
        # the cause may repeat a password
        raise ValueError('is not a URL') from exc
    if '@' in parts.netloc:
        raise ValueError('holds credentials, and many people can read it')
    if parts.scheme not in ('http', 'https') or not host:
        raise ValueError('is not an http or https URL with a host')
    if len(url) > URL_LIMIT:
        raise ValueError(
            f'has {len(url)} characters: at most {URL_LIMIT} fit into the '
            "service's disabled_reason"
        )
    return url


def url_or_none(url: str | None) -> str | None:
    """The URL of a ticket that anybody may have written, if it is one.

    :param url: anything, or None.
    :returns: the URL; None unless :func:`check_url` takes it.
    """
    try:
        return check_url(url) if url else None
    except ValueError:
        return None


def is_uuid(text: str) -> bool:
    """Whether text is a UUID as Nova writes them.

    :param text: anything.
    """
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def is_id(text: str) -> bool:
    """Whether text may be the ID of a server or a project.

    :param text: anything, such as a part of a metadata key.
    """
    return _ID.fullmatch(text) is not None


def escape(text: str) -> str:
    """Make text harmless to a terminal, whoever wrote it.

    :param text: anything.
    :returns: the same with every control or invisible character written as
        an escape, such as ``\\x1b``.
    """
    return ''.join(
        char
        if char.isprintable()
        else char.encode('unicode_escape').decode('ascii')
        for char in text
    )


def masked(text: str) -> str:
    """Make text that is about a request fit for everybody to read.

    :param text: anything.
    :returns: the same with ``***`` for the credentials in URLs, which an
        endpoint may hold.
    """
    return _CREDENTIALS.sub('***', text)


def storable(text: str) -> str:
    """Make text that nobody has checked fit to be stored in Nova.

    :param text: such as the name of a user.
    :returns: the text with escapes for what :func:`check_text` refuses, and
        no longer than Nova takes.
    """
    plain = ''.join(
        char
        if ord(char) <= _THREE_BYTES
        else char.encode('unicode_escape').decode('ascii')
        for char in escape(text)
    )
    return shorten(plain, NOVA_LIMIT)


def shorten(text: str, limit: int) -> str:
    """Cut text to ``limit`` characters, 1 or more, and show the cut."""
    return text if len(text) <= limit else text[: limit - 1] + '…'
