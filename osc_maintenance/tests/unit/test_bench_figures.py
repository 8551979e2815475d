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

"""When the bench says that a bound is broken."""

import dataclasses
import typing

from oslotest import base

from osc_maintenance.tests import bench_figures
from osc_maintenance.tests import costs

_LIST = bench_figures.Figures(
    5, 7, 0, costs.Cost(3.0, 2.0, 90.0), bare=2.0, ratio=1.5
)


class TestBroken(base.BaseTestCase):
    def _broken(self, show: int = 7, **wrong: typing.Any) -> list[str]:
        """What is broken if something is other in the largest cloud.

        :param show: how many requests it makes there.
        :param wrong: what is other of a list.
        """
        sizes = {
            hosts: {
                'list': dataclasses.replace(
                    _LIST, reports=hosts // 2, nova=2 + hosts // 2
                ),
                'show': dataclasses.replace(_LIST, reports=1, ratio=9.0),
            }
            for hosts in (10, 100, 1000)
        }
        last = sizes[1000]
        last['show'] = dataclasses.replace(last['show'], nova=show)
        last['list'] = dataclasses.replace(last['list'], **wrong)
        self.assertIn('list of 1000 in', bench_figures.table(sizes))
        return bench_figures.broken(sizes)

    def test_nothing(self) -> None:
        self.assertEqual([], self._broken())
        # one look more in the same time
        self.assertEqual([], self._broken(nova=503))

    def test_list_by_the_bare_requests(self) -> None:
        (told,) = self._broken(ratio=1.51)
        self.assertIn('list of 1000 hosts took 1.51 times as long', told)

    def test_memory(self) -> None:
        (told,) = self._broken(cost=costs.Cost(3.0, 2.0, 150.0))
        self.assertIn('list of 1000 hosts took 150 MiB', told)

    def test_requests(self) -> None:
        for wrong in ({'nova': 602}, {'placement': 100}):
            (told,) = self._broken(**wrong)
            self.assertIn('list makes more requests for each', told)
            self.assertIn('1.00, 1.22', told)

    def test_requests_where_nothing_more_is_reported(self) -> None:
        self.assertEqual([], self._broken(show=7))
        (told,) = self._broken(show=8)
        self.assertIn('show makes 1 more requests in a cloud of 1000', told)
