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

"""Requests side by side, on threads that never keep a Ctrl-C waiting.

concurrent.futures' own pools join their threads at exit, so a Nova that does
not answer would have to time out before an interrupted command could end.
"""

import collections.abc
from concurrent import futures
import threading
import typing

#: Requests that are under way at once.
WIDTH = 8

_T = typing.TypeVar('_T')
_R = typing.TypeVar('_R')


def start(
    function: collections.abc.Callable[[], _R],
) -> futures.Future[_R]:
    """Call a function on a thread of its own.

    :param function: what to call.
    :returns: its result, to come.
    """
    future: futures.Future[_R] = futures.Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as exc:
            future.set_exception(exc)

    threading.Thread(target=run, daemon=True).start()
    return future


def each(
    function: collections.abc.Callable[[_T], _R],
    items: collections.abc.Iterable[_T],
) -> list[_R]:
    """Call a function for each item, :data:`WIDTH` at a time.

    :param function: what to call.
    :param items: what to call it with.
    :returns: the results, in the order of the items.
    :raises Exception: what the function raised, for one of the items.
    """
    items = list(items)
    results: dict[int, _R] = {}
    todo = iter(range(len(items)))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                index = next(todo, None)
            if index is None:
                return
            results[index] = function(items[index])

    workers = [start(work) for _ in range(min(WIDTH, len(items)))]
    for worker in workers:
        worker.result()
    return [results[index] for index in range(len(items))]


def both(
    first: collections.abc.Callable[[], _T],
    second: collections.abc.Callable[[], _R],
) -> tuple[_T, _R]:
    """Call two functions at the same time.

    :param first: called on this thread.
    :param second: called on another one.
    :returns: both results.
    :raises Exception: what one of them raised, the first one's if both did.
    """
    later = start(second)
    return first(), later.result()
