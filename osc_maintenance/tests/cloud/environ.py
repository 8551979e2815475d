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

"""The environment in which commands see a cloud."""

import os

from osc_maintenance.tests.cloud import accounts
from osc_maintenance.tests.cloud import layout


def _bare() -> dict[str, str]:
    """This process's environment without any trace of a cloud."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith('OS_')}
    for name in ('no_proxy', 'NO_PROXY'):
        direct = [host for host in kept.get(name, '').split(',') if host]
        if '127.0.0.1' not in direct:
            kept[name] = ','.join([*direct, '127.0.0.1'])
    return kept


def of_cloud(state: layout.State, name: str) -> dict[str, str]:
    """For an account, through clouds.yaml."""
    return {
        **_bare(),
        'OS_CLIENT_CONFIG_FILE': str(state.clouds_yaml),
        'OS_CLOUD': name,
    }


def of_variables(identity_url: str, name: str) -> dict[str, str]:
    """For an account, through OS_* variables as an openrc file sets them."""
    return of_account(identity_url, accounts.ACCOUNTS[name])


def of_account(identity_url: str, account: accounts.Account) -> dict[str, str]:
    """The same for one that was made later."""
    auth = account.auth(identity_url)
    return {
        **_bare(),
        **{f'OS_{key.upper()}': value for key, value in auth.items()},
        'OS_REGION_NAME': accounts.REGION,
        'OS_IDENTITY_API_VERSION': '3',
    }
