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

from oslotest import base

from osc_maintenance.drain import listing


class TestListing(base.BaseTestCase):
    def looked(self, cost: float = 0.2) -> listing.Listing:
        """The servers were looked at, at 100 s."""
        found = listing.Listing()
        found.looked(100.0, cost)
        return found

    def test_at_first_they_have_to_be_looked_at(self) -> None:
        found = listing.Listing()
        self.assertTrue(found.due(0.0, urgent=False))
        self.assertTrue(found.too_old(0.0))

    def test_at_the_latest(self) -> None:
        for cost, now, too_old, due in (
            (0.2, 114.9, False, False),
            (0.2, 115.0, True, False),
            (0.2, 129.9, True, False),
            (0.2, 130.0, True, True),
            # the longer it takes, the more seldom
            (8.0, 139.9, False, False),
            (8.0, 140.0, True, True),
        ):
            found = self.looked(cost)
            self.assertIs(too_old, found.too_old(now))
            self.assertIs(due, found.due(now, urgent=False))
            self.assertIs(too_old, found.due(now, urgent=True))

    def test_in_a_pause(self) -> None:
        for now, pause, fits in (
            (108.0, 0.5, True),
            (107.9, 6.0, False),
            # something would be noticed late
            (108.0, 0.3, False),
        ):
            found = self.looked()
            self.assertIs(fits, found.fits(now, pause))
            self.assertIs(fits, found.due(now, urgent=False))
            found.looked(now, 0.0)
            self.assertFalse(found.due(now, urgent=True))

    def test_by_somebody_else(self) -> None:
        found = listing.Listing()
        found.known(100.0)
        self.assertFalse(found.too_old(114.9))
        self.assertTrue(found.too_old(115.0))
        # what it costs is not known
        self.assertFalse(found.fits(108.0, 0.5))
        self.assertTrue(found.fits(108.0, 2.0))

    def test_they_are_outdated(self) -> None:
        found = self.looked()
        found.outdated()
        self.assertTrue(found.due(100.0, urgent=False))
        self.assertTrue(found.too_old(100.0))
