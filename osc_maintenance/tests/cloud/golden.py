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

"""The databases of a fresh cloud: made once, copied for every cloud.

Making them takes a while: schemas, accounts, catalog, flavors, an image. What
differs from cloud to cloud, the addresses of the services and the directory,
is a placeholder in the golden copy.
"""

import concurrent.futures
import contextlib
import getpass
import grp
import os
import pathlib
import shutil
import sqlite3
import subprocess
import typing

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import api
from osc_maintenance.tests.cloud import configuration
from osc_maintenance.tests.cloud import controlplane
from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import install
from osc_maintenance.tests.cloud import layout
from osc_maintenance.tests.cloud import locks
from osc_maintenance.tests.cloud import progress

IMAGE = 'tiny'
#: name -> virtual CPUs, MB of memory, GB of disk
FLAVORS = {
    'm1.tiny': (1, 512, 1),
    'm1.small': (1, 2048, 20),
    'm1.large': (4, 8192, 80),
}

_CATALOG = {
    'placement': ('placement', ''),
    'image': ('glance', ''),
    'network': ('neutron', ''),
    'compute': ('nova', '/v2.1'),
}
_INTERFACES = ('public', 'internal', 'admin')
#: tool -> the service whose configuration it reads
_CONFIGURATION = {
    'glance-manage': 'glance',
    'keystone-manage': 'keystone',
    'nova-manage': 'nova',
    'placement-manage': 'placement',
}
#: the code that decides what is in the databases
_MAKERS = ('accounts.py', 'configuration.py', 'golden.py')
#: where a cloud's addresses and directory are stored
_STORED = (
    ('keystone', 'endpoint', 'url'),
    ('nova_api', 'cell_mappings', 'database_connection'),
    ('glance', 'image_locations', 'value'),
)


def directory() -> pathlib.Path:
    """Where the golden copy is, for this code and this Python."""
    makers = (layout.HERE / name for name in _MAKERS)
    key = layout.key(*makers, layout.REQUIREMENTS)
    return layout.cache() / f'golden-{key}'


def ensure(report: progress.Progress) -> None:
    """Make the golden copy unless there is one."""
    target = directory()
    if target.exists():
        return
    with locks.exclusive(target.with_suffix('.lock')):
        if target.exists():
            return
        state = layout.State(target.with_suffix('.new'))
        shutil.rmtree(state.directory, ignore_errors=True)
        state.clear()
        _make(state, report)
        # Last, and in one step: what has this name is complete.
        state.data.rename(target)
        shutil.rmtree(state.directory)


def copy(state: layout.State, urls: dict[str, str]) -> None:
    """Give a cloud its databases, with its own addresses in them."""
    shutil.copytree(directory(), state.data, dirs_exist_ok=True)
    _replace(state, {_placeholder(s): url for s, url in urls.items()})
    _replace(state, {_placeholder('data'): str(state.data)})


def _placeholder(what: str) -> str:
    return f'<{what}>'


def _replace(state: layout.State, words: dict[str, str]) -> None:
    for name, table, column in _STORED:
        path = state.data / f'{name}.sqlite'
        with contextlib.closing(sqlite3.connect(path)) as database:
            for old, new in words.items():
                database.execute(
                    f'UPDATE {table} SET {column} = replace({column}, ?, ?)',
                    (old, new),
                )
            database.commit()


def _make(state: layout.State, report: progress.Progress) -> None:
    with controlplane.ControlPlane(state) as plane:
        configuration.write(state, plane.urls, install.directory())
        report('Creating the databases')
        _create_databases(state, plane)
        _number_once(state)
        report('Creating the accounts, flavors and an image')
        plane.start('identity', 'image')
        _create_accounts(plane.urls)
        # Nova's scheduler authenticates as soon as it starts.
        plane.start('compute')
        _create_flavors_and_image(plane.urls)
    for path in state.data.glob('*.sqlite'):
        # So that the file alone is the database.
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    _replace(state, {url: _placeholder(s) for s, url in plane.urls.items()})
    _replace(state, {str(state.data): _placeholder('data')})


def _create_databases(
    state: layout.State, plane: controlplane.ControlPlane
) -> None:
    owner = (
        *('--keystone-user', getpass.getuser()),
        *('--keystone-group', grp.getgrgid(os.getgid()).gr_name),
    )
    urls = [
        word
        for interface in _INTERFACES
        for word in (
            f'--bootstrap-{interface}-url',
            f'{plane.urls["identity"]}/v3',
        )
    ]
    keystone = (
        ('keystone-manage', 'fernet_setup', *owner),
        ('keystone-manage', 'credential_setup', *owner),
        ('keystone-manage', 'db_sync'),
        (
            *('keystone-manage', 'bootstrap', '--bootstrap-password'),
            *(accounts.PASSWORD, '--bootstrap-region-id', accounts.REGION),
            *urls,
        ),
        ('placement-manage', 'db', 'sync'),
    )
    cell0 = configuration.database(state, 'nova_cell0')
    cell1 = configuration.database(state, 'nova_cell1')
    nova = (
        ('nova-manage', 'api_db', 'sync'),
        (
            *('nova-manage', 'cell_v2', 'map_cell0'),
            *('--database_connection', cell0),
        ),
        (
            *('nova-manage', 'cell_v2', 'create_cell', '--name', 'cell1'),
            *('--database_connection', cell1, '--transport-url', 'fake:/'),
        ),
        ('nova-manage', 'db', 'sync'),
        ('glance-manage', 'db_sync'),
    )

    def run_all(commands: tuple[tuple[str, ...], ...]) -> None:
        for command in commands:
            _run(state, plane, command)

    # Each of these takes seconds of one core, and they are independent.
    with concurrent.futures.ThreadPoolExecutor() as executor:
        list(executor.map(run_all, (keystone, nova)))


def _number_once(state: layout.State) -> None:
    """See to it that nothing of an aggregate gets the number of what is gone.

    SQLite gives the highest number again, other databases do not. Who writes
    to an aggregate that is gone would write to that of another test; and of
    two that write to one aggregate at the same time, where one deletes a
    value, the other would give its own to another key.
    """
    path = state.data / 'nova_api.sqlite'
    with contextlib.closing(sqlite3.connect(path)) as database:
        for name in ('aggregates', 'aggregate_hosts', 'aggregate_metadata'):
            table, *indexes = (
                sql
                for (sql,) in database.execute(
                    'SELECT sql FROM sqlite_master WHERE sql IS NOT NULL '
                    "AND tbl_name = ? ORDER BY type = 'table' DESC",
                    (name,),
                ).fetchall()
            )
            once = table.replace('PRIMARY KEY (id), ', '').replace(
                '\tid INTEGER NOT NULL',
                '\tid INTEGER PRIMARY KEY AUTOINCREMENT',
            )
            for sql in (f'DROP TABLE {name}', once, *indexes):
                database.execute(sql)
        database.commit()


def _run(
    state: layout.State,
    plane: controlplane.ControlPlane,
    command: tuple[str, ...],
) -> None:
    log = state.log(command[0])
    with log.open('ab') as out:
        status = subprocess.call(
            [
                str(install.directory() / 'bin' / command[0]),
                *('--config-dir', str(state.etc / _CONFIGURATION[command[0]])),
                *command[1:],
            ],
            env=plane.environment(),
            cwd=state.directory,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    if status:
        raise errors.CloudError.with_log(
            f'{" ".join(command)} failed with {status}', log
        )


class _Directory:
    """Keystone's objects, of which some are there already."""

    def __init__(self, urls: dict[str, str]) -> None:
        self._api = api.Api(urls, accounts.ACCOUNTS['admin'])
        self._ids: dict[tuple[str, str], str] = {}

    def id(self, kind: str, name: str, **fields: typing.Any) -> str:
        """The ID of the object of this name, which is created if need be."""
        if (kind, name) not in self._ids:
            found = self._api.get('identity', f'/{kind}s?name={name}')
            objects = found[f'{kind}s'] or [
                self._api.post(
                    'identity', f'/{kind}s', {kind: {'name': name, **fields}}
                )[kind]
            ]
            self._ids[kind, name] = objects[0]['id']
        return self._ids[kind, name]

    def grant(self, user: str, project: str, role: str) -> None:
        self._api.put(
            'identity',
            f'/projects/{self.id("project", project, domain_id="default")}'
            f'/users/{self._user(user)}/roles/{self.id("role", role)}',
        )

    def _user(self, name: str) -> str:
        return self.id(
            'user', name, password=accounts.PASSWORD, domain_id='default'
        )

    def endpoints(self, service: str, name: str, url: str) -> None:
        for interface in _INTERFACES:
            endpoint = {
                'service_id': self.id('service', name, type=service),
                'interface': interface,
                'region_id': accounts.REGION,
                'url': url,
            }
            self._api.post('identity', '/endpoints', {'endpoint': endpoint})


def _create_accounts(urls: dict[str, str]) -> None:
    keystone = _Directory(urls)
    for user in accounts.SERVICE_USERS:
        for role in ('admin', 'service'):
            keystone.grant(user, accounts.SERVICE_PROJECT, role)
    for account in accounts.ACCOUNTS.values():
        # `keystone-manage bootstrap` has given its admin the system.
        if account.project is not None:
            for role in account.roles:
                keystone.grant(account.user, account.project, role)
    for service, (name, path) in _CATALOG.items():
        keystone.endpoints(service, name, urls[service] + path)
    for project in accounts.PROJECTS:
        keystone.id('project', project, domain_id='default')


def _create_flavors_and_image(urls: dict[str, str]) -> None:
    admin = api.Api(urls, accounts.ACCOUNTS['admin'])
    for name, (vcpus, ram, disk) in FLAVORS.items():
        flavor = {'name': name, 'vcpus': vcpus, 'ram': ram, 'disk': disk}
        admin.post('compute', '/flavors', {'flavor': {'id': name, **flavor}})
    image = admin.post(
        'image',
        '/images',
        {
            'name': IMAGE,
            'disk_format': 'raw',
            'container_format': 'bare',
            'visibility': 'public',
        },
    )
    admin.put('image', f'/images/{image["id"]}/file', b'no disk of any kind')
