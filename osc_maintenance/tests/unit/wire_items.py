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

"""What a small cloud answers, as JSON: two hosts, and two servers on one."""

import typing

Json = dict[str, typing.Any]

HERE, THERE = 'compute1', 'compute2'
WEB = '11111111-0000-4000-8000-00000000000a'
DB = '11111111-0000-4000-8000-00000000000b'
NODES = {
    HERE: '22222222-0000-4000-8000-000000000001',
    THERE: '22222222-0000-4000-8000-000000000002',
}
_PROJECT = '6f70656e737461636b20697320666f72'
_USER = '757365727320617265207065726f6e73'
_IMAGE = '33333333-0000-4000-8000-000000000001'

VERSION: Json = {
    'version': {
        'id': 'v2.1',
        'status': 'CURRENT',
        'version': '2.96',
        'min_version': '2.1',
        'updated': '2013-07-23T11:33:21Z',
        'links': [{'rel': 'self', 'href': 'http://compute.test/v2.1/'}],
    }
}


def services() -> list[Json]:
    """The compute services, of which all are enabled and up."""
    return [
        {
            'id': f'44444444-0000-4000-8000-00000000000{number}',
            'binary': 'nova-compute',
            'host': host,
            'zone': 'nova',
            'status': 'enabled',
            'state': 'up',
            'disabled_reason': None,
            'forced_down': False,
            'updated_at': '2026-11-20T05:59:50.000000',
        }
        for number, host in enumerate((HERE, THERE), 1)
    ]


def servers() -> list[Json]:
    """One that runs, whose owner has been told; and one that is stopped."""
    return [
        _server(WEB, 'web', 'active', 1, fault=None),
        _server(
            DB,
            'db',
            'stopped',
            4,
            fault={'message': 'no valid host', 'code': 500},
        ),
    ]


def _server(
    server: str, name: str, state: str, power: int, fault: Json | None
) -> Json:
    more = {'fault': fault} if fault else {}
    return {
        'id': server,
        'name': name,
        'tenant_id': _PROJECT,
        'user_id': _USER,
        'status': 'ACTIVE' if state == 'active' else 'SHUTOFF',
        'OS-EXT-STS:vm_state': state,
        'OS-EXT-STS:power_state': power,
        'OS-EXT-STS:task_state': None,
        'OS-EXT-SRV-ATTR:host': HERE,
        'locked': False,
        'locked_reason': None,
        'pinned_availability_zone': None,
        'progress': 0,
        'flavor': {
            'ram': 512,
            'disk': 10,
            'ephemeral': 0,
            'extra_specs': {'hw:cpu_policy': 'shared'},
        },
        'image': {'id': _IMAGE, 'links': []},
        'metadata': {
            'maintenance:id': '3f9a1c2e',
            'maintenance:action': 'live-migrate',
            'maintenance:window_start': '2026-11-20T06:00:00Z',
            'maintenance:window_end': '2026-11-20T09:00:00Z',
            'maintenance:reply_by': '2026-11-20T08:00:00Z',
            'maintenance:replies': 'move keep own-action not-ready',
            'maintenance:ticket_url': 'https://tickets.example.com/7',
            'maintenance:reply': '3f9a1c2e move: ready',
            'maintenance:policy': 'live-migrate',
        },
        **more,
    }


def migrations() -> list[Json]:
    """What both servers have been through: one move failed, one came here."""
    return [
        _migration(9, WEB, 'live-migration', 'error', HERE, THERE),
        _migration(7, DB, 'migration', 'confirmed', THERE, HERE),
    ]


def _migration(
    number: int, server: str, kind: str, status: str, source: str, dest: str
) -> Json:
    return {
        'id': number,
        'uuid': f'55555555-0000-4000-8000-00000000000{number}',
        'instance_uuid': server,
        'migration_type': kind,
        'status': status,
        'source_compute': source,
        'dest_compute': dest,
        'created_at': '2026-11-19T06:00:00.000000',
        'updated_at': '2026-11-19T06:01:00.000000',
        'user_id': _USER,
        'project_id': _PROJECT,
    }


#: What can be asked of a server: the type of migration, and how it ends here.
MOVES = {
    'os-migrateLive': ('live-migration', 'completed'),
    'migrate': ('migration', 'finished'),
    'evacuate': ('evacuation', 'done'),
}
RESIZED: Json = {'status': 'VERIFY_RESIZE', 'OS-EXT-STS:vm_state': 'resized'}
STOPPED: Json = {'status': 'SHUTOFF', 'OS-EXT-STS:vm_state': 'stopped'}
#: What else can, and what the server is then.
POWER: dict[str, Json] = {
    'os-stop': {**STOPPED, 'OS-EXT-STS:power_state': 4},
    'os-start': {
        'status': 'ACTIVE',
        'OS-EXT-STS:vm_state': 'active',
        'OS-EXT-STS:power_state': 1,
    },
}


def groups() -> list[Json]:
    """The server groups."""
    return [
        {
            'id': '66666666-0000-4000-8000-000000000001',
            'name': 'apart',
            'policy': 'anti-affinity',
            'rules': {'max_server_per_host': 1},
            'members': [WEB, DB],
            'project_id': _PROJECT,
            'user_id': _USER,
        }
    ]


def hypervisors() -> list[Json]:
    """The hypervisors, one for each host."""
    return [
        {
            'id': node,
            'hypervisor_hostname': host,
            'hypervisor_type': 'QEMU',
            'service': {'host': host, 'id': host, 'disabled_reason': None},
            'state': 'up',
            'status': 'enabled',
        }
        for host, node in NODES.items()
    ]


def actions() -> list[Json]:
    """What has been done to a server, the latest first."""
    return [
        {
            'action': action,
            'request_id': f'req-{number}',
            'user_id': 'id-of-alice' if action == 'stop' else _USER,
            'message': None,
        }
        for number, action in enumerate(('live-migration', 'stop', 'create'))
    ]


ACTION: Json = {
    'instanceAction': {
        'action': 'live-migration',
        'request_id': 'req-0',
        'events': [
            {
                'event': 'compute_check_can_live_migrate_destination',
                'result': 'Error',
                'details': 'the CPUs do not match',
            }
        ],
    }
}
COPYING: Json = {
    'migrations': [
        {
            'id': 9,
            'status': 'running',
            'memory_total_bytes': 1000,
            'memory_remaining_bytes': 400,
        }
    ]
}
IMAGE: Json = {'id': _IMAGE, 'hw_machine_type': 'q35', 'tags': []}
INVENTORIES: Json = {'inventories': {'VCPU': {'total': 8}, 'MEMORY_MB': {}}}
ALLOCATIONS: Json = {
    'allocations': {
        server: {'resources': {'VCPU': 1, 'MEMORY_MB': 512}}
        for server in (WEB, DB)
    }
}
CANDIDATES: Json = {
    'allocation_requests': [
        {'allocations': {NODES[THERE]: {'resources': {'VCPU': 1}}}}
    ],
    'provider_summaries': {
        NODES[THERE]: {
            'root_provider_uuid': NODES[THERE],
            'traits': ['COMPUTE_NODE'],
        }
    },
}


def providers(node: str) -> Json:
    """The resource providers of a node: the node itself."""
    return {'resource_providers': [{'uuid': node, 'name': HERE}]}
