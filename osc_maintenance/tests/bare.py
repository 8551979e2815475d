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

"""The least that a client can do: ask for these paths, and read the JSON.

Its input is JSON, a list of objects: ``url``, ``headers``, the ``paths``, and
how many are asked for at once, ``width``.
"""

from concurrent import futures
import http.client
import json
import sys
import threading
import typing
from urllib import parse

_TIMEOUT = 300


def ask(told: dict[str, typing.Any]) -> None:
    """Ask for every path, on as many connections as there are threads."""
    where = parse.urlsplit(told['url'])
    own = threading.local()

    def get(path: str) -> None:
        if not hasattr(own, 'connection'):
            own.connection = http.client.HTTPConnection(
                where.hostname or '', where.port, timeout=_TIMEOUT
            )
        own.connection.request('GET', path, headers=told['headers'])
        json.loads(own.connection.getresponse().read())

    with futures.ThreadPoolExecutor(told['width']) as executor:
        list(executor.map(get, told['paths']))


if __name__ == '__main__':
    for each in json.load(sys.stdin):
        ask(each)
