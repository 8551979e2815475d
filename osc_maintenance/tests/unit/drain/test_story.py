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

import hypothesis
from hypothesis import strategies

from osc_maintenance.drain import events
from osc_maintenance.drain import moves
from osc_maintenance.drain import story
from osc_maintenance.drain import verdict
from osc_maintenance.tests.unit.drain import reports
from osc_maintenance.tests.unit.drain import stories

_A = verdict.Action
_O = moves.Outcome


class TestChanges(stories.StoryTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.plan(
            *(reports.server_move(f'web{number}') for number in range(1, 5)),
            reports.server_move('mine', _A.LEAVE, 'locked', locked=True),
        )

    def test_of_one_server(self) -> None:
        again = reports.in_motion('web1')
        again.attempts = 2
        ours = reports.in_motion('web1')
        theirs = reports.in_motion('web1')
        theirs.ours, theirs.migration = False, None
        unclaimed = reports.in_motion('web1')
        unclaimed.ours = False
        overdue = reports.in_motion('web1')
        overdue.overdue = 'took longer than 5m and was aborted'
        given_up = reports.in_motion('web1')
        given_up.given_up = True
        given_up.cause = 'took longer than 5m and was left to go on'
        untold = reports.ended('web1', _O.MOVED)
        untold.migration = None
        at_once = reports.ended('web1', _O.MOVED)
        if at_once.migration is None:
            raise AssertionError
        at_once.migration = dataclasses.replace(
            at_once.migration, updated=at_once.migration.created
        )
        for event, words in (
            (
                events.Started(reports.in_motion('web1')),
                'live migration started',
            ),
            (
                events.Started(reports.in_motion('web1', _A.COLD_MIGRATE)),
                'cold migration started',
            ),
            (
                events.Started(again),
                'live migration started again (attempt 2)',
            ),
            (
                events.Adopted(ours),
                'is on its way already: live migration to compute2, started '
                'by another run',
            ),
            (
                events.Adopted(theirs),
                'is on its way already: live migration, started by somebody '
                'else',
            ),
            (
                events.Adopted(unclaimed),
                'is on its way already: live migration to compute2, started '
                'by somebody whom Nova does not name',
            ),
            (
                events.Appeared(
                    reports.server_move('web1', _A.BLOCKED, 'is stuck')
                ),
                'has come to compute1: blocked: is stuck',
            ),
            (
                events.Appeared(reports.server_move('web1')),
                'has come to compute1: to be moved as well',
            ),
            (
                events.Confirming(reports.in_motion('web1', _A.COLD_MIGRATE)),
                'cold migration to compute2 done, being confirmed',
            ),
            (
                events.Overdue(overdue),
                'took longer than 5m and was aborted',
            ),
            (
                events.Overdue(given_up),
                'took longer than 5m and was left to go on; no longer waited '
                'for',
            ),
            (
                events.Retrying(reports.server_move('web1'), 'is busy', 9.5),
                'will be tried again in 10s: is busy',
            ),
            (
                events.Ended(reports.ended('web1', _O.MOVED)),
                'moved to compute2 in 12s (1 of 4)',
            ),
            (events.Ended(untold), 'moved (1 of 4)'),
            (events.Ended(at_once), 'moved to compute2 in 0s (1 of 4)'),
            (
                events.Ended(
                    reports.ended('web1', _O.MOVED, action=_A.EVACUATE)
                ),
                'evacuated to compute2 in 12s (1 of 4)',
            ),
            (
                events.Ended(reports.ended('web1', _O.DELETED)),
                'was deleted meanwhile (1 of 4)',
            ),
            (
                events.Ended(
                    reports.ended('web1', _O.FAILED, 'No valid host')
                ),
                'failed: No valid host',
            ),
            (
                events.Ended(
                    reports.ended('web1', _O.LEFT, 'is now on compute3')
                ),
                'left: is now on compute3',
            ),
        ):
            with self.subTest(words):
                self.assertEqual(
                    [f'web1 (id-web1): {words}'], self.told(event)
                )

    def test_server_is_named_once(self) -> None:
        move = reports.ended('web1', _O.FAILED, 'web1 (id-web1): Forbidden')
        self.assertEqual(
            ['web1 (id-web1): failed: Forbidden'],
            self.told(events.Ended(move)),
        )

    def test_the_count_goes_on(self) -> None:
        first, second = (
            reports.ended('web1', _O.MOVED),
            reports.ended('web2', _O.MOVED),
        )
        lines = self.told(events.Ended(first), events.Ended(second))
        self.assertEqual(['(1 of 4)', '(2 of 4)'], [x[-8:] for x in lines])

    def test_the_count_is_of_what_is_known_by_now(self) -> None:
        known = [reports.server_move(f'web{number}') for number in range(9)]
        self.told(events.Looked(tuple(known)))
        known[0].end(_O.MOVED)
        (line,) = self.told(events.Ended(known[0]))
        self.assertIn('(1 of 9)', line)

    def test_queue(self) -> None:
        for count, words in (
            (1, "1 migration waits in Nova's queue: "),
            (2, "2 migrations wait in Nova's queue: "),
        ):
            (line,) = self.told(events.Queued(count))
            self.assertEqual(words, line[: len(words)])
            self.assertIn('(max_concurrent_live_migrations)', line)

    def test_the_compute_service(self) -> None:
        for down, words in (
            (True, ' is down: what is in motion may not end'),
            (False, ' is up again'),
        ):
            (line,) = self.told(events.Down('h1', down))
            self.assertIn(words, line)

    def test_waiting(self) -> None:
        self.assertEqual(
            ['waiting for what ends by itself: a; b; c; d; e and 2 more'],
            self.told(events.Waiting(tuple('abcdefg'))),
        )
        self.assertEqual([], self.told(events.Waiting(())))

    def test_ctrl_c_is_told_once_and_before_any_waiting(self) -> None:
        self.story = story.Story(lambda: self.seconds)
        self.assertNotIn(stories.CTRL_C, self.plan())
        come = events.Appeared(reports.server_move('web9'))
        self.assertEqual(stories.CTRL_C, self.told(come)[-1])
        self.assertNotIn(
            stories.CTRL_C, self.told(come, events.Waiting(('x',)))
        )

    def test_interrupted(self) -> None:
        web1, web2 = reports.in_motion('web1'), reports.in_motion('web2')
        web3 = reports.ended('web3', _O.MOVED)
        to_go = reports.server_move('web4')
        self.told(events.Looked((web1, web2, web3, to_go)))
        goes_on = (
            '1 to go: "openstack host maintenance set compute1" continues'
        )
        for moving, cause, words in (
            ((), 'interrupted', 'no server is in motion'),
            (
                (web1,),
                '--timeout is over',
                '1 server is in motion and goes on in Nova: web1',
            ),
            (
                (web1, web2),
                'interrupted',
                '2 servers are in motion and go on in Nova: web1, web2',
            ),
        ):
            with self.subTest(words):
                self.assertEqual(
                    [f'{cause}: 1 of 4 done; {words}', goes_on],
                    self.told(events.Interrupted(moving, cause)),
                )

    def test_interrupted_with_nothing_but_a_cold_migration(self) -> None:
        cold = reports.in_motion('web1', _A.COLD_MIGRATE)
        again = '"openstack host maintenance set compute1" continues'
        for ours, told in (
            (True, f'{again}, and confirms cold migrations'),
            # that is for whoever has started it
            (False, again),
        ):
            cold.ours = ours
            _first, second = self.told(
                events.Looked((cold,)),
                events.Interrupted((cold,), '--no-wait'),
            )
            self.assertEqual(told, second)

    def test_the_end_is_not_noted(self) -> None:
        told = r'the end is not noted: HTTP\x1b 503'
        again = '"openstack host maintenance set compute1" notes it'
        for lost, lines in ((False, [told, again]), (True, [told])):
            event = events.Unnoted('HTTP\x1b 503', lost)
            self.assertEqual(lines, self.told(event))

    def test_interrupted_before_the_plan(self) -> None:
        self.story = story.Story(lambda: self.seconds)
        self.assertEqual(
            ['interrupted: nothing was started'],
            self.told(events.Interrupted((), 'interrupted')),
        )


class TestTrouble(stories.StoryTestCase):
    def trouble(self, cause: str = 'HTTP 503', seconds: float = 4.0) -> bool:
        """Whether trouble is told."""
        return bool(self.told(events.Trouble(cause, seconds)))

    def test_words(self) -> None:
        self.assertEqual(
            ['Nova does not answer, asked again in 4s: HTTP 503'],
            self.told(events.Trouble('HTTP 503', 4.0)),
        )
        (line,) = self.told(events.Trouble('HTTP 504', 0.0))
        self.assertIn('whether it has taken the request will be seen', line)

    def test_told_when_it_changes_or_once_a_minute(self) -> None:
        self.assertTrue(self.trouble())
        self.seconds += 59
        self.assertFalse(self.trouble())
        self.assertTrue(self.trouble('HTTP 500'))
        self.seconds += 60
        self.assertTrue(self.trouble('HTTP 500'))

    def test_number_of_the_request_is_no_change(self) -> None:
        words = 'HTTP 503 (Request-ID: req-{}0000000-0000-4000-8000-0000)'
        self.assertTrue(self.trouble(words.format(1)))
        self.assertFalse(self.trouble(words.format(2)))

    def test_its_end_is_told_once(self) -> None:
        self.trouble()
        looked = events.Looked(())
        self.assertEqual(['Nova answers again'], self.told(looked, looked))
        # what was not told has no end either
        self.assertFalse(self.trouble())
        self.assertEqual([], self.told(looked))

    def test_no_end_where_there_is_none(self) -> None:
        self.trouble()
        stopped = events.Interrupted((), 'interrupted')
        self.assertNotIn('Nova answers again', self.told(stopped))
        # the plan shows it by itself
        self.assertEqual(['no server to move'], self.plan())
        self.trouble('taken?', 0.0)
        self.assertEqual([], self.told(events.Looked(())))


class TestHarmless(stories.StoryTestCase):
    @hypothesis.given(strategies.text(min_size=1), strategies.text())
    def test_whoever_wrote_it(self, name: str, words: str) -> None:
        def named(move: moves.Move) -> moves.Move:
            move.server = dataclasses.replace(move.server, id='1', name=name)
            return move

        self.story = story.Story(lambda: self.seconds)
        move = named(reports.in_motion('web1'))
        move.overdue = words
        blocked = named(reports.server_move('web2', _A.BLOCKED, words))
        failed = named(reports.ended('web3', _O.FAILED, words))
        lines = self.told(
            events.Trouble(words, 1.0),
            events.Planned(name, (blocked, move), 1, 'set compute1'),
            events.Adopted(move),
            events.Overdue(move),
            events.Retrying(move, words, 1.0),
            events.Waiting((words,)),
            events.Ended(failed),
            events.Interrupted((move,), 'interrupted'),
        )
        self.assertEqual(11, len(lines))
        for line in lines:
            self.assertTrue(line.isprintable(), line)
