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

"""How a host stands whose servers wait for their owners, or were stopped."""

import dataclasses
import datetime

from oslotest import base

from osc_maintenance import asking
from osc_maintenance import change
from osc_maintenance import journal
from osc_maintenance import noting
from osc_maintenance import owners
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance import state
from osc_maintenance.tests.unit import scenes
from osc_maintenance.tests.unit import test_state_drain

S = state.State
WEB, DB = test_state_drain.WEB, test_state_drain.DB
STARTED, ended = test_state_drain.STARTED, test_state_drain.ended
drained, with_servers = test_state_drain.drained, test_state_drain.with_servers


class TestOwners(base.BaseTestCase):
    ID = '3f9a1c2e'
    UNTIL = scenes.NOW + scenes.HOUR

    def standing(
        self,
        *here: servers.Server,
        replies: owners.Heed = owners.Heed.WAIT,
        notes: tuple[dict[str, str | None], ...] = (STARTED,),
        later: int = 0,
    ) -> state.Standing:
        request = asking.Request(
            policy=policy.Policy(policy.ALL),
            notify=True,
            replies=replies,
            reply_by=self.UNTIL,
        )
        entered = scenes.entered(request=request, now=scenes.NOW)
        steps = [change.WriteRecord(note) for note in notes]
        return state.derive(
            scenes.after(entered, *steps),
            with_servers(*here),
            scenes.NOW + datetime.timedelta(seconds=later),
        )

    def replied(self, answer: str) -> servers.Server:
        said = {owners.REPLY: f'{self.ID} {answer}'}
        return dataclasses.replace(DB, said=said)

    def test_they_are_waited_for(self) -> None:
        found = self.standing(WEB, self.replied('not-ready: x'), later=900)
        self.assertEqual(S.MIGRATING, found.state)
        self.assertIn('2 servers left: web (web-id): waits', str(found.cause))
        self.assertIn(
            'not ready (x); until 2026-11-20T07:00:00Z', str(found.cause)
        )
        # nothing else is left for long
        found = self.standing(WEB, later=3600)
        self.assertEqual(S.ERROR, found.state)

    def test_they_are_required(self) -> None:
        ended_ = ended({'web-id': 'waits for its owner: no reply yet'})
        required = owners.Heed.REQUIRE
        found = self.standing(
            WEB, replies=required, notes=(ended_,), later=900
        )
        self.assertEqual(S.ERROR, found.state)
        self.assertIn('no reply yet', str(found.cause))
        # show does not go on saying so
        web = dataclasses.replace(WEB, said={owners.REPLY: f'{self.ID} move'})
        found = self.standing(
            web, replies=required, notes=(ended_,), later=900
        )
        self.assertEqual(S.ERROR, found.state)
        self.assertIn('has replied since', str(found.cause))

    def test_apply_waits_for_them(self) -> None:
        by_apply = noting.started(journal.Journal(), {}, how='apply')
        for replies in (owners.Heed.WAIT, owners.Heed.REQUIRE):
            found = self.standing(
                WEB, replies=replies, notes=(by_apply,), later=900
            )
            self.assertEqual(S.MIGRATING, found.state)
            self.assertIn('no reply yet', str(found.cause))

    def test_others_are_left_as_well(self) -> None:
        found = self.standing(WEB, self.replied('move'), later=900)
        self.assertEqual(S.MIGRATING, found.state)
        self.assertIn('db (db-id): not tried yet', str(found.cause))
        found = self.standing(
            WEB, self.replied('move'), notes=(ended({}),), later=900
        )
        self.assertEqual(S.ERROR, found.state)
        # one that cannot go either is no owner's matter
        broken = dataclasses.replace(WEB, vm_state='error')
        self.assertEqual(S.ERROR, self.standing(broken, later=900).state)

    def test_those_that_were_stopped_are_named_whatever_the_state(
        self,
    ) -> None:
        off = dataclasses.replace(WEB, vm_state='stopped', status='SHUTOFF')
        noted = noting.stopping(journal.Journal(), ['web-id'])
        failed = ended({'db-id': 'no room'})
        found = self.standing(
            off, self.replied('move'), notes=(failed, noted), later=900
        )
        self.assertEqual(S.ERROR, found.state)
        for words in ('no room', 'stopped for this maintenance: web (web-id)'):
            self.assertIn(words, str(found.cause))

    def test_what_is_about_to_end_says_so(self) -> None:
        noted = (
            noting.stopping(journal.Journal(), ['web-id']),
            noting.returning({}, scenes.NOW, brings_back=False),
        )
        found = self.standing(WEB, notes=noted, later=900)
        self.assertEqual(S.ERROR, found.state)
        self.assertIn('unset is about to end', str(found.cause))

    def test_those_to_be_stopped_are_not_forgotten(self) -> None:
        said = {owners.POLICY: 'stop'}
        found = self.standing(
            DB, dataclasses.replace(WEB, said=said), later=900
        )
        self.assertIn('web (web-id): to be stopped when', str(found.cause))

    def test_one_that_runs_again_is_stopped_by_the_next_set(self) -> None:
        said = {owners.POLICY: 'stop'}
        noted = noting.stopping(journal.Journal(), ['web-id'])
        found = self.standing(
            dataclasses.replace(WEB, said=said),
            notes=(ended({}), noted),
            later=900,
        )
        self.assertEqual(S.ERROR, found.state)
        self.assertIn('web (web-id): to be stopped, and', str(found.cause))
        self.assertIn('set again', str(found.cause))

    def test_those_that_were_stopped_are_named(self) -> None:
        off = dataclasses.replace(WEB, vm_state='stopped', status='SHUTOFF')
        noted = noting.stopping(journal.Journal(), ['web-id'])
        found = self.standing(
            off, self.replied('keep'), notes=(ended({}), noted)
        )
        self.assertEqual(
            state.Standing(
                S.MAINTENANCE,
                '1 server kept by the owners: db (db-id); 1 server stopped '
                'for this maintenance: web (web-id)',
            ),
            found,
        )
