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
import datetime

from oslotest import base

from osc_maintenance.drain import watch
from osc_maintenance import servers

NOON = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)


def row(
    number: int, status: str = 'running', updated: int | None = None
) -> servers.Migration:
    """A migration that has changed so many seconds after noon."""
    return servers.Migration(
        number,
        f'server{number}',
        servers.LIVE_MIGRATION,
        status,
        updated=None if updated is None else NOON + updated * SECOND,
    )


class TestWatch(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        #: what Nova has, and what it was asked
        self.rows: list[servers.Migration] = []
        self.asked: list[datetime.datetime | None] = []
        self.told = 0
        self.watch = watch.Watch(self.ask)

    def ask(self, since: datetime.datetime | None) -> list[servers.Migration]:
        self.asked.append(since)
        found = [
            item
            for item in self.rows
            if since is None or (item.updated and item.updated >= since)
        ]
        self.told += len(found)
        return found

    def look(self) -> dict[int, str]:
        return {item.id: item.status for item in self.watch.look()}

    def test_everything_at_first_and_then_what_has_changed(self) -> None:
        self.rows = [row(n, 'completed', updated=n) for n in range(1000)]
        self.assertEqual(1000, len(self.look()))
        self.rows.append(row(1000, updated=5000))
        found = self.look()
        self.assertEqual(1001, len(found))
        self.assertEqual('running', found[1000])
        told = self.told
        self.rows[-1] = row(1000, 'completed', updated=5001)
        self.assertEqual('completed', self.look()[1000])
        self.assertEqual(1, self.told - told)

    def test_it_asks_for_all_until_something_has_changed(self) -> None:
        for updated in (None, None, 7, 9):
            self.rows = [row(1, updated=updated)]
            self.look()
        self.assertEqual([None, None, None], self.asked[:3])
        self.assertIsNotNone(self.asked[3])

    def test_clocks_may_differ_a_little(self) -> None:
        self.rows = [row(1, updated=600), row(2, updated=0)]
        self.look()
        # written by a host whose clock is a minute behind
        self.rows[1] = row(2, 'completed', updated=540)
        self.assertEqual('completed', self.look()[2])
        # the moment that is asked from does not go back
        self.rows[1] = row(2, 'completed', updated=541)
        self.look()
        self.assertEqual(self.asked[1], self.asked[2])

    def test_what_is_not_told_again_is_still_known(self) -> None:
        self.rows = [row(1, 'queued', updated=0), row(2, updated=1000)]
        self.look()
        self.assertEqual({1: 'queued', 2: 'running'}, self.look())
        self.assertEqual(3, self.told)

    def test_one_that_nova_has_just_recorded_comes_when_it_changes(
        self,
    ) -> None:
        self.rows = [row(1, 'completed', updated=0)]
        self.look()
        fresh = row(2, 'accepted')
        self.rows.append(fresh)
        self.assertNotIn(2, self.look())
        self.rows[-1] = dataclasses.replace(fresh, updated=NOON)
        self.assertIn(2, self.look())

    def test_the_latest_number(self) -> None:
        self.assertEqual(0, self.watch.latest)
        self.rows = [row(7, updated=0), row(3, updated=9)]
        self.look()
        self.assertEqual(7, self.watch.latest)
