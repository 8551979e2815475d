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

"""How Nova is asked, and what becomes of its refusals."""

import collections.abc
import contextlib
import time
import typing
from urllib import parse

from keystoneauth1 import exceptions as ksa_exceptions
from novaclient import exceptions as nova_exceptions
from osc_lib import exceptions

from osc_maintenance import fields
from osc_maintenance import text

SERVER_ERROR = 500
_REFUSED = 400
_NOT_FOUND = 404
_NOT_ACCEPTABLE = 406
_CONFLICT = 409
_TOO_MANY = 429
#: A 406 is that of an older Nova behind the same address, as the microversion
#: was agreed upon; a 404 or 409 that has no class of its own is not Nova's.
_PASSING = (_TOO_MANY, _NOT_ACCEPTABLE, _NOT_FOUND, _CONFLICT)
#: More of them no listing has: a page has up to 1,000 items by default.
PAGES = 10_000
#: How much is shown of a refusal that is not in Nova's form.
_SHOWN = 200
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)


class OvertakenError(exceptions.CommandError):
    """Somebody else was quicker: look again, and decide again."""


class TransientError(exceptions.CommandError):
    """Nova did not answer, or not now: asking again later may help."""


class DownCellError(TransientError):
    """Nova knows of a server, and cannot look into the cell that it is in."""


_T = typing.TypeVar('_T')


def patiently(
    function: collections.abc.Callable[[], _T],
    pause: collections.abc.Callable[[float], object] = time.sleep,
) -> _T:
    """Ask again where Nova does not answer, for half a minute.

    :param function: asks, in a way that may be repeated.
    :param pause: waits for some seconds.
    :returns: what it returns.
    :raises TransientError: if Nova goes on not answering.
    """
    for seconds in _PAUSES:
        with contextlib.suppress(TransientError):
            return function()
        pause(seconds)
    return function()


def by_status(
    request: collections.abc.Callable[..., typing.Any],
) -> collections.abc.Callable[..., typing.Any]:
    """Let a refusal be what its status says, whoever has written it.

    novaclient does not look at the status where the JSON of a load balancer,
    say, is not in the form of Nova's. That something is not there is for Nova
    to say: a server is not gone because a balancer knows no way to it. Its
    page for people is no answer either, whatever the status.

    :param request: of a novaclient HTTP client.
    :returns: what is to take its place.
    """

    def asking(url: str, method: str, **kwargs: typing.Any) -> typing.Any:
        response, body = request(url, method, raise_exc=False, **kwargs)
        status = response.status_code
        if status < _REFUSED:
            if method == 'GET' and body is None:
                raise nova_exceptions.ClientException(
                    status, f'that is no JSON object: {_page(response)}'
                )
            return response, body
        words = _words(body)
        # Nova knows no conflict where nothing is changed
        others = status == _CONFLICT or (
            # a gateway tells of its routes in a flat form
            status == _NOT_FOUND and (words is None or 'message' in body)
        )
        if words is None:
            words = _page(response)
        if others and method == 'GET':
            raise nova_exceptions.ClientException(status, words)
        told = {'message': words}
        raise nova_exceptions.from_response(response, told, url, method)

    return asking


def _page(response: typing.Any) -> str:
    """The beginning of what came in the place of an answer."""
    raw = response.content.decode(errors='replace')
    return text.shorten(' '.join(raw.split()), _SHOWN)


def _words(body: typing.Any) -> str | None:
    """What Nova says in a refusal; None if it is in another form."""
    with contextlib.suppress(*fields.UNREADABLE):
        if 'message' not in body:
            (body,) = body.values()
        return fields.needed(body, 'message', str)
    return None


@contextlib.contextmanager
def explained(subject: str) -> collections.abc.Iterator[None]:
    """Turn what a request raises into one line for the user.

    :param subject: what the request is about.
    :raises TransientError: if it may go away by itself.
    :raises CommandError: the subject, and what is wrong in the cloud's words.
    """
    try:
        yield
    except (
        nova_exceptions.ClientException,
        ksa_exceptions.ClientException,
    ) as exc:
        told = str(exc)
        if isinstance(exc, ksa_exceptions.HttpError) and exc.url:
            # what Nova refuses is novaclient's: this one is of Keystone
            told = f'{exc.url}: {told}'
        told = text.masked(told).replace('\n', ' ')
        words = text.escape(f'{subject}: {told}')
        if _passing(exc):
            raise TransientError(words) from exc
        raise exceptions.CommandError(words) from exc
    except (*fields.UNREADABLE, nova_exceptions.UnsupportedVersion) as exc:
        words = f'{subject}: {text.masked(fields.unreadable(exc))}'
        raise exceptions.CommandError(text.escape(words)) from exc


def _passing(exc: Exception) -> bool:
    """Whether a failure says nothing of the request itself."""
    if isinstance(exc, (nova_exceptions.NotFound, nova_exceptions.Conflict)):
        return False
    if isinstance(exc, nova_exceptions.ClientException):
        # one that is no refusal has come from somewhere else
        return not _REFUSED <= exc.code < SERVER_ERROR or exc.code in _PASSING
    if isinstance(exc, ksa_exceptions.HttpError):
        status = exc.http_status
        return bool(status >= SERVER_ERROR or status == _TOO_MANY)
    return isinstance(
        exc,
        ksa_exceptions.ConnectFailure
        | ksa_exceptions.RetriableConnectionFailure
        | ksa_exceptions.UnknownConnectionError,
    )


def pages(
    client: typing.Any, key: str, path: str, most: int = 0, /, **query: str
) -> collections.abc.Iterator[typing.Any]:
    """Every item of a listing, page by page.

    novaclient's own paging asks once more when all has been told.

    :param client: a novaclient client.
    :param key: where the items are in the answer.
    :param path: the listing, with a query or else ``query``.
    :param most: how many items a page has at most that Nova is believed to be
        the last one, where it leaves some out once it has cut the page; 0
        believes it of any.
    :returns: the items as Nova gives them.
    :raises FieldError: if that is no listing, or one that has no end.
    """
    markers: set[str] = set()
    for _ in range(PAGES):
        joint = '&' if '?' in path else '?'
        url = f'{path}{joint}{parse.urlencode(query)}' if query else path
        _response, body = client.client.get(url)
        items = fields.needed(body, key, list)
        yield from items
        links = fields.listed(body, f'{key}_links', dict)
        if not any(link['rel'] == 'next' for link in links) and (
            not most or len(items) <= most
        ):
            return
        last = items[-1]
        marker = str(last.get('uuid') or last['id'])
        if marker in markers:
            raise fields.FieldError(f'its pages come again from {marker} on')
        markers.add(marker)
        query['marker'] = marker
    raise fields.FieldError(f'it has more than {PAGES:,} pages')
