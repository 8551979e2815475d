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

"""One target, fuzzed in a process of its own; the rest is libFuzzer's."""

import json
import random
import sys

import atheris

with atheris.instrument_imports(include=['osc_maintenance']):
    from osc_maintenance.tests.fuzz import targets
    from osc_maintenance.tests.unit import spoil


def _mutate(data: bytes, limit: int, seed: int) -> bytes:
    """Change one place of JSON, or else any of its bytes."""
    chance = random.Random(seed)
    if chance.random() < 0.5:
        try:
            body = json.loads(data)
        except (RecursionError, ValueError):
            body = {}
        place = chance.choice(list(spoil.paths(body)))
        made = spoil.spoiled(body, place, chance.choice(spoil.VALUES))
        found = json.dumps(made).encode()
        if len(found) <= limit:
            return found
    return bytes(atheris.Mutate(data, limit))


def main() -> None:
    """Fuzz the target that is named first; does not return."""
    name, *options = sys.argv[1:]
    target = targets.TARGETS[name]
    more = {'custom_mutator': _mutate} if target.structured else {}
    atheris.Setup([sys.argv[0], *options], target.run, **more)
    atheris.Fuzz()


if __name__ == '__main__':
    main()
