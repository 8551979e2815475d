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

"""Sphinx: `tox -e docs` builds what is here, and takes no warning."""

extensions = [
    'cliff.sphinxext',
    'openstackdocstheme',
    'reno.sphinxext',
]

project = 'osc_maintenance'
project_copyright = 'OpenStack contributors'
author = 'OpenStack contributors'

root_doc = 'index'
exclude_patterns: list[str] = []
pygments_style = 'native'

html_theme = 'openstackdocs'
openstackdocs_auto_name = False

# what --help prints, and nothing else
autoprogram_cliff_application = 'openstack'
autoprogram_cliff_ignored = [
    '--help',
    '--format',
    '--column',
    '--max-width',
    '--fit-width',
    '--print-empty',
    '--prefix',
    '--noindent',
    '--quote',
    '--sort-column',
    '--sort-ascending',
    '--sort-descending',
]
