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
import yaml

from osc_maintenance import overview
from osc_maintenance import servers
from osc_maintenance.tests.unit import scenes

ID = '3f9a1c2e'


def server(name: str, project: str, **said: str) -> servers.Server:
    """A server with a notice and what its owner says."""
    told = {f'maintenance:{key}': value for key, value in said.items()}
    return scenes.server(name, project=project, said=told)


class TestOverview(base.BaseTestCase):
    def test_project_by_project(self) -> None:
        found = overview.of(
            [
                server('web', 'p2', id=ID, reply=f'{ID} not-ready: a\x1bb'),
                server('db', 'p1', id=ID, policy='keep'),
                server('old', 'p2', id='ffffffff', reply='ffffffff keep'),
                server('odd\x1b', 'p2', id=ID, reply=f'{ID} not-ready'),
                server('pet', 'p2', id=ID, reply=f'{ID} move', policy='stop'),
            ],
            ID,
        )
        none = dict.fromkeys(('move', 'keep', 'own-action', 'not-ready'), 0)
        self.assertEqual(
            [
                {
                    'project': 'p1',
                    'servers': 1,
                    'told': 1,
                    'replied': 0,
                    'replies': none,
                    'policies': {'keep': 1},
                    'not_ready': [],
                },
                {
                    'project': 'p2',
                    'servers': 4,
                    'told': 3,
                    'replied': 3,
                    'replies': {**none, 'move': 1, 'not-ready': 2},
                    'policies': {'stop': 1},
                    'not_ready': [
                        {
                            'id': 'web-id',
                            'name': 'web',
                            'reason': 'a\\x1bb',
                        },
                        {
                            'id': 'odd\x1b-id',
                            'name': 'odd\\x1b',
                            'reason': None,
                        },
                    ],
                },
            ],
            found,
        )
        self.assertEqual(found, yaml.safe_load(yaml.safe_dump(found)))
        self.assertEqual(
            'p1: 1 here, 1 told, 0 replied; 1 keep by policy',
            overview.in_words(found[0]),
        )
        self.assertEqual(
            [
                'p2: 4 here, 3 told, 3 replied: 1 move, 2 not-ready; 1 stop '
                'by policy',
                '  web (web-id): not ready: a\\x1bb',
            ],
            overview.in_words(found[1]).splitlines()[:2],
        )

    def test_nobody(self) -> None:
        self.assertEqual([], overview.of([], ID))
