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

"""oslo.messaging's in-memory transport, driven by events.

The transport looks into each queue every 50 ms, per listener; with hundreds
of hosts that alone keeps a core busy. Here a delivery wakes the listeners
that it is for. Messages also become as strict as on a wire: the receiver gets
a copy made of JSON, never the sender's own objects.
"""

import collections
import threading
import time
import typing

from oslo_messaging._drivers import base
from oslo_messaging._drivers import impl_fake
from oslo_serialization import jsonutils

# For a listener that waits without a deadline: see whether it was stopped.
_LONGEST_WAIT = 60.0

# (exchange, topic, server) -> what to set when a message comes; the server is
# empty for the queue that all servers of a topic share.
_Key = tuple[str, str, str]
_waiting: dict[_Key, set[threading.Event]] = collections.defaultdict(set)
_waiting_lock = threading.Lock()


def _keys(listener: typing.Any) -> list[_Key]:
    exchanges = listener._exchange_manager
    return [
        (
            exchanges.get_exchange(target.exchange).name,
            target.topic,
            target.server or '',
        )
        for target in listener._targets
    ]


@base.batch_poll_helper
def _poll(self: typing.Any, timeout: float | None = None) -> object:
    deadline = None if timeout is None else time.monotonic() + timeout
    while not self._stopped.is_set():
        self._delivered.clear()
        for target in self._targets:
            exchange = self._exchange_manager.get_exchange(target.exchange)
            context, message, reply, requeue = exchange.poll(
                target, self._pool
            )
            if message is not None:
                return impl_fake.FakeIncomingMessage(
                    context, message, reply, requeue
                )
        pause = _LONGEST_WAIT
        if deadline is not None:
            pause = min(pause, deadline - time.monotonic())
        if pause <= 0 or self._stopped.is_set():
            break
        self._delivered.wait(pause)
    return None


def install() -> None:
    """Change the transport's listener. Call it before importing Nova."""
    begin = impl_fake.FakeListener.__init__
    stop = impl_fake.FakeListener.stop
    deliver = impl_fake.FakeExchange.deliver_message
    send = impl_fake.FakeDriver._send

    def begin_to_wait(
        self: typing.Any, *args: typing.Any, **kwargs: typing.Any
    ) -> None:
        begin(self, *args, **kwargs)
        self._delivered = threading.Event()
        with _waiting_lock:
            for key in _keys(self):
                _waiting[key].add(self._delivered)

    def stop_waiting(self: typing.Any) -> None:
        stop(self)
        self._delivered.set()
        with _waiting_lock:
            for key in _keys(self):
                _waiting[key].discard(self._delivered)

    def deliver_and_wake(
        self: typing.Any,
        topic: str,
        *args: typing.Any,
        server: str | None = None,
        fanout: bool = False,
        **kwargs: typing.Any,
    ) -> None:
        deliver(self, topic, *args, server=server, fanout=fanout, **kwargs)
        with _waiting_lock:
            for (exchange, of_topic, of_server), events in _waiting.items():
                if (exchange, of_topic) == (self.name, topic) and (
                    bool(of_server) if fanout else of_server == (server or '')
                ):
                    for event in events:
                        event.set()

    def send_copy(
        self: typing.Any,
        target: object,
        context: object,
        message: object,
        *args: typing.Any,
        **kwargs: typing.Any,
    ) -> object:
        copy = jsonutils.loads(jsonutils.dumps(message))
        return send(self, target, context, copy, *args, **kwargs)

    # Not a class of its own: until 2024.1 the class asks for its base by name.
    impl_fake.FakeListener.__init__ = begin_to_wait
    impl_fake.FakeListener.poll = _poll
    impl_fake.FakeListener.stop = stop_waiting
    impl_fake.FakeExchange.deliver_message = deliver_and_wake
    impl_fake.FakeDriver._send = send_copy
