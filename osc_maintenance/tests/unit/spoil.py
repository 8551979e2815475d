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

"""JSON that is not as Nova writes it, and what a command makes of it."""

import argparse
import collections.abc
import contextlib
import copy
import dataclasses
import functools
import io
import itertools
import json
import logging
import re
import typing
from unittest import mock

from cliff import command
from osc_lib import exceptions

from osc_maintenance.drain import interrupt
from osc_maintenance.drain import report
from osc_maintenance import facts
from osc_maintenance import maintenance
from osc_maintenance.nova import api
from osc_maintenance.osc import host_maintenance
from osc_maintenance.osc import host_maintenance_show
from osc_maintenance.osc import host_maintenance_unset
from osc_maintenance.osc import host_maintenances
from osc_maintenance.osc import server_maintenance
from osc_maintenance import starting
from osc_maintenance.tests.unit import scenes
from osc_maintenance.tests.unit import wire
from osc_maintenance.tests.unit import wire_items
from osc_maintenance import times

#: Stands for a field that is not there.
MISSING = '(missing)'
#: Begins a line only where a line break was printed as it came.
FORGED = 'forged'
#: Text that clears a screen, begins a line, and turns what follows around.
EVIL = f'x\x1b[2J\r\n{FORGED}\x9b31m\u202e\u2028{FORGED}\ud800\x00'
#: What no answer of Nova holds there.
VALUES: tuple[typing.Any, ...] = (
    MISSING,
    None,
    True,
    -1,
    2**70,
    1e308,
    '',
    '0001-01-01T00:00:00',
    '9999-12-31T23:59:59.999999-23:59',
    EVIL,
    'x' * 3000,
    [],
    {},
    [None],
    [[EVIL]],
    {EVIL: EVIL},
    {'': None},
)
Path = tuple[str | int, ...]


def paths(body: typing.Any, root: Path = ()) -> collections.abc.Iterator[Path]:
    """The way to each part of a body, of lists to that of the first two."""
    yield root
    if isinstance(body, dict):
        for key in body:
            yield from paths(body[key], (*root, key))
    elif isinstance(body, list):
        for number in range(min(len(body), 2)):
            yield from paths(body[number], (*root, number))


def spoiled(body: typing.Any, path: Path, value: typing.Any) -> typing.Any:
    """A body with something else at one place, if it has that place."""
    if not path:
        return None if value is MISSING else value
    made = copy.deepcopy(body)
    with contextlib.suppress(KeyError, IndexError, TypeError):
        place = made
        for step in path[:-1]:
            place = place[step]
        if value is MISSING:
            del place[path[-1]]
        else:
            place[path[-1]]
            place[path[-1]] = value
    return made


#: How a cloud is before a command: nothing was done; the host is in
#: maintenance; it is down; its servers have been moved away, or one of them
#: was stopped; moves take a while; they fail; nothing can be moved.
_FRESH, _INSIDE, _DOWN, _DRAINED = 'fresh', 'inside', 'down', 'drained'
_STOPPED, _SLOW, _FAILING, _TIED = 'stopped', 'slow', 'failing', 'tied'
#: How long a server is waited for that starts, in seconds.
_PAUSE = 1e-6
#: How often a command that waits may do so until somebody presses Ctrl-C.
_PATIENCE = 40
_FAST = ('--max-parallel', '9')
_STOPS = ('compute1', '--migrate', 'all', '--stop-unmovable', *_FAST)
_ID = wire_items.WEB
_SET = host_maintenance.SetHostMaintenance
_SHOW = host_maintenance_show.ShowHostMaintenance
#: Commands by name, and how the cloud is before.
COMMANDS: dict[str, tuple[str, type[command.Command], tuple[str, ...]]] = {
    'set': (_FRESH, _SET, ('compute1', '--reason', 'x')),
    'set notifies': (_FRESH, _SET, ('compute1', '--notify-owners')),
    'set again': (_INSIDE, _SET, ('compute1', '--reason', 'y', '--no-wait')),
    'set drains': (
        _FRESH,
        _SET,
        ('compute1', '--migrate', 'all', '--no-wait', '--max-parallel', '9'),
    ),
    'set waits': (_FRESH, _SET, ('compute1', '--migrate', 'all', *_FAST)),
    'set evacuates': (_DOWN, _SET, ('compute1', '--evacuate', '--fenced')),
    'set lasts': (_SLOW, _SET, ('compute1', '--migrate', 'all', *_FAST)),
    'set fails': (
        _FAILING,
        _SET,
        ('compute1', '--migrate', 'all', '--retries', '0', *_FAST),
    ),
    'set stops': (_TIED, _SET, _STOPS),
    'dry-run of tied': (_TIED, _SET, (*_STOPS, '--dry-run')),
    'dry-run': (
        _FRESH,
        _SET,
        ('compute1', '--migrate', 'all', '--server', 'web', '--dry-run'),
    ),
    'show': (_INSIDE, _SHOW, ('compute1', '--servers', '--owners')),
    'show unknown': (_INSIDE, _SHOW, ('compute3',)),
    'unset': (
        _INSIDE,
        host_maintenance_unset.UnsetHostMaintenance,
        ('compute1',),
    ),
    'unset starts': (
        _STOPPED,
        host_maintenance_unset.UnsetHostMaintenance,
        ('compute1',),
    ),
    'unset returns': (
        _DRAINED,
        host_maintenance_unset.UnsetHostMaintenance,
        ('compute1', '--return-servers', *_FAST),
    ),
    'list': (
        _INSIDE,
        host_maintenances.ListHostMaintenance,
        ('--all', '--long'),
    ),
    'apply idle': (_INSIDE, host_maintenances.ApplyHostMaintenance, ()),
    'apply': (
        _INSIDE,
        host_maintenances.ApplyHostMaintenance,
        ('--unset-overdue',),
    ),
    'server list': (
        _FRESH,
        server_maintenance.ListServerMaintenance,
        ('--long', '--all-projects'),
    ),
    'server show': (
        _FRESH,
        server_maintenance.ShowServerMaintenance,
        ('web',),
    ),
    'server acknowledge': (
        _FRESH,
        server_maintenance.AcknowledgeServerMaintenance,
        (_ID, '--not-ready', '--reason', 'release'),
    ),
}


@dataclasses.dataclass
class Outcome:
    """What a command has done.

    :ivar error: what it says it could not do; empty if it could.
    :ivar said: everything that it has printed and logged.
    :ivar writes: what it has written before anything was spoiled.
    :ivar later: what it has written after that.
    :ivar sent: the bodies of all that it has written.
    """

    error: str
    said: str
    writes: list[str]
    later: list[str]
    sent: list[wire_items.Json]

    @property
    def no_answer(self) -> bool:
        """Whether it says that there was an answer that is none."""
        return 'no answer of the API' in self.said

    @property
    def harmless(self) -> bool:
        """Whether a terminal may see it: no control, and no forged line."""
        cells = re.split(r'\n|\| ', self.said)
        return all(
            cell.isprintable() and not cell.startswith(FORGED)
            for cell in cells
        )


def cloud_of(name: str) -> wire.Cloud:
    """The cloud as it is before a command."""
    before, _kind, _arguments = COMMANDS[name]
    return copy.deepcopy(_clouds()[before])


@functools.cache
def _clouds() -> dict[str, wire.Cloud]:
    """Clouds as they are before commands."""
    clouds = {
        name: wire.Cloud()
        for name in (
            *(_FRESH, _INSIDE, _DOWN, _DRAINED),
            *(_STOPPED, _SLOW, _FAILING, _TIED),
        )
    }
    clouds[_SLOW].looks = 2
    clouds[_FAILING].fails = True
    for name in (_TIED, _STOPPED):
        web, db = clouds[name].servers
        web['flavor']['extra_specs'] = {'pci_passthrough:alias': 'gpu:1'}
        db.update(locked=True, locked_reason='billing')
    _run(clouds[_STOPPED], _SET, *_STOPS)
    _run(
        clouds[_INSIDE],
        _SET,
        *('compute1', '--reason', 'kernel', '--duration', '1h'),
        *('--migrate', 'active', '--server', wire_items.DB, '--no-wait'),
    )
    clouds[_DOWN].services[0]['state'] = 'down'
    _run(clouds[_DRAINED], _SET, 'compute1', '--migrate', 'all', *_FAST)
    for cloud in clouds.values():
        cloud.answers.clear()
        cloud.reads.clear()
        cloud.writes.clear()
        cloud.sent.clear()
    return clouds


def run(
    name: str, cloud: wire.Cloud, spoil: wire.Spoil, formatter: str = 'table'
) -> Outcome:
    """Run a command with answers that are spoiled.

    Any exception but an error for the user is raised.

    :param name: the command.
    :param cloud: from :func:`cloud_of`.
    :param spoil: makes an answer of a route and the right answer.
    :param formatter: how it prints its answer.
    """
    first: list[int] = []

    def spoil_(route: str, body: typing.Any) -> typing.Any:
        made = spoil(route, body)
        if not first and made is not body and made != body:
            first.append(len(cloud.writes))
        return made

    cloud.spoil = spoil_
    _inside, kind, arguments = COMMANDS[name]
    error, said = _run(cloud, kind, *arguments, '-f', formatter)
    before = first[0] if first else len(cloud.writes)
    return Outcome(
        error,
        said,
        cloud.writes[:before],
        cloud.writes[before:],
        cloud.sent,
    )


class _AsItCame(logging.StreamHandler[io.StringIO]):
    """Shows what is logged before anything makes it harmless."""

    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage()


def _run(
    cloud: wire.Cloud, kind: type[command.Command], *arguments: str
) -> tuple[str, str]:
    """Run a command; its error, and all that it has said."""
    app = mock.Mock(spec=['client_manager', 'options', 'stdout'])
    app.options = argparse.Namespace(verbose_level=1)
    app.stdout = said = io.StringIO()
    app.client_manager = mock.Mock(spec=['maintenance'])
    app.client_manager.maintenance = cloud.clients()
    made = kind(app, argparse.Namespace())
    handler = _AsItCame(said)
    handler.setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)
    error = ''
    try:
        with (
            mock.patch.object(times, 'now', return_value=scenes.NOW),
            mock.patch.object(interrupt, 'interruptible', _impatient),
            mock.patch.object(api, '_PAUSES', (0.0,)),
            mock.patch.object(facts, '_LETTING_GO', (0.0,)),
            mock.patch.object(maintenance, '_PAUSES', (0.0, 0.0)),
            mock.patch.object(starting, '_AGAIN', _PAUSE),
            mock.patch.object(starting, '_PATIENCE', 3 * _PAUSE),
            # as on a terminal, but not shown there
            mock.patch.object(report.Lines, 'wants_figures', True),
            contextlib.redirect_stderr(said),
        ):
            parser = made.get_parser('openstack')
            made.run(parser.parse_args(list(arguments)))
    except exceptions.CommandError as exc:
        # which OSC prints, and nothing else of it
        error = str(exc) or 'an error without words'
        said.write(f'{error}\n')
    finally:
        logging.getLogger().removeHandler(handler)
    # what cannot be encoded ends in a traceback
    return error, said.getvalue().encode().decode()


@contextlib.contextmanager
def _impatient() -> collections.abc.Iterator[interrupt.Pause]:
    """Pauses that take no time, and that Ctrl-C ends after a while."""
    waits = itertools.count(1)
    yield lambda _seconds: next(waits) > _PATIENCE


@functools.cache
def bodies(name: str) -> dict[str, typing.Any]:
    """What a command is answered, by route, when nothing is spoiled."""
    cloud = cloud_of(name)
    run(name, cloud, lambda _route, body: body)
    # as it was when it was answered
    found: dict[str, typing.Any] = json.loads(json.dumps(cloud.answers))
    return found
