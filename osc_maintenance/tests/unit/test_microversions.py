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

from osc_maintenance import clients
from osc_maintenance import microversions

#: What is said of each, in the order of the microversions.
WORDS = {
    '2.56': 'a cold migration to a chosen host (2.56): such moves fail',
    '2.64': (
        'how many of an anti-affinity server group may be on one host (2.64): '
        'one is assumed'
    ),
    '2.69': (
        'whether a cell is down (2.69): if this one is, the host has a '
        'compute service all the same'
    ),
    '2.73': 'why a server is locked (2.73): no reason is shown',
    '2.80': (
        'who has asked for a migration (2.80): the actions of its server are '
        'asked, and what they do not tell is left alone'
    ),
    '2.95': (
        'an evacuation that leaves servers stopped (2.95): those that ran '
        'start again at once'
    ),
    '2.96': (
        'which availability zone a server is pinned to (2.96): none is assumed'
    ),
}


def _version(told: str) -> microversions.Version:
    major, minor = told.split('.')
    return int(major), int(minor)


class TestLacking(base.BaseTestCase):
    def test_all_words(self) -> None:
        known = list(WORDS)
        for version, lacks in (
            ('2.53', known),
            ('2.55', known),
            ('2.60', known[1:]),
            ('2.72', known[3:]),
            ('2.73', known[4:]),
            ('2.79', known[4:]),
            ('2.83', known[5:]),
            ('2.95', known[6:]),
        ):
            told = microversions.lacking(
                _version(version), set(microversions.Matter)
            )
            self.assertEqual(
                f'This Nova (API {version}) does not give '
                + '; '.join(WORDS[item] for item in lacks),
                told,
            )

    def test_the_newest_lacks_nothing(self) -> None:
        newest = clients.NEWEST
        for version in (
            (newest.ver_major, newest.ver_minor),
            # not read as a decimal
            (2, 100),
            (3, 0),
        ):
            told = microversions.lacking(version, set(microversions.Matter))
            self.assertIsNone(told)

    def test_only_what_matters_is_named(self) -> None:
        matter = microversions.Matter
        chosen: set[microversions.Matter]
        for chosen, lacks in (
            (set(), []),
            ({matter.ZONES, matter.LOCKS}, ['2.73', '2.96']),
            ({matter.COLD_TARGETS}, []),
        ):
            told = microversions.lacking((2, 72), chosen)
            words: typing.Any = '; '.join(WORDS[item] for item in lacks)
            said = f'This Nova (API 2.72) does not give {words}'
            self.assertEqual(said if lacks else None, told)
