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

import typing

from oslotest import base

from osc_maintenance.drain import verdict
from osc_maintenance import owners
from osc_maintenance import policy
from osc_maintenance import servers
from osc_maintenance.tests.unit import scenes

_A = verdict.Action
H = owners.Heed
WISH = 'maintenance:policy'
EVERYTHING = policy.Policy(policy.ALL)
AROUND = verdict.Surroundings('h1', zones={'h2': 'nova', 'h3': 'edge'})


def around(**fields: typing.Any) -> verdict.Surroundings:
    return verdict.Surroundings(
        **{'host': 'h1', 'zones': AROUND.zones, **fields}
    )


def group(policy_name: str, **fields: typing.Any) -> verdict.Surroundings:
    made = verdict.Group('g1', 'web\x1b', policy_name, **fields)
    return around(groups={'s1': made})


class TestVerdict(base.BaseTestCase):
    def judge(
        self,
        fields: dict[str, typing.Any],
        chosen: policy.Policy = EVERYTHING,
        where: verdict.Surroundings = AROUND,
        *,
        evacuate: bool = False,
    ) -> verdict.Verdict:
        server = servers.Server('s1', 'web1', **fields)
        return verdict.verdict(
            server, chosen, where, scenes.NOW, evacuate=evacuate
        )

    def test_what_moves_and_how(self) -> None:
        for vm_state, action, evacuated in (
            ('active', _A.LIVE_MIGRATE, _A.EVACUATE),
            ('paused', _A.LIVE_MIGRATE, _A.BLOCKED),
            ('stopped', _A.COLD_MIGRATE, _A.EVACUATE),
            ('error', _A.BLOCKED, _A.EVACUATE),
            ('rescued', _A.BLOCKED, _A.BLOCKED),
            ('suspended', _A.BLOCKED, _A.BLOCKED),
            ('shelved', _A.BLOCKED, _A.BLOCKED),
            ('resized', _A.BLOCKED, _A.BLOCKED),
            ('soft-delete', _A.BLOCKED, _A.BLOCKED),
            ('building', _A.BLOCKED, _A.BLOCKED),
            ('', _A.BLOCKED, _A.BLOCKED),
        ):
            for evacuate, wanted in ((False, action), (True, evacuated)):
                found = self.judge({'vm_state': vm_state}, evacuate=evacuate)
                self.assertIs(wanted, found.action, vm_state)
                self.assertEqual(wanted in verdict.KINDS, found.moves)
                self.assertEqual(found.moves, found.cause is None)
                # on a host that is dead nothing ends by itself
                ends = vm_state == 'building' and not evacuate
                self.assertEqual(ends, found.passing)

    def test_why_it_is_left(self) -> None:
        for fields, chosen, cause in (
            ({}, policy.NOTHING, 'no server is to be moved'),
            ({}, policy.Policy('all', exclude=frozenset(['s1'])), 'excluded'),
            (
                {},
                policy.Policy('all', only=frozenset(['s2'])),
                'not one of the servers that are to be moved',
            ),
            (
                {'project': 'p1'},
                policy.Policy('all', projects=frozenset(['p2'])),
                'not of a project whose servers are to be moved',
            ),
            (
                {'vm_state': 'stopped', 'status': 'SHUTOFF'},
                policy.Policy('active'),
                'does not run (SHUTOFF)',
            ),
            (
                {'locked': True},
                EVERYTHING,
                'locked (--include-locked moves it)',
            ),
            (
                {'locked': True, 'locked_reason': 'month end'},
                EVERYTHING,
                'locked: month end (--include-locked moves it)',
            ),
            (
                {'said': {WISH: 'keep'}},
                EVERYTHING,
                'kept by its owner (its property maintenance:policy)',
            ),
        ):
            # whatever else is true of it
            for more in ({}, {'task_state': 'rebooting'}):
                self.assertEqual(
                    verdict.Verdict(_A.LEAVE, cause),
                    self.judge({**fields, **more}, chosen),
                )

    def test_its_owner_chooses_how_it_moves(self) -> None:
        tied = {'extra_specs': {'hw:tpm_version': '2.0'}}
        for wish, fields, action, cause in (
            ('live-migrate', {}, _A.LIVE_MIGRATE, None),
            ('cold-migrate', {}, _A.COLD_MIGRATE, 'as its owner wishes'),
            # what keeps it from moving live does not matter then
            ('cold-migrate', tied, _A.COLD_MIGRATE, 'as its owner wishes'),
            ('live-migrate', tied, _A.BLOCKED, 'TPM'),
            # these Nova moves in one way only
            ('cold-migrate', {'vm_state': 'paused'}, _A.LIVE_MIGRATE, None),
            ('live-migrate', {'vm_state': 'stopped'}, _A.COLD_MIGRATE, None),
            ('cold-migrate', {'vm_state': 'error'}, _A.BLOCKED, 'in ERROR'),
            ('stay!', {}, _A.LIVE_MIGRATE, 'is not understood: stay!'),
        ):
            found = self.judge({**fields, 'said': {WISH: wish}})
            self.assertIs(action, found.action, f'{wish} {fields}')
            if cause is None:
                self.assertIsNone(found.cause)
            else:
                self.assertIn(cause, str(found.cause))

    def test_but_not_where_the_host_is_down(self) -> None:
        for wish, action in (
            ('cold-migrate', _A.EVACUATE),
            ('keep', _A.LEAVE),
        ):
            found = self.judge({'said': {WISH: wish}}, evacuate=True)
            self.assertIs(action, found.action)

    def test_why_it_is_blocked(self) -> None:
        pinned = policy.Policy('all', pinned=True)
        target = policy.Policy('all', target='h3')
        specs: typing.Any = {
            'PCI device gpu:1': {'pci_passthrough:alias': 'gpu:1'},
            'accelerator fpga': {'accel:device_profile': 'fpga'},
            'virtual GPU': {'resources1:VGPU': '1'},
            'emulated TPM': {'hw:tpm_version': '2.0'},
            'encrypted memory': {'hw:mem_encryption': 'True'},
        }
        tpm = {'i1': {'hw_tpm_model': 'tpm-crb'}}
        memory = {'i1': {'hw_mem_encryption': 'true'}}
        none = frozenset[str]()
        rows: list[tuple[typing.Any, typing.Any, typing.Any, str]] = [
            ({'vm_state': 'error'}, EVERYTHING, AROUND, 'is in ERROR: repair'),
            ({'vm_state': 'rescued'}, EVERYTHING, AROUND, 'unrescue it'),
            ({'vm_state': 'suspended'}, EVERYTHING, AROUND, 'resume it'),
            ({'vm_state': 'shelved'}, EVERYTHING, AROUND, 'not offloaded yet'),
            ({'vm_state': 'resized'}, EVERYTHING, AROUND, 'resize confirm'),
            ({'vm_state': 'soft-delete'}, EVERYTHING, AROUND, 'is deleted'),
            ({'vm_state': 'odd'}, EVERYTHING, AROUND, 'no server that is odd'),
            ({}, EVERYTHING, around(up=False), 'nova-compute on h1 is down'),
            ({}, EVERYTHING, around(zones={}), 'no other host that is'),
            ({}, pinned, around(bare_metal=True), 'a machine of Ironic'),
            ({}, policy.Policy('all', target='h9'), AROUND, 'h9 is not'),
            (
                {'zone': 'far'},
                EVERYTHING,
                AROUND,
                'availability zone far is enabled and up',
            ),
            ({'zone': 'nova'}, target, AROUND, 'availability zone nova'),
            ({}, EVERYTHING, around(room={'s1': none}), 'on any host'),
            (
                {},
                target,
                around(room={'s1': frozenset(['h2'])}),
                'no room for it on h3',
            ),
            (
                {},
                EVERYTHING,
                group('anti-affinity', elsewhere={'h2': 1, 'h3': 1}),
                'anti-affinity server group web\\x1b has members on every',
            ),
            (
                {},
                EVERYTHING,
                group('anti-affinity', limit=2, elsewhere={'h2': 2, 'h3': 2}),
                'has members on every',
            ),
            ({}, EVERYTHING, group('affinity'), 'keeps it on h1'),
            ({'image': 'i1'}, EVERYTHING, around(images=tpm), 'emulated TPM'),
            (
                {'image': 'i1'},
                EVERYTHING,
                around(images=memory),
                'encrypted memory',
            ),
            *(
                ({'extra_specs': item}, EVERYTHING, AROUND, f'its {cause}')
                for cause, item in specs.items()
            ),
            # pinned does not help where nothing does
            ({}, pinned, around(zones={}), 'no other host'),
        ]
        for fields, chosen, where, cause in rows:
            found = self.judge(fields, chosen, where)
            self.assertIs(_A.BLOCKED, found.action, cause)
            self.assertIn(cause, found.cause or '')
            self.assertIs('is down' in cause, found.passing)

    def test_what_ends_by_itself(self) -> None:
        for fields, cause in (
            ({'task_state': 'rebooting'}, 'a task is under way: rebooting'),
            ({'task_state': 'migrating'}, 'a task is under way: migrating'),
            ({'vm_state': 'building'}, 'is being built'),
        ):
            self.assertEqual(
                verdict.Verdict(_A.BLOCKED, cause, passing=True),
                self.judge(fields),
            )

    def test_what_was_under_way_on_a_dead_host_is_not_waited_for(
        self,
    ) -> None:
        for task, action in (
            ('migrating', _A.EVACUATE),
            ('resize_migrating', _A.EVACUATE),
            ('rebuilding', _A.EVACUATE),
            ('rebooting', _A.EVACUATE),
            # Nova deletes it once the host is back
            ('deleting', _A.BLOCKED),
            ('soft-deleting', _A.BLOCKED),
        ):
            found = self.judge({'task_state': task}, evacuate=True)
            self.assertIs(action, found.action, task)

    def test_what_does_not_keep_it(self) -> None:
        pci = {'extra_specs': {'pci_passthrough:alias': 'gpu:1'}}
        room = {'s1': frozenset(['h3'])}
        rows: list[tuple[typing.Any, typing.Any, typing.Any, _A]] = [
            (pci, policy.Policy('all', pinned=True), AROUND, _A.LIVE_MIGRATE),
            # a device is attached anew
            (
                {**pci, 'vm_state': 'stopped'},
                EVERYTHING,
                AROUND,
                _A.COLD_MIGRATE,
            ),
            ({'zone': 'edge'}, EVERYTHING, around(room=room), _A.LIVE_MIGRATE),
            ({}, policy.Policy('all', target='h3'), AROUND, _A.LIVE_MIGRATE),
            (
                {},
                EVERYTHING,
                around(room={'s2': frozenset()}),
                _A.LIVE_MIGRATE,
            ),
            ({}, EVERYTHING, group('soft-affinity'), _A.LIVE_MIGRATE),
            (
                {},
                EVERYTHING,
                group('anti-affinity', elsewhere={'h2': 1}),
                _A.LIVE_MIGRATE,
            ),
            (
                {},
                EVERYTHING,
                group('anti-affinity', limit=2, elsewhere={'h2': 1, 'h3': 1}),
                _A.LIVE_MIGRATE,
            ),
            (
                {},
                EVERYTHING,
                group('soft-anti-affinity', elsewhere={'h2': 1, 'h3': 1}),
                _A.LIVE_MIGRATE,
            ),
            (
                {'extra_specs': {'hw:mem_encryption': 'false'}},
                EVERYTHING,
                AROUND,
                _A.LIVE_MIGRATE,
            ),
            (
                {'locked': True},
                policy.Policy('all', locked=True),
                AROUND,
                _A.LIVE_MIGRATE,
            ),
        ]
        for fields, chosen, where, action in rows:
            self.assertEqual(
                verdict.Verdict(action), self.judge(fields, chosen, where)
            )

    def test_an_evacuation_asks_for_no_host_that_is_up(self) -> None:
        found = self.judge({}, where=around(up=False), evacuate=True)
        self.assertEqual(verdict.Verdict(_A.EVACUATE), found)
        # and takes what is tied to its host with it
        pci = {'pci_passthrough:alias': 'gpu:1'}
        found = self.judge({'extra_specs': pci}, evacuate=True)
        self.assertEqual(verdict.Verdict(_A.EVACUATE), found)
        # but has to find another
        found = self.judge({}, where=around(zones={}), evacuate=True)
        self.assertIs(_A.BLOCKED, found.action)


class TestOwners(base.BaseTestCase):
    def judge(
        self,
        chosen: policy.Policy = EVERYTHING,
        where: verdict.Surroundings = AROUND,
        *,
        evacuate: bool = False,
        **fields: typing.Any,
    ) -> verdict.Verdict:
        server = servers.Server('s1', 'web1', **fields)
        return verdict.verdict(
            server, chosen, where, scenes.NOW, evacuate=evacuate
        )

    def test_what_waits(self) -> None:
        until = scenes.NOW + scenes.HOUR
        for heed, passing in ((H.WAIT, True), (H.REQUIRE, False)):
            chosen = policy.Policy(
                'all', terms=owners.Terms('3f9a1c2e', heed, until)
            )
            for vm_state, then in (
                ('active', _A.LIVE_MIGRATE),
                ('stopped', _A.COLD_MIGRATE),
            ):
                found = self.judge(chosen, vm_state=vm_state)
                self.assertIs(_A.BLOCKED, found.action)
                self.assertEqual((then, passing), (found.then, found.passing))
                self.assertIn('no reply yet', str(found.cause))
            # what keeps it whatever its owner says comes first
            found = self.judge(chosen, vm_state='error')
            self.assertIsNone(found.then)
            # nobody is asked where the host is dead
            found = self.judge(chosen, evacuate=True)
            self.assertIs(_A.EVACUATE, found.action)

    def test_what_is_stopped(self) -> None:
        stop = {WISH: 'stop'}
        tied = {'hw:tpm_version': '2.0'}
        chosen = policy.Policy('all', stop=True)
        nowhere = verdict.Surroundings('h1')
        for wanted, fields, action in (
            (EVERYTHING, {'said': stop}, _A.STOP),
            (EVERYTHING, {'said': stop, 'extra_specs': tied}, _A.STOP),
            (
                EVERYTHING,
                {'said': stop, 'vm_state': 'paused'},
                _A.LIVE_MIGRATE,
            ),
            (
                EVERYTHING,
                {'said': stop, 'vm_state': 'stopped'},
                _A.COLD_MIGRATE,
            ),
            (EVERYTHING, {'said': stop, 'locked': True}, _A.LEAVE),
            (policy.NOTHING, {'said': stop}, _A.LEAVE),
            (chosen, {}, _A.LIVE_MIGRATE),
            (chosen, {'extra_specs': tied}, _A.STOP),
            (EVERYTHING, {'extra_specs': tied}, _A.BLOCKED),
            (chosen, {'vm_state': 'error'}, _A.BLOCKED),
            (chosen, {'task_state': 'rebooting'}, _A.BLOCKED),
        ):
            found = self.judge(wanted, **fields)
            self.assertIs(action, found.action, f'{wanted} {fields}')
        # no other host may be up for a moment only
        self.assertIs(_A.BLOCKED, self.judge(chosen, nowhere).action)
        full = around(room={'s1': frozenset()})
        self.assertIs(_A.STOP, self.judge(chosen, full).action)
        metal = around(bare_metal=True)
        self.assertIs(_A.STOP, self.judge(chosen, metal).action)
        paused = self.judge(chosen, full, vm_state='paused')
        self.assertIs(_A.BLOCKED, paused.action)

    def test_what_was_stopped_stays(self) -> None:
        terms = owners.Terms('3f9a1c2e', stopped=frozenset(['s1']))
        chosen = policy.Policy('all', stop=True, terms=terms)
        found = self.judge(chosen, vm_state='stopped')
        self.assertIs(_A.LEAVE, found.action)
        self.assertIn('unset starts it again', str(found.cause))
        # where its host is lost it is not started again there
        found = self.judge(chosen, evacuate=True, vm_state='stopped')
        self.assertIs(_A.EVACUATE, found.action)
        # unless somebody has started it
        self.assertIs(_A.LIVE_MIGRATE, self.judge(chosen).action)

    def test_to_be_asked_in_vain(self) -> None:
        found = self.judge(said={WISH: 'ask'})
        self.assertIs(_A.LIVE_MIGRATE, found.action)
        self.assertIn('no replies are asked', str(found.cause))
