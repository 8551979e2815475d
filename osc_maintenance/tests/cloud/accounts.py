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

"""Who there is in the cloud."""

import dataclasses
import json
import pathlib

#: everybody's; nothing listens anywhere but on loopback
PASSWORD = 'maintenance'
#: what the proxy before Nova's metadata API signs requests of guests with
METADATA_SECRET = 'between nova and the proxy'
REGION = 'RegionOne'
SERVICE_PROJECT = 'service'
SERVICE_USERS = ('glance', 'nova', 'placement')
#: the projects of those who own servers
PROJECTS = ('alpha', 'beta')


@dataclasses.dataclass(frozen=True)
class Account:
    """A user, where it is somebody, and what."""

    user: str
    #: None stands for the system
    project: str | None
    roles: tuple[str, ...]

    def auth(self, url: str) -> dict[str, str]:
        """The `auth` of a cloud in clouds.yaml."""
        scope = (
            {'system_scope': 'all'}
            if self.project is None
            else {
                'project_name': self.project,
                'project_domain_name': 'Default',
            }
        )
        return {
            'auth_url': f'{url}/v3',
            'username': self.user,
            'password': PASSWORD,
            'user_domain_name': 'Default',
            **scope,
        }


#: by their name in clouds.yaml
ACCOUNTS = {
    'admin': Account('admin', 'admin', ('admin',)),
    'admin-system': Account('admin', None, ('admin',)),
    'project-admin': Account('project-admin', 'alpha', ('admin',)),
    # what these three may do is in the policy of this Nova
    'operator': Account('operator', 'admin', ('operator', 'reader')),
    'doorkeeper': Account('doorkeeper', 'admin', ('doorkeeper', 'reader')),
    'clerk': Account('clerk', 'admin', ('clerk', 'reader')),
    'alpha-manager': Account(
        'alpha-manager', 'alpha', ('manager', 'member', 'reader')
    ),
    'alpha-member': Account('alpha-member', 'alpha', ('member', 'reader')),
    'alpha-reader': Account('alpha-reader', 'alpha', ('reader',)),
    'beta-member': Account('beta-member', 'beta', ('member', 'reader')),
    'beta-reader': Account('beta-reader', 'beta', ('reader',)),
}


def write_clouds_yaml(path: pathlib.Path, identity_url: str) -> None:
    """Write the file that `openstack` reads the clouds from."""
    clouds = {
        name: {
            'region_name': REGION,
            'auth': account.auth(identity_url),
        }
        for name, account in ACCOUNTS.items()
    }
    path.touch(mode=0o600)
    # JSON is YAML.
    path.write_text(json.dumps({'clouds': clouds}, indent=2) + '\n')
