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

"""Owners are waited for, on the simulated Nova."""

import dataclasses
import datetime

from osc_maintenance.drain import loop
from osc_maintenance.drain import run
from osc_maintenance import exit_codes
from osc_maintenance import owners
from osc_maintenance import servers
from osc_maintenance.tests.unit.drain import simulation
from osc_maintenance.tests.unit.drain import test_loop_base as base
from osc_maintenance import times

HOUR = 3600


class OwnersTestCase(base.LoopTestCase):
    def afresh(self) -> None:
        super().afresh()
        self.world.end = 5 * HOUR
        self.aggregate = base.recorded(base.EVERYTHING)
        self.terms('wait', HOUR)

    def terms(self, heed: str, until: float | None) -> None:
        """What the record says of replies."""
        told = {'maintenance:owner_replies': heed}
        if until is not None:
            moment = simulation.EPOCH + datetime.timedelta(seconds=until)
            told['maintenance:reply_by'] = times.format_time(moment)
        aggregate = self.world.aggregate or self.aggregate
        self.world.aggregate = dataclasses.replace(
            aggregate, metadata={**aggregate.metadata, **told}
        )

    def reply(self, name: str, answer: str) -> None:
        """An owner replies."""
        identity = self.aggregate.metadata['maintenance:id']
        self.say(name, owners.REPLY, f'{identity} {answer}')

    def say(self, name: str, key: str, value: str) -> None:
        guest = self.world.guests[name]
        self.world.guests[name] = dataclasses.replace(
            guest, said={**guest.said, key: value}
        )

    def moved_at(self, name: str) -> float | None:
        """When a server began to move."""
        return next((at for at, ids in self.world.motion if name in ids), None)

    def of(self, drain: base.Drain) -> run.Result:
        return run.Result(drain.loop.moves, drain.loop.ending)


class TestWait(OwnersTestCase):
    def test_one_whose_owner_was_waited_for_is_gone(self) -> None:
        for act in (
            lambda: self.world.delete('mine'),
            lambda: self.world.begin(
                'mine', servers.LIVE_MIGRATION, 'carol', 'h2'
            ),
        ):
            self.afresh()
            self.world.add('mine')
            self.reply('mine', 'own-action')
            self.world.add('hangs', task_state='image_uploading')
            self.world.at(100, act)
            drain = self.drain().run()
            # nobody waits on for the one that hangs
            self.assertEqual('blocked', drain.outcomes()['hangs'])
            self.assertLess(self.world.now, HOUR)

    def test_who_has_replied_goes_at_once_and_the_silent_in_time(
        self,
    ) -> None:
        for name in ('ready', 'silent', 'busy', 'mine', 'kept', 'wish'):
            self.world.add(name)
        self.reply('ready', 'move')
        self.reply('busy', 'not-ready: a release')
        self.reply('mine', 'own-action')
        self.reply('kept', 'keep')
        self.say('wish', owners.POLICY, 'live-migrate')
        drain = self.drain(max_parallel=9).run()
        self.assertEqual(
            {**dict.fromkeys(self.world.guests, 'moved'), 'kept': 'left'},
            drain.outcomes(),
        )
        for name in ('ready', 'wish'):
            self.assertLess(self.moved_at(name) or HOUR, 2)
        for name in ('silent', 'busy', 'mine'):
            moved = self.moved_at(name) or 0.0
            self.assertTrue(HOUR <= moved <= HOUR + 30, f'{name}: {moved}')
        self.assertIs(exit_codes.ExitCode.DONE, self.of(drain).exit_code)

    def test_one_that_somebody_else_has_broken_waits_for_no_owner(
        self,
    ) -> None:
        self.world.add('web')
        self.world.script('web', fails=['post'])
        self.world.at(
            60,
            lambda: self.world.begin('web', servers.LIVE_MIGRATION, 'carol'),
        )
        drain = self.drain().run()
        self.assertEqual({'web': 'failed'}, drain.outcomes())
        self.assertIs(exit_codes.ExitCode.STAYED, self.of(drain).exit_code)

    def test_a_reply_is_heeded_while_it_is_waited_for(self) -> None:
        self.world.add('web')
        self.world.at(600, lambda: self.reply('web', 'move'))
        self.drain().run()
        moved = self.moved_at('web') or 0.0
        self.assertTrue(600 <= moved <= 630, moved)

    def test_it_asks_seldom(self) -> None:
        self.world.add('web')
        self.drain().run()
        self.assertLess(self.world.requests['on'], HOUR / 15)

    def test_another_time_is_heeded(self) -> None:
        self.world.add('web')
        self.world.at(60, lambda: self.terms('wait', 2 * HOUR))
        self.drain().run()
        moved = self.moved_at('web') or 0.0
        self.assertTrue(2 * HOUR <= moved <= 2 * HOUR + 30, moved)

    def test_nobody_waits(self) -> None:
        self.world.add('ready')
        self.world.add('silent')
        self.reply('ready', 'move')
        drain = self.drain(wait=False).run()
        self.assertIs(loop.Ending.HANDED_OVER, drain.loop.ending)
        self.assertIs(exit_codes.ExitCode.OWNERS, self.of(drain).exit_code)
        cause = str(drain.move('silent').cause)
        self.assertIn('no reply yet; until 2026-11-20T01:00', cause)
        # a server that is blocked otherwise is another matter
        self.world.add('broken', vm_state='error')
        drain = self.drain(wait=False).run()
        self.assertIs(exit_codes.ExitCode.STAYED, self.of(drain).exit_code)


class TestRequire(OwnersTestCase):
    def test_the_silent_stay(self) -> None:
        self.terms('require', None)
        for name in ('ready', 'silent'):
            self.world.add(name)
        self.reply('ready', 'move')
        drain = self.drain().run()
        self.assertEqual(
            {'ready': 'moved', 'silent': 'blocked'}, drain.outcomes()
        )
        self.assertEqual(
            'waits for its owner: no reply yet', drain.move('silent').cause
        )
        self.assertIs(exit_codes.ExitCode.OWNERS, self.of(drain).exit_code)
        self.assertLess(self.world.now, 60)
