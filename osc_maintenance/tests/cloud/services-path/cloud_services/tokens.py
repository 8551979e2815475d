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

"""Tokens that live as long as their user's `token_seconds` says.

Keystone has one lifetime for all tokens. That of a test must not end those of
the tests that run at the same time.
"""

import datetime
import typing

from keystone.common import provider_api
from keystone.token import provider

FIELD = 'token_seconds'


def install() -> None:
    """Make Keystone look at its users for it."""
    issue = provider.Manager.issue_token

    def issue_token(
        self: object,
        user_id: str,
        method_names: object,
        expires_at: object = None,
        **kwargs: typing.Any,
    ) -> object:
        user = provider_api.ProviderAPIs.identity_api.get_user(user_id)
        # One that is made from another token ends with that.
        if FIELD in user and expires_at is None:
            expires_at = datetime.datetime.now(
                datetime.UTC
            ) + datetime.timedelta(seconds=user[FIELD])
        return issue(self, user_id, method_names, expires_at, **kwargs)

    provider.Manager.issue_token = issue_token
