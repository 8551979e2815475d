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
"""What the releases of OpenStack want done differently, and all of it.

Nova can run on native threads from 2026.1 on and does so in this cloud; before
that it knows of nothing but eventlet.
"""

import importlib
import importlib.metadata
import typing

_nova = int(importlib.metadata.version('nova').partition('.')[0])
_2025_1, _2026_1, _2026_2 = 31, 33, 34


def patch() -> None:
    """Have threads or eventlet: before anything else is imported.

    Nova wants to be told before anything is loaded that could load eventlet,
    and eventlet to replace modules before anybody has taken something out of
    them.
    """
    from nova import monkey_patch

    # To be imported is all that it takes with eventlet.
    if _nova >= _2026_1:
        monkey_patch.patch(backend='threading')


def nova_application() -> typing.Any:
    """Nova's API; this reads the configuration."""
    from nova.api.openstack import wsgi_app

    names = ('osapi_compute', 'nova-api')
    return wsgi_app.init_application(*names[: 2 if _nova >= _2026_1 else 1])


def nova_topics(binary: str) -> dict[str, str]:
    """On which topics a service of Nova listens."""
    from nova.compute import rpcapi

    if binary == 'nova-compute' and _nova >= _2026_1:
        return {'topic': rpcapi.RPC_TOPIC, 'topic_alt': rpcapi.RPC_TOPIC_ALT}
    return {'topic': binary.removeprefix('nova-')}


def executors() -> typing.Any:
    """How each host gets threads of its own."""
    name = 'executors' if _nova >= _2026_2 else 'executors_before_2026_2'
    return importlib.import_module(f'cloud_services.{name}')


def keystone_application() -> typing.Any:
    """Keystone; this reads the configuration and makes the engine."""
    if _nova >= _2025_1:
        from keystone.wsgi import api

        return api.application
    from keystone.server import wsgi

    return wsgi.initialize_public_application()


def placement_application() -> typing.Any:
    """Placement, likewise."""
    if _nova >= _2025_1:
        from placement.wsgi import api

        return api.application
    from placement import wsgi

    return wsgi.init_application()


def glance_application() -> typing.Any:
    """Glance, likewise."""
    if _nova >= _2025_1:
        from glance.wsgi import api

        return api.application
    from glance.common import wsgi_app

    return wsgi_app.init_app()
