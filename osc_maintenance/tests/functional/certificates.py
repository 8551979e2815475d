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

"""A certificate authority that nobody trusts unless told to."""

import datetime
import ipaddress
import pathlib
import ssl

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography import x509

LOOPBACK = x509.IPAddress(ipaddress.ip_address('127.0.0.1'))


class Authority:
    """Signs certificates of servers.

    :param directory: where the files are.
    :ivar path: the file with its own certificate.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named('a private CA')
        signs = x509.KeyUsage(
            *(False, False, False, False, False),
            *(True, True, False, False),
        )
        own = (
            self._begun(self._name, self._key)
            .add_extension(x509.BasicConstraints(True, 0), True)
            .add_extension(signs, True)
            .sign(self._key, hashes.SHA256())
        )
        file = directory / 'ca.pem'
        file.write_bytes(own.public_bytes(serialization.Encoding.PEM))
        self.path = str(file)

    def context(self, host: x509.GeneralName = LOOPBACK) -> ssl.SSLContext:
        """What a server needs that has a certificate for this host."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = (
            self._begun(_named('a server'), key)
            .add_extension(x509.SubjectAlternativeName([host]), False)
            .add_extension(x509.BasicConstraints(False, None), True)
            .sign(self._key, hashes.SHA256())
        )
        file = self._directory / f'{leaf.serial_number}.pem'
        file.write_bytes(
            leaf.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _begun(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        # strict verification, the default since Python 3.13, wants both
        whose = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            self._key.public_key()
        )
        return (
            x509.CertificateBuilder(self._name, subject, key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(whose, False)
            .add_extension(issuer, False)
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
