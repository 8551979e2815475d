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

import argparse
import contextlib
import datetime
import io
import itertools
import typing

from oslotest import base

from osc_maintenance import asking
from osc_maintenance.drain import options
from osc_maintenance.osc import drain
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance.tests.unit import fakes
from osc_maintenance.tests.unit import scenes

LOAD = servers.Load(
    'compute1',
    (scenes.server('web', project='alpha-id'), scenes.server('db')),
)
#: An option with its value, and how it is recorded.
SELECTION: dict[tuple[str, ...], dict[str, typing.Any]] = {
    ('--server', 'web'): {'only': frozenset(['web-id'])},
    ('--project', 'alpha'): {'projects': frozenset(['alpha-id'])},
    ('--exclude-server', 'db'): {'exclude': frozenset(['db-id'])},
    ('--include-locked',): {'locked': True},
    ('--include-pinned',): {'pinned': True},
    ('--target-host', 'compute7'): {'target': 'compute7'},
}


class DrainTestCase(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.parser = argparse.ArgumentParser()
        drain.add_selection(self.parser)
        drain.add_pace(self.parser)

    def parsed(self, *arguments: str) -> argparse.Namespace:
        """Arguments that go together."""
        found = self.parser.parse_args(list(arguments))
        drain.check(self.parser, found)
        return found

    def usage_error(self, *arguments: str) -> str:
        """What is said of arguments that do not."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            error = self.assertRaises(SystemExit, self.parsed, *arguments)
        self.assertEqual(2, error.code)
        return said.getvalue()


class TestCheck(DrainTestCase):
    def test_what_goes_together(self) -> None:
        moving = (
            ('--migrate', 'active'),
            ('--migrate', 'all'),
            ('--evacuate', '--fenced'),
        )
        for which, option in itertools.product(moving, SELECTION):
            with self.subTest(which=which, option=option):
                self.parsed(*which, *option)
        self.parsed()
        self.parsed('--migrate', 'none')
        # a drain is continued by set alone, at another pace
        self.parsed('--max-parallel', '4', '--timeout', '1h', '--no-wait')

    def test_what_does_not(self) -> None:
        without: tuple[tuple[str, ...], ...] = ((), ('--migrate', 'none'))
        for which, option in itertools.product(without, SELECTION):
            with self.subTest(which=which, option=option):
                told = self.usage_error(*which, *option)
                self.assertIn(f'argument {option[0]}: goes with', told)
        for arguments, named in (
            (('--evacuate',), 'argument --evacuate: '),
            (('--evacuate', '--migrate', 'all'), 'argument --evacuate: '),
            (
                ('--evacuate', '--fenced', '--migrate', 'all'),
                'argument --migrate: ',
            ),
            (
                ('--evacuate', '--fenced', '--migrate', 'none'),
                'argument --migrate: ',
            ),
            (('--fenced',), 'argument --fenced: '),
            (('--fenced', '--migrate', 'all'), 'argument --fenced: '),
            (
                ('--migrate', 'all', '--on-timeout', 'leave'),
                'argument --on-timeout: goes with --server-timeout',
            ),
        ):
            with self.subTest(arguments=arguments):
                self.assertIn(named, self.usage_error(*arguments))

    def test_values_are_checked(self) -> None:
        for arguments in (
            ('--migrate', 'some'),
            ('--migrate', 'all', '--target-host', ''),
            ('--max-parallel', '0'),
            ('--max-parallel', 'x'),
            ('--retries', '-1'),
            ('--server-timeout', '90'),
            ('--timeout', '0s'),
            ('--on-timeout', 'panic'),
            ('--wait', '--no-wait'),
        ):
            with self.subTest(arguments=arguments):
                self.assertIn(arguments[-2], self.usage_error(*arguments))

    def test_whether_it_is_said_which_servers_have_to_go(self) -> None:
        for arguments, expected in (
            ((), False),
            (('--max-parallel', '4'), False),
            (('--migrate', 'none'), True),
            (('--migrate', 'all'), True),
            (('--evacuate', '--fenced'), True),
        ):
            self.assertIs(expected, drain.asked(self.parsed(*arguments)))


class TestPolicy(DrainTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clients = fakes.Clients()
        self.clients.projects = {'alpha': 'alpha-id', 'beta': 'beta-id'}

    def _policy(self, *arguments: str) -> policy.Policy:
        parsed = self.parsed(*arguments)
        return drain.policy_of(
            parsed, fakes.real(self.clients), scenes.host(), LOAD
        )

    def test_each_option(self) -> None:
        cases: list[tuple[tuple[str, ...], dict[str, typing.Any]]] = [
            ((), {}),
            *SELECTION.items(),
            (
                ('--server', 'web', '--server', 'db-id'),
                {'only': frozenset(['web-id', 'db-id'])},
            ),
            (
                ('--project', 'alpha-id', '--project', 'beta'),
                {'projects': frozenset(['alpha-id', 'beta-id'])},
            ),
        ]
        for arguments, fields in cases:
            for which in policy.CHOICES[1:]:
                with self.subTest(arguments=arguments, which=which):
                    self.assertEqual(
                        policy.Policy(which, **fields),
                        self._policy('--migrate', which, *arguments),
                    )
        self.assertEqual(policy.NOTHING, self._policy('--migrate', 'none'))

    def test_an_evacuation_is_of_all(self) -> None:
        for option, fields in SELECTION.items():
            self.assertEqual(
                policy.Policy('all', **fields),
                self._policy('--evacuate', '--fenced', *option),
            )

    def test_what_is_not_there_is_refused(self) -> None:
        for option in ('--server', '--exclude-server', '--project'):
            error = self.assertRaises(
                asking.RefusedError,
                *(self._policy, '--migrate', 'all', option, 'gone'),
            )
            self.assertIn('gone', str(error))


class TestOptions(DrainTestCase):
    def _options(self, *arguments: str) -> options.Options:
        return drain.options_of(self.parsed(*arguments), figures=False)

    def test_the_defaults(self) -> None:
        self.assertEqual(options.Options(), self._options())

    def test_each_option(self) -> None:
        kinds = options.OnTimeout
        for arguments, expected in (
            (('--max-parallel', '7'), options.Options(max_parallel=7)),
            (('--server-timeout', '1m'), options.Options(server_timeout=60.0)),
            (('--timeout', '1h30m'), options.Options(timeout=5400.0)),
            (('--retries', '0'), options.Options(retries=0)),
            (('--no-wait',), options.Options(wait=False)),
            (('--wait',), options.Options()),
            (
                ('--server-timeout', '1s', '--on-timeout', 'force-complete'),
                options.Options(
                    server_timeout=1.0, on_timeout=kinds.FORCE_COMPLETE
                ),
            ),
            (
                ('--server-timeout', '1s', '--on-timeout', 'leave'),
                options.Options(server_timeout=1.0, on_timeout=kinds.LEAVE),
            ),
        ):
            with self.subTest(arguments=arguments):
                self.assertEqual(expected, self._options(*arguments))

    def test_choices_are_those_of_the_drain(self) -> None:
        # argparse has them without importing it
        for kind in options.OnTimeout:
            given = ('--server-timeout', '1m', '--on-timeout', kind.value)
            found = self._options(*given)
            self.assertIs(kind, found.on_timeout)
        for choice in policy.CHOICES:
            self.assertEqual(choice, self.parsed('--migrate', choice).migrate)

    def test_figures(self) -> None:
        for figures in (False, True):
            found = drain.options_of(self.parsed(), figures=figures)
            self.assertIs(figures, found.figures)
        self.assertEqual(
            datetime.timedelta(minutes=1),
            self.parsed('--timeout', '60s').timeout,
        )
