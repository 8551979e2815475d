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

import dataclasses
import io
import sys
import typing
from unittest import mock

from oslotest import base

from osc_maintenance import drain
from osc_maintenance.drain import events
from osc_maintenance.drain import moves
from osc_maintenance.drain import report
from osc_maintenance.drain import verdict
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import reports

_A = verdict.Action
_O = moves.Outcome
_STAMP = '2026-11-20T10:43:52Z '


class Base(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.stream = io.StringIO()
        self.seconds = 1000.0
        self.lines = self.reporter(self.stream)

    def reporter(
        self, stream: typing.TextIO, *, quiet: bool = False
    ) -> report.Report:
        return report.reporter(
            stream,
            quiet=quiet,
            now=lambda: reports.NOW,
            clock=lambda: self.seconds,
        )

    def told(self, *happened: events.Event) -> list[str]:
        """The lines that some events make."""
        before = len(self.stream.getvalue())
        for event in happened:
            self.lines(event)
        return self.stream.getvalue()[before:].splitlines()

    def plan(self, *planned: moves.Move) -> list[str]:
        """The lines at the beginning."""
        return self.told(
            events.Planned('compute1', planned, 4, 'set compute1')
        )


class TestLines(Base):
    def test_each_has_time_and_host(self) -> None:
        lines = self.plan(reports.server_move('web1'))
        lines += self.told(events.Started(reports.in_motion('web1')))
        plan = f'{_STAMP}compute1: 1 server to move (1 live-migrate), '
        self.assertEqual(plan, lines[0][: len(plan)])
        ctrl_c = f'{_STAMP}compute1: Ctrl-C stops '
        self.assertEqual(ctrl_c, lines[1][: len(ctrl_c)])
        self.assertEqual(
            [f'{_STAMP}compute1: web1 (id-web1): live migration started'],
            lines[2:],
        )

    def test_before_the_plan(self) -> None:
        (line,) = self.told(events.Trouble('HTTP 503', 1.0))
        words = f'{_STAMP}Nova does not answer, '
        self.assertEqual(words, line[: len(words)])

    def test_as_it_happens(self) -> None:
        stream = mock.Mock(spec=io.StringIO)
        stream.isatty.return_value = False
        self.reporter(stream)(events.Queued(1))
        self.assertEqual(
            [mock.call.isatty(), mock.call.write(mock.ANY), mock.call.flush()],
            stream.mock_calls,
        )


class TestKeepAlive(Base):
    def test_after_a_minute_of_silence(self) -> None:
        moving = [reports.in_motion(f'web{number}') for number in range(1, 8)]
        moving[0].server = servers.Server('id-web1', 'web1', progress=34)
        looked = events.Looked(
            (
                *moving,
                reports.ended('a', _O.MOVED),
                reports.ended('b', _O.FAILED, 'x'),
                reports.server_move('c'),
                reports.server_move('mine', _A.LEAVE, 'locked'),
            ),
            130.0,
        )
        self.plan(*looked.moves)
        self.seconds += 59
        self.assertEqual([], self.told(looked))
        self.seconds += 1
        self.assertEqual(
            [
                f'{_STAMP}compute1: '
                '1 of 10 done, 7 moving (web1 34%, web2, web3, web4, web5 '
                'and 2 more), 1 to go, 1 failed, about 3m left'
            ],
            self.told(looked),
        )
        self.assertEqual([], self.told(looked))

    def test_a_change_breaks_the_silence(self) -> None:
        self.seconds += 59
        self.told(events.Started(reports.in_motion('web1')))
        self.seconds += 1
        self.assertEqual([], self.told(events.Looked(())))

    def test_names_do_no_harm(self) -> None:
        looked = events.Looked((reports.in_motion('\x1b[31mred'),))
        self.plan(*looked.moves)
        self.seconds += 60
        (line,) = self.told(looked)
        self.assertIn(r'1 moving (\x1b[31mred)', line)

    def test_waiting(self) -> None:
        self.plan(reports.ended('a', _O.MOVED))
        self.seconds += 60
        self.assertEqual(
            [
                f'{_STAMP}compute1: 1 of 1 done, '
                'still waiting for what ends by itself'
            ],
            self.told(events.Looked((reports.ended('a', _O.MOVED),), 0.0)),
        )

    def test_waiting_for_owners(self) -> None:
        web = reports.server_move('web', _A.BLOCKED, 'waits for its owner')
        web.verdict = dataclasses.replace(web.verdict, then=_A.LIVE_MIGRATE)
        self.plan(web)
        self.seconds += 60
        self.assertEqual(
            [f'{_STAMP}compute1: 0 of 0 done, 1 waiting for its owner'],
            self.told(events.Looked((web,))),
        )


class TestReporter(Base):
    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch.dict('os.environ', {'TERM': 'xterm'}, clear=True)
        patch.start()
        self.addCleanup(patch.stop)

    def test_quiet_tells_nothing(self) -> None:
        stream = reports.Terminal()
        with self.reporter(stream, quiet=True) as quiet:
            quiet(
                events.Planned(
                    'compute1',
                    (reports.server_move('web1'),),
                    4,
                    'set compute1',
                )
            )
            quiet(events.Ended(reports.ended('web1', _O.FAILED, 'x')))
        self.assertEqual('', stream.getvalue())
        self.assertFalse(quiet.wants_figures)

    def test_not_a_terminal(self) -> None:
        self.assertIsInstance(self.lines, report.Lines)
        self.assertFalse(self.lines.wants_figures)

    def test_terminal(self) -> None:
        display = self.reporter(reports.Terminal())
        self.assertNotIsInstance(display, report.Lines)
        self.assertTrue(display.wants_figures)

    def test_terminal_that_cannot_move_its_cursor(self) -> None:
        with mock.patch.dict('os.environ', {'TERM': 'dumb'}):
            self.assertIsInstance(
                self.reporter(reports.Terminal()), report.Lines
            )

    def test_without_rich(self) -> None:
        self.reporter(reports.Terminal())
        rich = [name for name in sys.modules if name.startswith('rich')]
        with (
            mock.patch.dict(sys.modules, dict.fromkeys(rich)),
            mock.patch.object(drain, 'live'),
        ):
            del sys.modules[f'{drain.__name__}.live'], drain.live
            lines = self.reporter(reports.Terminal())
        self.assertIsInstance(lines, report.Lines)

    def test_nobody_reads(self) -> None:
        stream = mock.Mock(spec=io.StringIO)
        stream.isatty.return_value = False
        stream.write.side_effect = BrokenPipeError
        self.reporter(stream)(events.Queued(1))
        stream.write.assert_called_once()
