"""The issuer's https address: ends TLS, passes on to whoever issues, and can be taken away and brought back."""

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


class Address:
    """`https://localhost:PORT`, with a certificate by the authority in the file `authority`; and the same without TLS.

    It leads to `target`, a port of loopback.
    """

    def __init__(self, authority: Path, tls: ssl.SSLContext) -> None:
        self.authority = authority
        self.target = 0
        self._tls = tls
        self._ports = {True: 0, False: 0}
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"https://localhost:{self._ports[True]}"

    @property
    def plain_url(self) -> str:
        return f"http://localhost:{self._ports[False]}"

    async def up(self) -> None:
        """Listens, always on the same ports."""
        for secure, port in self._ports.items():
            tls = self._tls if secure else None
            server = await asyncio.start_server(self._pass_on, "127.0.0.1", port, ssl=tls)
            self._ports[secure] = server.sockets[0].getsockname()[1]
            self._servers.append(server)

    async def down(self) -> None:
        """Refuses connections, and ends those that there are."""
        while self._servers:
            self._servers.pop().close()
        for connection in list(self._connections):
            connection.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        with contextlib.suppress(OSError):
            from_target, to_target = await asyncio.open_connection("127.0.0.1", self.target)
            await asyncio.gather(_pump(reader, to_target), _pump(from_target, writer))
        self._connections.discard(writer)
        writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while octets := await source.read(65536):
            sink.write(octets)
            await sink.drain()
    sink.close()


@contextlib.asynccontextmanager
async def address(folder: Path) -> AsyncIterator[Address]:
    """An address that is up. The certificates are in `folder`."""
    made = Address(folder / "authority.pem", _context(folder))
    await made.up()
    try:
        yield made
    finally:
        await made.down()


def _context(folder: Path) -> ssl.SSLContext:
    """A certificate for localhost, and the authority that signed it, as a company has one for its own services."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("authority", authority_key, "authority", authority_key)
    leaf = _certificate("localhost", key, "authority", authority_key)
    (folder / "authority.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    own = folder / "localhost.pem"
    own.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + leaf.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own)
    return context


def _certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    is_authority = subject == issuer
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=is_authority, **usage
            ),
            critical=True,
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, SHA256())
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
