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

"""The services' configuration files."""

import collections.abc
import json
import pathlib
import shutil

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import layout

_Sections = dict[str, dict[str, object]]

#: how often hosts say that they live, and when Nova takes one for dead that
#: didn't: long, so that a busy machine kills nobody; stopping a host by the
#: test controls makes it look dead at once
_REPORT_INTERVAL = 3
_SERVICE_DOWN_TIME = 20
#: the PCI devices that hosts can be given
_GPU = {'vendor_id': '10de', 'product_id': '20b5'}


def database(state: layout.State, name: str) -> str:
    """The address of a service's database."""
    return f'sqlite:///{state.data}/{name}.sqlite'


def environment(state: layout.State) -> dict[str, str]:
    """Where the services and their tools find their configuration."""
    return {
        f'OS_{service.upper()}_CONFIG_DIR': str(state.etc / service)
        for service in ('keystone', 'placement', 'glance', 'nova')
    }


def write(
    state: layout.State, urls: dict[str, str], venv: pathlib.Path
) -> None:
    """Write all files for services that are to answer at these addresses."""
    for directory in ('images', 'staging', 'tasks', 'image-cache', 'locks'):
        (state.data / directory).mkdir(exist_ok=True)
    (state.data / 'nova' / 'instances').mkdir(parents=True, exist_ok=True)
    # nova-compute refuses to start a second time without it. Its content is
    # not used, because the driver names the nodes.
    (state.data / 'nova' / 'compute_id').write_text(
        '00000000-0000-4000-8000-000000000000'
    )
    _write(state, 'keystone', 'keystone.conf', _keystone(state))
    _write(state, 'placement', 'placement.conf', _placement(state, urls))
    _write(state, 'glance', 'glance-api.conf', _glance(state, urls))
    _write(state, 'nova', 'nova.conf', _nova(state, urls))
    # JSON is YAML.
    policy = state.etc / 'nova' / 'policy.yaml'
    policy.write_text(json.dumps(_policy(), indent=2))
    for service, paste in (
        ('glance', 'glance-api-paste.ini'),
        ('nova', 'api-paste.ini'),
    ):
        shutil.copy(venv / 'etc' / service / paste, state.etc / service)


def _write(
    state: layout.State, service: str, name: str, sections: _Sections
) -> None:
    directory = state.etc / service
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text('\n'.join(_lines(sections)) + '\n')


def _lines(sections: _Sections) -> collections.abc.Iterator[str]:
    for section, options in sections.items():
        yield f'[{section}]'
        for option, value in options.items():
            # Of an option that may be given several times: a list.
            for one in value if isinstance(value, list) else [value]:
                yield f'{option} = {one}'
        yield ''


_LOGGING = {
    'use_stderr': True,
    'default_log_levels': ','.join(
        (
            'keystonemiddleware=WARNING',
            'keystoneauth=WARNING',
            'nova.api.openstack.requestlog=WARNING',
            'oslo_messaging=WARNING',
            'oslo_policy=WARNING',
            'placement.requestlog=WARNING',
            'sqlalchemy=WARNING',
            'stevedore=CRITICAL',
            'urllib3=WARNING',
        )
    ),
}


#: What an operator may do, as well as an admin; and of it a doorkeeper, and a
#: clerk, who writes records and leaves the services alone.
_OPERATOR = (
    'os-extended-server-attributes',
    'os-hypervisors:list-detail',
    'os-migrations:index',
    'os-server-groups:index:all_projects',
    'servers:allow_all_filters',
    'servers:detail:get_all_tenants',
)
_DOORKEEPER = ('os-services:update',)
_CLERK = (
    'os-aggregates:add_host',
    'os-aggregates:create',
    'os-aggregates:delete',
    'os-aggregates:index',
    'os-aggregates:remove_host',
    'os-aggregates:set_metadata',
    'os-aggregates:show',
    'os-services:list',
)


def _policy() -> dict[str, str]:
    """Nova's policy, where it is not the usual one."""
    operator = 'role:admin or role:operator'
    doorkeeper = f'{operator} or role:doorkeeper'
    return {
        f'os_compute_api:{name}': rule
        for names, rule in (
            (_OPERATOR, f'{operator} or role:clerk'),
            (_DOORKEEPER, doorkeeper),
            (_CLERK, f'{doorkeeper} or role:clerk'),
        )
        for name in names
    }


def _connection(state: layout.State, name: str) -> dict[str, object]:
    return {
        'connection': database(state, name),
        'sqlite_synchronous': False,
    }


def _user(urls: dict[str, str], user: str) -> dict[str, object]:
    """How a service authenticates."""
    return {
        'auth_type': 'password',
        'auth_url': f'{urls["identity"]}/v3',
        'username': user,
        'password': accounts.PASSWORD,
        'project_name': accounts.SERVICE_PROJECT,
        'user_domain_name': 'Default',
        'project_domain_name': 'Default',
        'region_name': accounts.REGION,
    }


def _token_check(urls: dict[str, str], user: str) -> dict[str, object]:
    """How a service checks the tokens that it gets."""
    return {
        'www_authenticate_uri': urls['identity'],
        'service_token_roles_required': True,
        **_user(urls, user),
    }


def _keystone(state: layout.State) -> _Sections:
    return {
        'DEFAULT': _LOGGING,
        'database': _connection(state, 'keystone'),
        'token': {'provider': 'fernet', 'expiration': 24 * 3600},
        'fernet_tokens': {'key_repository': state.data / 'fernet'},
        'credential': {'key_repository': state.data / 'credential'},
        # The least that bcrypt can do: there is nothing to protect.
        'identity': {'password_hash_rounds': 4},
        'cache': {'enabled': True, 'backend': 'dogpile.cache.memory'},
    }


def _placement(state: layout.State, urls: dict[str, str]) -> _Sections:
    return {
        'DEFAULT': _LOGGING,
        'api': {'auth_strategy': 'keystone'},
        'placement_database': _connection(state, 'placement'),
        'keystone_authtoken': _token_check(urls, 'placement'),
    }


def _glance(state: layout.State, urls: dict[str, str]) -> _Sections:
    def store(directory: str) -> dict[str, object]:
        return {'filesystem_store_datadir': state.data / directory}

    return {
        'DEFAULT': {
            **_LOGGING,
            'enabled_backends': 'files:file',
            # Imports are tasks, which Glance runs under its own server only.
            'enabled_import_methods': '[]',
            'worker_self_reference_url': urls['image'],
        },
        'database': _connection(state, 'glance'),
        'glance_store': {'default_backend': 'files'},
        'files': store('images'),
        'os_glance_staging_store': store('staging'),
        'os_glance_tasks_store': store('tasks'),
        'image_cache': {'image_cache_dir': state.data / 'image-cache'},
        # The image of this cloud is no disk of any known format.
        'image_format': {'require_image_format_match': False},
        'paste_deploy': {
            'flavor': 'keystone',
            'config_file': state.etc / 'glance' / 'glance-api-paste.ini',
        },
        'keystone_authtoken': _token_check(urls, 'glance'),
    }


def _nova(state: layout.State, urls: dict[str, str]) -> _Sections:
    nova = _user(urls, 'nova')
    return {
        'DEFAULT': {
            **_LOGGING,
            'host': 'controller',
            'my_ip': '127.0.0.1',
            'state_path': state.data / 'nova',
            'transport_url': 'fake:/',
            'compute_driver': 'cloud.CloudDriver',
            'report_interval': _REPORT_INTERVAL,
            'service_down_time': _SERVICE_DOWN_TIME,
            'vif_plugging_timeout': 0,
            'vif_plugging_is_fatal': False,
            'reserved_host_memory_mb': 0,
            'allow_resize_to_same_host': False,
            # What is room on a host is said by its machine alone.
            'initial_cpu_allocation_ratio': 1.0,
            # A shelved server stays on its host.
            'shelved_offload_time': -1,
        },
        'api': {
            'auth_strategy': 'keystone',
            # What a guest reads is what is so now.
            'metadata_cache_expiration': 0,
            # Whether Nova's answers are as Nova says is for its own tests;
            # it takes a fifth of its time.
            'response_validation': 'ignore',
        },
        'api_database': _connection(state, 'nova_api'),
        'database': _connection(state, 'nova_cell1'),
        'scheduler': {'discover_hosts_in_cells_interval': -1},
        'filter_scheduler': {
            'available_filters': [
                'nova.scheduler.filters.all_filters',
                'cloud_services.scenes.SceneFilter',
            ],
            'enabled_filters': ','.join(
                (
                    'ComputeFilter',
                    'ComputeCapabilitiesFilter',
                    'ImagePropertiesFilter',
                    'PciPassthroughFilter',
                    'ServerGroupAntiAffinityFilter',
                    'ServerGroupAffinityFilter',
                    'SceneFilter',
                )
            ),
            'track_instance_changes': False,
        },
        'quota': {
            'instances': -1,
            'cores': -1,
            'ram': -1,
            'server_groups': -1,
            'server_group_members': -1,
        },
        'pci': {
            'alias': json.dumps({**_GPU, 'name': 'gpu'}),
            'device_spec': json.dumps(_GPU),
        },
        'vnc': {'enabled': False},
        'keystone_authtoken': _token_check(urls, 'nova'),
        'service_user': {'send_service_user_token': True, **nova},
        'keystone': nova,
        'placement': nova,
        'neutron': {
            **nova,
            'service_metadata_proxy': True,
            'metadata_proxy_shared_secret': accounts.METADATA_SECRET,
        },
        'glance': {'region_name': accounts.REGION},
        'oslo_policy': {'policy_file': state.etc / 'nova' / 'policy.yaml'},
        'oslo_concurrency': {'lock_path': state.data / 'locks'},
        'oslo_messaging_notifications': {'driver': 'noop'},
    }
