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

"""Moves that fail, hang, are refused, or of which nobody knows."""

import itertools
import typing
from unittest import mock

from osc_lib import exceptions

from osc_maintenance.drain import events
from osc_maintenance.drain import options
from osc_maintenance.nova import answers
from osc_maintenance.nova import api
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_loop_base as base

_COLD = {'vm_state': 'stopped'}


class TestFailures(base.LoopTestCase):
    def test_a_move_that_goes_on_failing_has_failed_for_its_cause(
        self,
    ) -> None:
        words = simulation.WORDS
        for fails, fields, cause in (
            ('no host', {}, words['no host']),
            ('pre', {}, words['pre']),
            ('copy', {}, 'its migration is failed, and Nova does not tell'),
            ('driver', {}, 'Nova does not tell why; it is ERROR on h1'),
            ('post', {}, 'on h'),
            ('no host', _COLD, words['no host']),
            ('spawn', _COLD, f'{words["spawn"]}; it is ERROR on h'),
        ):
            self.afresh()
            self.world.add('web', ram=4096, disk=99, **fields)
            self.world.script('web', fails=[fails] * 9)
            self.world.add('db')
            drain = self.drain(max_parallel=1).run()
            self.assertEqual(
                {'web': 'failed', 'db': 'moved'}, drain.outcomes(), fails
            )
            self.assertIn(cause, drain.move('web').cause or '')

    def test_one_of_which_nova_cannot_tell_stops_no_other(self) -> None:
        for method in ('why', 'server'):
            self.afresh()
            self.world.script(
                self.world.add('bad', ram=9999), fails=['pre'] * 9
            )
            self.world.add('web')
            real = getattr(base.Client, method)

            def broken(
                client: base.Client,
                server: str,
                *arguments: typing.Any,
                real: typing.Any = real,
            ) -> object:
                if server == 'bad':
                    raise api.TransientError('HTTP 500')
                return real(client, server, *arguments)

            with mock.patch.object(base.Client, method, broken):
                drain = self.drain(max_parallel=1).run()
            self.assertEqual(
                {'bad': 'failed', 'web': 'moved'}, drain.outcomes(), method
            )

    def test_an_evacuation_that_failed_is_not_tried_again(self) -> None:
        for fails in ('no host', 'spawn'):
            self.afresh()
            self.world.hosts[base.HOST] = 'down'
            self.world.script(self.world.add('web'), fails=[fails])
            self.world.add('db')
            drain = self.drain(evacuate=True).run()
            self.assertEqual(
                {'web': 'failed', 'db': 'moved'}, drain.outcomes()
            )
            self.assertIn(
                simulation.WORDS[fails], drain.move('web').cause or ''
            )
            self.assertEqual(2, len(self.world.rows))

    def test_what_failed_is_tried_again_later_and_later(self) -> None:
        for retries, pauses in (
            (0, []),
            (1, [10]),
            (5, [10, 20, 40, 60, 60]),
        ):
            self.afresh()
            self.world.script(self.world.add('web'), fails=['pre'] * 9)
            self.world.script(self.world.add('long'), seconds=300)
            drain = self.drain(retries=retries).run()
            self.assertEqual('failed', drain.outcomes()['web'])
            again = drain.of(events.Retrying)
            self.assertEqual(pauses, [event.seconds for event in again])
            rows = [
                row.migration.created
                for row in self.world.rows
                if row.migration.server == 'web'
            ]
            self.assertEqual(1 + retries, len(rows))
            for first, second, pause in zip(
                rows, rows[1:], pauses, strict=False
            ):
                assert first
                assert second
                age = (second - first).total_seconds()
                self.assertGreaterEqual(age, pause)
                self.assertLess(age, pause + 10)

    def test_what_failed_once_is_moved_after_all(self) -> None:
        for fails in ('no host', 'pre', 'copy'):
            self.afresh()
            self.world.script(self.world.add('web'), fails=[fails])
            drain = self.drain().run()
            self.check_gone('web')
            self.assertEqual({'web': 'moved'}, drain.outcomes())
            self.assertIsNone(drain.move('web').cause)

    def test_a_record_alone_moves_no_server(self) -> None:
        # it says completed, and the server is where it was
        self.world.end = 900
        self.world.script(self.world.add('web'), fails=['lie'] * 500)
        self.world.add('db')
        drain = self.drain().run()
        self.assertEqual({'web': 'failed', 'db': 'moved'}, drain.outcomes())
        self.assertIn('still here', drain.move('web').cause or '')
        self.assertEqual(3, len(self.world.rows))

    def test_nova_may_be_silent_just_then(self) -> None:
        # when it is asked why, where a server is, or to note something
        for method in ('why', 'server', 'write_record', 'on', 'migrations'):
            self.afresh()
            self.world.script(self.world.add('web'), fails=['pre'])
            self.world.add('db')
            drain = self.drain()
            real = getattr(drain.client, method)
            silence = api.TransientError('HTTP 503')
            answers = itertools.chain(
                [silence], itertools.repeat(mock.DEFAULT)
            )
            with mock.patch.object(
                drain.client, method, wraps=real, side_effect=answers
            ) as asked:
                drain.run()
            self.assertGreater(asked.call_count, 1, method)
            self.check_gone('web', 'db')


class TestAnswers(base.LoopTestCase):
    def test_a_refusal_is_the_cause(self) -> None:
        self.world.script(self.world.add('web', ram=4096), answers=['400'])
        self.world.add('db')
        drain = self.drain(max_parallel=1).run()
        self.assertEqual({'web': 'failed', 'db': 'moved'}, drain.outcomes())
        self.assertEqual('web: HTTP 400', drain.move('web').cause)

    def test_conflicts_wait_and_look_again(self) -> None:
        for count in range(8):
            self.afresh()
            self.world.script(self.world.add('web'), answers=['409'] * count)
            self.world.add('db')
            drain = self.drain().run()
            outcome = 'moved' if count <= 5 else 'failed'
            self.assertEqual({'web': outcome, 'db': 'moved'}, drain.outcomes())
            pauses = [event.seconds for event in drain.of(events.Retrying)]
            self.assertEqual([2, 4, 8, 16, 30][:count], pauses)

    def test_a_server_that_is_busy_for_a_while_is_moved_then(self) -> None:
        self.world.add('web')
        self.world.set('web', task_state='image_uploading')
        self.world.at(300, lambda: self.world.set('web', task_state=None))
        drain = self.drain().run()
        self.assertEqual({'web': 'moved'}, drain.outcomes())

    def test_a_lost_answer_is_looked_into_before_anything_is_repeated(
        self,
    ) -> None:
        for answer, fields, unseen in (
            ('lost', {}, 0.1),
            ('lost', {}, 30.0),
            ('lost', _COLD, 0.1),
            ('lost', _COLD, 30.0),
            ('dropped', {}, 0.1),
            ('dropped', _COLD, 0.1),
        ):
            self.afresh()
            names = ('web', 'db', 'mail')
            for name in names:
                self.world.add(name, **fields)
                self.world.script(name, answers=[answer], unseen=unseen)
            drain = self.drain(max_parallel=2).run()
            self.check_gone(*names)
            self.check_in_motion(2)
            self.assertEqual({'moved'}, set(drain.outcomes().values()))
            self.assertEqual(3, len(self.world.rows))

    def test_what_nova_never_got_is_asked_for_again_soon(self) -> None:
        self.world.script(self.world.add('web'), answers=['dropped'])
        self.drain().run()
        self.check_gone('web')
        self.assertLess(self.world.now, 35)

    def test_a_lost_evacuation_is_never_asked_for_twice(self) -> None:
        for answer in ('lost', 'dropped'):
            self.afresh()
            self.world.hosts[base.HOST] = 'down'
            self.world.add('web')
            self.world.script('web', answers=[answer], unseen=4, scheduling=40)
            drain = self.drain(evacuate=True).run()
            self.assertEqual({'web': 'moved'}, drain.outcomes())
            self.assertEqual(1, len(self.world.rows))

    def test_a_lost_confirmation_is_no_failure(self) -> None:
        self.world.add('web', vm_state='stopped')
        self.world.script('web', answers=['ok', 'lost'])
        drain = self.drain().run()
        self.check_gone('web')
        self.assertEqual({'web': 'moved'}, drain.outcomes())
        self.assertEqual(1, self.world.requests['confirm'])

    def test_a_confirmation_that_never_gets_through(self) -> None:
        for error in (
            api.TransientError('HTTP 503'),
            exceptions.CommandError('HTTP 403'),
        ):
            self.afresh()
            self.world.end = 900
            self.world.add('off', vm_state='stopped')
            with mock.patch.object(
                base.Client, 'confirm', side_effect=error
            ) as asked:
                drain = self.drain().run()
            self.assertEqual({'off': 'failed'}, drain.outcomes())
            cause = drain.move('off').cause or ''
            self.assertIn('cannot be confirmed: HTTP', cause)
            self.assertEqual(6, asked.call_count)

    def test_an_answer_is_lost_and_the_server_leaves_by_another_way(
        self,
    ) -> None:
        self.world.end = 900
        self.world.script(self.world.add('web'), answers=['dropped'])
        drain = self.drain()
        self.world.at(
            2, lambda: self.world.set('web', host='', vm_state='shelved')
        )
        drain.run()
        self.assertEqual({'web': 'left'}, drain.outcomes())


class TestOverdue(base.LoopTestCase):
    def overdue(
        self,
        on_timeout: options.OnTimeout,
        *,
        abortable: bool = True,
        vm_state: str = 'active',
    ) -> tuple[base.Drain, str, str]:
        """A server that hangs and three that do not, on two slots."""
        self.afresh()
        self.world.add('web', ram=8192, disk=99, vm_state=vm_state)
        self.world.script('web', fails=['hang'], abortable=abortable)
        self.world.words['web'] = 'it was told to stop'
        for number in range(3):
            self.world.add(f'db{number}')
        drain = self.drain(server_timeout=60, on_timeout=on_timeout).run()
        for number in range(3):
            self.assertEqual('moved', drain.outcomes().pop(f'db{number}'))
        self.check_in_motion(2)
        move = drain.move('web')
        return drain, move.outcome.value, move.cause or ''

    def test_what_is_done_with_a_move_that_takes_too_long(self) -> None:
        timeouts = options.OnTimeout
        for on_timeout, how, outcome, cause, at_last in (
            (timeouts.ABORT, {}, 'failed', 'was aborted (cancelled)', 64),
            (
                timeouts.ABORT,
                {'abortable': False},
                'moving',
                'was aborted, without effect so far',
                135,
            ),
            (timeouts.FORCE_COMPLETE, {}, 'moved', '', 75),
            (
                timeouts.FORCE_COMPLETE,
                {'abortable': False},
                'moving',
                'was forced to complete, without effect so far',
                135,
            ),
            (timeouts.LEAVE, {}, 'moving', 'was left to go on', 75),
            (
                timeouts.ABORT,
                {'vm_state': 'stopped'},
                'moving',
                'Nova stops live migrations only',
                75,
            ),
        ):
            drain, *found = self.overdue(on_timeout, **how)
            self.assertEqual(outcome, found[0], f'{on_timeout} {how}')
            # an abort has done what was asked for: nothing is told beside it
            self.assertTrue(found[1].endswith(cause), found[1])
            self.assertLess(self.world.now, at_last)
            self.assertGreater(self.world.now, 60)
            told = drain.of(events.Overdue)
            self.assertEqual(2 if at_last == 135 else 1, len(told))

    def test_why_one_that_took_too_long_has_failed(self) -> None:
        _abort, force, _leave = options.OnTimeout
        post = simulation.WORDS['post']
        for fail, words, cause in (
            ('post', {}, f'(error): {post}; it is ERROR on h3'),
            ('driver', {}, '(error); it is ERROR on h1'),
            ('driver', {'web': 'no'}, '(error): no; it is ERROR on h1'),
        ):
            self.afresh()
            # it fails after it was forced, and before it is given up
            self.world.script(self.world.add('web'), fails=[fail], seconds=90)
            self.world.scripts['web'].abortable = False
            self.world.words.update(words)
            drain = self.drain(server_timeout=60, on_timeout=force).run()
            self.assertEqual({'web': 'failed'}, drain.outcomes())
            took = 'took longer than 1m and was forced to complete'
            self.assertEqual(f'{took} {cause}', drain.move('web').cause)

    def test_one_that_waits_in_a_queue_is_not_overdue(self) -> None:
        self.world.limit = 1
        for number in range(3):
            self.world.script(self.world.add(f'web{number}'), seconds=45)
        drain = self.drain(max_parallel=3, server_timeout=60).run()
        self.assertEqual({'moved'}, set(drain.outcomes().values()))
        self.assertEqual([], drain.of(events.Overdue))

    def test_what_waits_in_nova_behind_one_that_was_given_up_ends_too(
        self,
    ) -> None:
        # Nova lets one at a time leave the host
        self.world.limit, self.world.end = 1, 2000
        self.world.script(self.world.add('web', ram=8192), fails=['hang'])
        self.world.scripts['web'].abortable = False
        self.world.add('db')
        drain = self.drain(server_timeout=30).run()
        self.assertEqual('moving', drain.outcomes()['web'])
        self.assertNotEqual('moved', drain.outcomes()['db'])

    def test_those_that_were_given_up_keep_their_slots(self) -> None:
        for name in ('web', 'db'):
            self.world.add(name, ram=8192)
            self.world.script(name, fails=['hang'], abortable=False)
        self.world.add('mail')
        drain = self.drain(server_timeout=30).run()
        self.check_in_motion(2)
        self.assertEqual(
            {'web': 'moving', 'db': 'moving', 'mail': 'waiting'},
            drain.outcomes(),
        )
        self.assertIn('take too long', drain.move('mail').cause or '')

    def test_one_that_was_given_up_may_come_to_its_end(self) -> None:
        # while others are still waited for
        self.world.script(self.world.add('web', ram=8192), seconds=100)
        self.world.scripts['web'].abortable = False
        for number in range(4):
            self.world.script(self.world.add(f'db{number}'), seconds=28)
        drain = self.drain(server_timeout=30).run()
        self.check_in_motion(2)
        self.assertEqual({'moved'}, set(drain.outcomes().values()))
        self.assertIsNone(drain.move('web').cause)

    def test_a_member_of_its_group_waits_for_one_that_was_given_up(
        self,
    ) -> None:
        for name in ('web', 'db'):
            self.world.add(name, ram=4096 if name == 'web' else 512)
        self.world.script('web', fails=['hang'], abortable=False)
        self.world.groups = [
            answers.Group('g1', 'g', 'anti-affinity', 1, ('web', 'db'))
        ]
        drain = self.drain(server_timeout=30).run()
        self.assertEqual({'web': 'moving', 'db': 'waiting'}, drain.outcomes())
        # a slot is free: this is not why
        self.assertNotIn('hold all', drain.move('db').cause or '')


class TestDeleted(base.LoopTestCase):
    def test_a_server_may_be_deleted_at_any_moment(self) -> None:
        wrong = {}
        for fields, limit in (({}, 9), ({}, 1), (_COLD, 9)):
            for tenths in range(1, 120):
                self.afresh()
                self.world.end, self.world.limit = 900, limit
                self.world.add('web', **fields)
                self.world.script('web', scheduling=1)
                self.world.script(self.world.add('db', ram=4096), seconds=8)
                drain = self.drain()
                moment = tenths / 10
                self.world.at(moment, lambda: self.world.delete('web'))
                try:
                    drain.run()
                except simulation.EndlessError:
                    wrong[(*fields, limit, moment)] = 'it never ends'
                    continue
                self.check_gone('db')
                found = drain.outcomes().get('web')
                if found not in ('deleted', 'moved'):
                    wrong[(*fields, limit, moment)] = str(found)
        self.assertEqual({}, wrong)

    def test_one_that_was_moved_long_ago_is_not_moved_now(self) -> None:
        # it came back, and waits for its turn when it is deleted
        self.world.add('web')
        self.world.begin('web', servers.LIVE_MIGRATION, 'bob')
        self.world.advance(10)
        self.world.set('web', host=base.HOST)
        self.world.script(self.world.add('db', ram=4096), seconds=30)
        self.world.at(20, lambda: self.world.delete('web'))
        drain = self.drain(max_parallel=1).run()
        self.assertEqual({'web': 'deleted', 'db': 'moved'}, drain.outcomes())
