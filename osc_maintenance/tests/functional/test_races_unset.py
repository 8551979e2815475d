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

"""``unset`` beside others: the end is that of one serial order."""

import functools
import json

from osc_maintenance import exit_codes
from osc_maintenance.tests.cloud import operations
from osc_maintenance.tests.functional import races

Exit = exit_codes.ExitCode


class TestSetAgainstUnset(races.RacesTestCase):
    """One is held at each of its writes until the other is done."""

    def setUp(self) -> None:
        super().setUp()
        self.host = self.scene.host()
        self.set_service(self.host, 'disabled', 'broken NIC')

    def _assert_as_before(self) -> None:
        self.assertEqual(('disabled', 'broken NIC'), self.service(self.host))
        self.assertIsNone(self.aggregate(self.host))

    def test_unset_while_somebody_sets(self) -> None:
        for number in (2, 3, 4):
            answer = self.between(
                *(self.ann, number, ('set', self.host, '--reason', 'ann')),
                lambda: self.done(self.ben, 'unset', self.host),
            )
            assert answer
            # as if she had come after him
            self.assert_succeeds(answer)
            found = self.record(self.host)
            self.assertEqual(
                ('ann', self.ann.name, 'broken NIC'),
                (found['reason'], found['set_by'], found['before_reason']),
            )
            self.done(self.ben, 'unset', self.host)
            self._assert_as_before()

    def test_set_while_somebody_unsets(self) -> None:
        for number in (1, 2, 3):
            self.done(self.ann, 'set', self.host)
            answer = self.between(
                *(self.ann, number, ('unset', self.host)),
                lambda: self.done(
                    self.ben, 'set', self.host, '--reason', 'ben'
                ),
            )
            assert answer
            # as if she had come after him
            self.assert_succeeds(answer)
            self._assert_as_before()

    def test_unset_while_somebody_clears_a_property(self) -> None:
        gone = f'{self.host} is not in maintenance'
        # with her disable on its way she cannot tell that from an aggregate
        # that is lost
        lost = f'the record of {self.host} is lost or damaged'
        for number, code, words in (
            (1, Exit.DONE, gone),
            (2, Exit.ERROR, lost),
        ):
            self.done(self.ann, 'set', self.host, '--reason', 'x')
            answer = self.between(
                *(self.ann, number, ('unset', self.host, '--reason')),
                lambda: self.done(self.ben, 'unset', self.host),
            )
            assert answer
            self.assertEqual(code, answer.code, str(answer))
            self.assertIn(words, answer.stderr)
            if code != Exit.DONE:
                shown = self.done(self.ben, 'show', self.host)
                self.assertEqual('error', shown['state'])
                # what it was before is still known
                self.done(self.ben, 'unset', self.host)
            self._assert_as_before()


class TestEveryMeeting(races.RacesTestCase):
    """Both are held at each of their writes, and one ends before the other."""

    def setUp(self) -> None:
        super().setUp()
        self.host = self.scene.host()
        self.set_service(self.host, 'disabled', 'broken NIC')

    def _meet(
        self,
        options: tuple[str, ...],
        grid: dict[int, int],
        before: tuple[str, ...] | None = None,
    ) -> None:
        """They meet wherever they can.

        :param options: those of Ann's set.
        :param grid: before how many writes of his unset Ben can be held, while
            Ann is held before that write of hers.
        :param before: the options of an earlier set.
        """
        for number, writes in grid.items():
            for theirs in range(1, writes + 1):
                for set_ends_last in (True, False):
                    if before is not None:
                        self.done(self.ben, 'set', self.host, *before)
                    self._end(options, number, theirs, set_ends_last)

    def _end(
        self,
        options: tuple[str, ...],
        number: int,
        theirs: int,
        set_ends_last: bool,
    ) -> None:
        where = f'{number} {theirs} {set_ends_last}'
        self.ann.hold_at_write(number)
        sets = self.going(
            self.ann, 'set', self.host, '--reason', 'ann', *options
        )
        self.assertTrue(self.ann.is_held(sets), where)
        self.ben.hold_at_write(theirs)
        unsets = self.going(self.ben, 'unset', self.host)
        self.assertTrue(self.ben.is_held(unsets), where)
        both = [(self.ben, unsets, 'none'), (self.ann, sets, 'maintenance')]
        for who, command, wanted in both if set_ends_last else both[::-1]:
            who.release()
            answer = command.end()
            # neither has anything to be told: they came one after the other
            self.assert_succeeds(answer)
            self.assertEqual(wanted, json.loads(answer.stdout)['state'])
        found = self.record(self.host)
        self.assertEqual(set_ends_last, bool(found), where)
        if found:
            self.assertEqual(
                ('ann', self.ann.name, 'disabled', 'broken NIC'),
                tuple(
                    found[key]
                    for key in (
                        *('reason', 'set_by'),
                        *('before_status', 'before_reason'),
                    )
                ),
                where,
            )
            mark = f'maintenance {found["id"]}: ann [before'
            self.assertIn(mark, str(self.service(self.host)[1]))
            self.done(self.ben, 'unset', self.host)
        self.assertEqual(('disabled', 'broken NIC'), self.service(self.host))
        self.assertIsNone(self.aggregate(self.host))

    def test_a_host_that_is_not_in_maintenance(self) -> None:
        # there is nothing to unset before it is claimed
        self._meet((), {2: 1, 3: 1, 4: 2})

    def test_one_that_is(self) -> None:
        self._meet((), {1: 3, 2: 3}, ())

    def test_one_that_is_planned(self) -> None:
        self._meet(('--now',), {1: 2, 2: 2}, ('--start', '+4h'))


class TestAColleague(races.RacesTestCase):
    """Somebody acts by other means while a maintenance is ended or changed."""

    def setUp(self) -> None:
        super().setUp()
        self.host = self.scene.host()

    def test_disables_or_enables_the_service(self) -> None:
        enabled, disabled = ('enabled', None), ('disabled', 'bad disk')
        nic = ('disabled', 'broken NIC')
        for before, theirs in ((enabled, disabled), (nic, enabled)):
            for number in (1, 2, 3):
                self.set_service(self.host, *before)
                self.done(self.ben, 'set', self.host)
                answer = self.between(
                    *(self.ann, number, ('unset', self.host)),
                    functools.partial(self.set_service, self.host, *theirs),
                )
                assert answer
                # hers is the first write, and the later one if they are first
                last = before if number == 1 else theirs
                self.assert_succeeds(answer)
                told = json.loads(answer.stdout)
                self.assertEqual(
                    (*last, 'none'),
                    (
                        told['service_status'],
                        told['disabled_reason'],
                        told['state'],
                    ),
                )
                self.assertEqual(last, self.service(self.host))
                self.assertIsNone(self.aggregate(self.host))

    def test_deletes_the_aggregate(self) -> None:
        for number, code in ((1, Exit.REFUSED), (2, Exit.ERROR)):
            host = self.scene.host()
            self.done(self.ben, 'set', host, '--reason', 'x')
            answer = self.between(
                *(self.ann, number, ('unset', host, '--reason')),
                functools.partial(self.lose_aggregate, host),
            )
            assert answer
            self.assertEqual((code, ''), (answer.code, answer.stdout))
            (line,) = answer.stderr.splitlines()
            self.assertIn(f'the record of {host} is lost or damaged', line)
            # nobody has ended it
            shown = self.done(self.ben, 'show', host)
            self.assertEqual('error', shown['state'])
            self.assertIn('is gone', shown['cause'])
            self.done(self.ben, 'unset', host)
            self.assert_untouched(host)

    def test_disables_it_again_before_all_is_done(self) -> None:
        disabled = ('disabled', 'bad disk')
        pet = self.scene.server('pet', on=self.host)
        said = {'metadata': {'maintenance:policy': 'stop'}}
        self.admin.post('compute', f'/servers/{pet.id}/metadata', said)
        self.does_well(
            *(self.ben, 'set', self.host, '--migrate', 'all'),
            '--notify-owners',
        )
        self.assert_on(self.host, pet, 'SHUTOFF')
        self.ann.hold(self.moves_of(pet))
        unsets = self.going(self.ann, 'unset', self.host)
        self.assertTrue(self.ann.is_held(unsets))
        self.set_service(self.host, *disabled)
        self.ann.release()
        answer = unsets.end()
        self.assertNotIn('Traceback', answer.stderr)
        self.assertEqual(Exit.ERROR, answer.code, str(answer))
        self.assertIn('bad disk', answer.stderr.splitlines()[-1])
        self.assertEqual(disabled, self.service(self.host))


class TestServersComeBack(races.RacesTestCase):
    """Somebody sets the host while its servers are brought back."""

    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = self.scene.host(), self.scene.host()
        self.web = self.scene.server('web', on=self.here)
        self.does_well(self.ann, 'set', self.here, '--migrate', 'all')
        self.back = ('unset', self.here, '--return-servers')

    def test_before_it_is_on_its_way(self) -> None:
        for number in (1, 2):
            answer = self.between(
                *(self.ann, number, self.back),
                lambda: self.does_well(
                    self.ben, 'set', self.here, '--reason', 'ben'
                ),
            )
            assert answer
            # as if she had come after him
            self.assertEqual(Exit.DONE, answer.code, str(answer))
            self.assertEqual('none', json.loads(answer.stdout)['state'])
            self.assert_on(self.here, self.web)
            self.assert_untouched(self.here)
            self.does_well(self.ann, 'set', self.here, '--migrate', 'all')

    def test_while_it_is(self) -> None:
        self.scene.migration_of(self.web, hangs=True)
        going = self.going(self.ann, *self.back)
        going.says('live migration started')
        bens = self.going(self.ben, 'set', self.here, '--reason', 'ben')
        operations.wait_for(
            'Ben has written',
            lambda: self.record(self.here).get('reason') == 'ben',
        )
        self.scene.migration_of(self.web)
        self.force(self.web)
        answer = bens.end()
        self.assertEqual(Exit.DONE, answer.code, str(answer))
        answer = going.end()
        self.assertNotIn('Traceback', answer.stderr)
        self.assertEqual(Exit.ERROR, answer.code, str(answer))
        self.assertRegex(
            answer.stderr.splitlines()[-1],
            f'{self.here} .*maintenance again by somebody else',
        )
        self.assert_on(self.there, self.web)
        shown = self.done(self.ann, 'show', self.here)
        self.assertEqual(
            ('maintenance', 'ben', self.ben.name),
            tuple(shown[name] for name in ('state', 'reason', 'set_by')),
        )


class TestOwnersAreTold(races.RacesTestCase):
    """Somebody sets the host while its notices are removed."""

    def test_it_goes_on(self) -> None:
        host = self.scene.host()
        web = self.scene.server('web', on=host)
        self.done(self.ann, 'set', host, '--notify-owners')
        self.ann.hold(lambda _method, path: '/metadata/' in path)
        unsets = self.going(self.ann, 'unset', host)
        self.assertTrue(self.ann.is_held(unsets))
        self.done(self.ben, 'set', host, '--reason', 'ben')
        self.ann.release()
        answer = unsets.end()
        self.assertEqual(
            (Exit.ERROR, ''), (answer.code, answer.stdout), str(answer)
        )
        self.assertEqual(
            f'{host} was put into maintenance again by somebody else while it '
            'was being ended; run unset again if it is to end all the same',
            answer.stderr.splitlines()[-1],
        )
        shown = self.done(self.ann, 'show', host)
        self.assertEqual(
            ('maintenance', 'ben', self.ben.name),
            tuple(shown[name] for name in ('state', 'reason', 'set_by')),
        )
        # what she has removed is there again
        said = self.server(web)['metadata']
        self.assertEqual(
            (shown['id'], shown['window_start'], 'stay'),
            tuple(
                said[f'maintenance:{key}']
                for key in ('id', 'window_start', 'action')
            ),
        )
        self.done(self.ben, 'unset', host)
        self.assertEqual({}, self.server(web)['metadata'])
        self.assert_untouched(host)
