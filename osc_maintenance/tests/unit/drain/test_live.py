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

import contextlib
import dataclasses
import logging
import sys
from unittest import mock

from oslotest import base

from osc_maintenance.drain import events
from osc_maintenance.drain import live
from osc_maintenance.drain import moves
from osc_maintenance.drain import verdict
from osc_maintenance.nova import answers
from osc_maintenance.tests.unit.drain import reports

_A = verdict.Action
_O = moves.Outcome
_GIB = 1 << 30
_CURSOR = '\x1b[?25h'


class Base(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.environ(COLUMNS='80', LINES='40', NO_COLOR='1')
        self.seconds = 1000.0
        self.display = self.put_up()

    def environ(self, **values: str) -> None:
        values['TERM'] = 'xterm-256color'
        patch = mock.patch.dict('os.environ', values, clear=True)
        patch.start()
        self.addCleanup(patch.stop)

    def put_up(self) -> live.Live:
        self.terminal = reports.Terminal()
        display = live.Live(self.terminal, clock=lambda: self.seconds)
        self.addCleanup(display.__exit__, None, None, None)
        return display

    def looked(
        self, *known: moves.Move, time_left: float | None = None
    ) -> list[str]:
        """The screen after the plan and a look."""
        self.display(events.Planned('compute1', known, 4, 'set compute1'))
        self.display(events.Looked(known, time_left))
        return self.terminal.screen()


class TestDisplay(Base):
    def test_all(self) -> None:
        web1 = reports.in_motion('web1', started=928.0)
        web1.figures, web1.asked = answers.Figures(3 * _GIB, 4 * _GIB), 1000.0
        web2 = reports.in_motion('web2', started=990.0)
        web2.server = dataclasses.replace(web2.server, progress=34)
        new = reports.in_motion('web3', started=1000.0)
        new.migration = None
        screen = self.looked(
            new,
            web2,
            web1,
            reports.ended('gone', _O.MOVED),
            reports.ended('bad', _O.FAILED, 'x'),
            reports.server_move('web4'),
            reports.server_move('mine', _A.LEAVE, 'locked'),
            time_left=130.0,
        )
        *lines, overall, first, second, third = screen
        self.assertIn('compute1: 4 of 7 servers to move', lines[0])
        self.assertIn('Ctrl-C stops', ' '.join(lines))
        self.assertRegex(
            overall,
            '^━{2,6} +1 of 6 done, 3 moving, 1 to go, 1 failed, '
            'about 3m left$',
        )
        for line, words in (
            (first, '  web1 running 25% 3.0 GiB left to compute2 1m12s'),
            (second, '  web2 running 34% to compute2 10s'),
            (third, '  web3 requested 0s'),
        ):
            self.assertEqual(words.split(), line.split())

    def test_change_is_told_above(self) -> None:
        move = reports.in_motion('web1')
        self.looked(move, reports.server_move('web2'))
        move.end(_O.MOVED)
        self.display(events.Ended(move))
        *_lines, change, overall = self.terminal.screen()
        self.assertEqual(
            'web1 (id-web1): moved to compute2 in 12s (1 of 2)', change
        )
        self.assertIn('1 of 2 done, 0 moving, 1 to go, 0 failed', overall)

    def test_seconds_move_on_without_an_event(self) -> None:
        move = reports.in_motion('web1', started=1000.0)
        screen = self.looked(move)
        self.assertIn(' 0s', screen[-1])
        self.seconds += 61
        # a thread must not meet a move that is about to change
        move.migration, move.started = None, None
        self.display._live.refresh()
        self.assertEqual(len(screen), len(self.terminal.screen()))
        self.assertIn(' 1m1s', self.terminal.screen()[-1])

    def test_waiting_for_owners(self) -> None:
        web = reports.server_move('web', _A.BLOCKED, 'waits for its owner')
        web.verdict = dataclasses.replace(web.verdict, then=_A.LIVE_MIGRATE)
        *_lines, overall = self.looked(reports.ended('gone', _O.MOVED), web)
        # all is not over although the bar is full
        self.assertIn('1 of 1 done, ', overall)
        self.assertTrue(overall.endswith(', 1 waiting for its owner'), overall)

    def test_overdue(self) -> None:
        move = reports.in_motion('web1')
        move.overdue = 'took longer than 5m and was aborted'
        self.assertIn('running, overdue', self.looked(move)[-1])

    def test_many(self) -> None:
        for height, rows in (('40', 15), ('12', 7), ('3', 1)):
            with self.subTest(height):
                self.environ(COLUMNS='80', LINES=height)
                self.display = self.put_up()
                screen = self.looked(
                    *(
                        reports.in_motion(f'web{number}', started=number)
                        for number in range(64)
                    )
                )
                shown = [line for line in screen if ' to compute2 ' in line]
                self.assertEqual(rows, len(shown))
                self.assertIn('web0 ', shown[0])
                if height != '3':
                    self.assertEqual(f'  and {64 - rows} more', screen[-1])

    def test_fits(self) -> None:
        for width in (60, 80):
            with self.subTest(str(width)):
                self.environ(COLUMNS=str(width), LINES='40')
                self.display = self.put_up()
                move = reports.in_motion('x' * 90, started=0.0)
                if move.migration is None:
                    raise AssertionError
                move.migration = dataclasses.replace(
                    move.migration, dest='y' * 90, status='post-migrating'
                )
                move.figures, move.asked = (
                    answers.Figures(_GIB, 4 * _GIB),
                    self.seconds,
                )
                screen = self.looked(move, time_left=5000.0)
                self.assertGreaterEqual(width, max(map(len, screen)))
                self.assertIn(' about 1h24m left', screen[-2])
                for words in ('x…', '75%', '1.0 GiB left', 'y…', '16m40s'):
                    self.assertIn(words, screen[-1])

    def test_nothing_to_show(self) -> None:
        screen = self.looked(reports.server_move('mine', _A.LEAVE, 'locked'))
        self.assertEqual(1, len(screen))
        self.assertNotIn(_CURSOR, self.terminal.getvalue())

    def test_host_is_named_after_trouble_as_well(self) -> None:
        self.display(events.Trouble('HTTP 503', 1.0))
        screen = self.looked(reports.server_move('web1'))
        self.assertIn('Nova does not answer', screen[0])
        self.assertIn('compute1: 1 server to move', screen[1])

    def test_names_do_no_harm(self) -> None:
        names = ('[red]x[/red]', '[/]', ':boom:', '\x1b]0;owned\x07', 'a\nb')
        known = [reports.in_motion(name) for name in names]
        screen = '\n'.join(self.looked(*known))
        for shown in ('[red]x[/red]', '[/] ', ':boom:', r'\x1b]0;o', r'a\nb'):
            self.assertIn(f'\n  {shown}', screen)
        self.assertNotIn('\x1b]', self.terminal.getvalue())
        for move in known:
            # the ids of Nova are harmless
            move.server = dataclasses.replace(move.server, id='1')
            self.display(events.Adopted(move))
        for shown in ('[red]x[/red]', '[/]', ':boom:', r'\x1b]0;owned\x07'):
            line = f'{shown} (1): is on its way already'
            self.assertIn(line, ' '.join(self.terminal.screen()))

    def test_colour(self) -> None:
        failed = reports.ended('web1', _O.FAILED, 'x')
        red = '\x1b[1;31m1 failed'
        self.looked(failed)
        self.assertNotIn(red, self.terminal.getvalue())
        self.environ(COLUMNS='80', LINES='40')
        self.display = self.put_up()
        self.looked(failed)
        self.assertIn(red, self.terminal.getvalue())
        self.display = self.put_up()
        self.looked(reports.server_move('web1'))
        self.assertNotIn('\x1b[1;31m', self.terminal.getvalue())

    def test_names_are_cut_in_the_middle(self) -> None:
        for name, room, shown in (
            ('web-1', 16, 'web-1'),
            ('a' * 16, 16, 'a' * 16),
            ('web-of-a-customer-7', 16, 'web-of-…stomer-7'),
        ):
            found = live.shortened(name, room)
            self.assertEqual(shown, found)
            self.assertLessEqual(len(found), room)

    def test_size(self) -> None:
        for count, words in (
            (0, '0 B'),
            (1023, '1023 B'),
            (1536, '1.5 KiB'),
            (340 << 20, '340 MiB'),
            (9 * _GIB, '9.0 GiB'),
            (12 * _GIB, '12 GiB'),
            (5000 << 40, '5000 TiB'),
        ):
            self.assertEqual(words, live.size(count))


class TestTakenDown(Base):
    def test_whatever_happens(self) -> None:
        for error in (None, ValueError('x'), KeyboardInterrupt()):
            with self.subTest(repr(error)):
                self.display = self.put_up()
                stderr = sys.stderr
                try:
                    with self.display:
                        screen = self.looked(reports.in_motion('web1'))
                        if error:
                            raise error
                except (ValueError, KeyboardInterrupt) as exc:
                    self.assertIs(error, exc)
                # the lines stay
                self.assertEqual(screen[:-2], self.terminal.screen())
                self.assertIn(_CURSOR, self.terminal.getvalue())
                self.assertIs(stderr, sys.stderr)

    def test_a_terminal_that_is_gone_ends_nothing(self) -> None:
        moving = reports.in_motion('web1')
        for before in (True, False):
            with self.subTest(before=before):
                display = self.put_up()
                write = mock.patch.object(
                    self.terminal, 'write', side_effect=OSError(5, 'EIO')
                )
                with contextlib.ExitStack() as gone, display:
                    if before:
                        gone.enter_context(write)
                    display(events.Planned('compute1', (moving,), 4, 'set'))
                    if not before:
                        gone.enter_context(write)
                    display(events.Looked((moving,), None))

    def test_answer_goes_to_stdout(self) -> None:
        stdout = sys.stdout
        self.looked(reports.in_motion('web1'))
        self.assertIs(stdout, sys.stdout)

    def test_log_goes_above(self) -> None:
        handler = logging.StreamHandler(self.terminal)
        logging.getLogger().addHandler(handler)
        self.addCleanup(logging.getLogger().removeHandler, handler)
        with self.display:
            before = self.looked(reports.in_motion('web1'))
            logging.getLogger('a').warning('[b]retrying[/b]')
            self.assertEqual(
                [*before[:-2], '[b]retrying[/b]', *before[-2:]],
                self.terminal.screen(),
            )
        self.assertIs(self.terminal, handler.stream)


class TestUsable(Base):
    def test_usable(self) -> None:
        self.assertTrue(self.display.usable)
        with mock.patch.dict('os.environ', {'TERM': 'dumb'}):
            self.assertFalse(self.put_up().usable)
