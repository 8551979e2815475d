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

"""What the hosts are made of: what tests ask for."""

import dataclasses

import os_traits

#: those that Nova's configuration has the alias `gpu` for
_GPU = {'vendor_id': '10de', 'product_id': '20b5'}
#: what a flavor with `hw:tpm_version` requires, however it is to be kept
_TPM_TRAITS = (
    'COMPUTE_SECURITY_TPM_1_2',
    'COMPUTE_SECURITY_TPM_2_0',
    'COMPUTE_SECURITY_TPM_CRB',
    'COMPUTE_SECURITY_TPM_TIS',
    'COMPUTE_SECURITY_TPM_SECRET_SECURITY_DEPLOYMENT',
    'COMPUTE_SECURITY_TPM_SECRET_SECURITY_HOST',
    'COMPUTE_SECURITY_TPM_SECRET_SECURITY_USER',
)


@dataclasses.dataclass(frozen=True)
class Machine:
    """A host's hardware and limits."""

    # Room for some five hundred of the smallest servers.
    vcpus: int = 512
    memory_mb: int = 262144
    #: how many live migrations leave it side by side; the others are queued
    live_migrations: int = 1
    #: how many servers can have `resources:VGPU` = 1
    vgpus: int = 0
    #: devices for flavors with `pci_passthrough:alias` = `gpu:1`
    gpus: int = 0
    #: it can emulate trusted platform modules
    tpm: bool = False
    #: it says that its servers are machines of Ironic
    ironic: bool = False
    #: more that flavors may require
    traits: tuple[str, ...] = ()

    def all_traits(self) -> list[str]:
        """What Placement is told."""
        # Placement refuses all of them where it does not know one
        known = set(os_traits.get_traits()).intersection(_TPM_TRAITS)
        return [*self.traits, *(sorted(known) if self.tpm else ())]

    def pci_devices(self) -> list[dict[str, object]]:
        """What a hypervisor would find on the bus."""
        return [
            {
                'address': f'0000:{number // 32:02x}:{number % 32:02x}.0',
                **_GPU,
                'status': 'available',
                'dev_type': 'type-PCI',
                'dev_id': f'pci_{number}',
                'parent_addr': None,
                'numa_node': None,
                'label': 'gpu',
            }
            for number in range(self.gpus)
        ]


#: by host; one that isn't here is as any other
MACHINES: dict[str, Machine] = {}


def of(host: str) -> Machine:
    return MACHINES.get(host) or Machine()
