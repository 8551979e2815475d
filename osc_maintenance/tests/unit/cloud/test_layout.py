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

import os
import pathlib

import fixtures
from oslotest import base

from osc_maintenance.tests.cloud import errors
from osc_maintenance.tests.cloud import launcher
from osc_maintenance.tests.cloud import layout
from osc_maintenance.tests.cloud import locks
from osc_maintenance.tests.cloud import progress


class TestState(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.state = layout.State(self.directory)
        self.have_release(layout.NEWEST_RELEASE)

    def have_release(self, release: str) -> None:
        name = f'{layout.__name__}.RELEASE'
        self.useFixture(fixtures.MonkeyPatch(name, release))

    def name_cloud(self, directory: str | None) -> None:
        self.useFixture(
            fixtures.EnvironmentVariable(layout.STATE_VARIABLE, directory)
        )

    def test_which_cloud(self) -> None:
        self.name_cloud(None)
        usual, tests = layout.State.default(), layout.State.of_test_run()
        self.assertEqual('default', usual.directory.name)
        self.assertEqual(usual.directory.parent, tests.directory.parent)
        self.assertNotEqual(usual, tests)
        self.name_cloud(str(self.directory))
        self.assertEqual(self.state, layout.State.default())
        self.assertEqual(self.state, layout.State.of_test_run())

    def test_releases_share_no_cloud(self) -> None:
        self.name_cloud(None)
        mine = {layout.State.default(), layout.State.of_test_run()}
        older = layout.releases()[0]
        self.have_release(older)
        others = {layout.State.default(), layout.State.of_test_run()}
        self.assertFalse(mine & others)
        self.assertEqual(
            {older},
            {state.directory.name.rpartition('-')[2] for state in others},
        )

    def test_cloud_of_another_release_is_refused(self) -> None:
        lock = locks.try_exclusive(self.state.supervisor_lock)
        assert lock is not None
        self.addCleanup(os.close, lock)
        self.state.publish({'release': '2010.1', 'urls': {}})
        raised = self.assertRaises(
            errors.CloudError,
            launcher.up,
            self.state,
            hosts=1,
            report=progress.silent,
        )
        self.assertIn('has a cloud of 2010.1', str(raised))

    def test_unknown_release_is_refused(self) -> None:
        self.have_release('2010.1')
        raised = self.assertRaises(
            errors.CloudError, launcher.prepare, progress.silent
        )
        self.assertIn('there are 2024.1, 2025.1, 2026.1, ', str(raised))

    def test_facts_are_those_of_a_running_cloud(self) -> None:
        self.assertIsNone(self.state.facts())
        self.state.publish({'urls': {}})
        # The supervisor died before it could withdraw them.
        self.assertIsNone(self.state.facts())
        lock = locks.try_exclusive(self.state.supervisor_lock)
        assert lock is not None
        self.addCleanup(os.close, lock)
        self.assertEqual({'urls': {}}, self.state.facts())
        self.state.withdraw()
        self.state.withdraw()
        self.assertIsNone(self.state.facts())

    def test_clear_leaves_the_locks(self) -> None:
        lease = locks.shared(self.state.lease)
        self.addCleanup(os.close, lease)
        self.state.publish({})
        self.state.clear()
        self.state.log('compute').touch()
        self.state.clear()
        self.assertFalse(self.state.log('compute').exists())
        self.assertTrue(self.state.lease.exists())

    def test_key_changes_with_the_content(self) -> None:
        file = self.directory / 'requirements.txt'
        file.write_text('nova==1')
        before = layout.key(file)
        self.assertEqual(before, layout.key(file))
        file.write_text('nova==2')
        self.assertNotEqual(before, layout.key(file))


class TestLocks(base.BaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        directory = self.useFixture(fixtures.TempDir()).path
        self.path = pathlib.Path(directory) / 'not' / 'yet' / 'lock'

    def test_shared_keeps_exclusive_out(self) -> None:
        first, second = locks.shared(self.path), locks.shared(self.path)
        self.assertIsNone(locks.try_exclusive(self.path))
        os.close(first)
        self.assertTrue(locks.is_held(self.path))
        os.close(second)
        self.assertFalse(locks.is_held(self.path))

    def test_exclusive(self) -> None:
        with locks.exclusive(self.path):
            self.assertTrue(locks.is_held(self.path))
        self.assertFalse(locks.is_held(self.path))
