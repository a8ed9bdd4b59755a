"""Server-side request forgery: a URI that somebody registered leads nowhere but to public addresses."""

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from idp.directory.key_sets import keys_problem
from idp.directory.remote_keys import (
    MAX_OCTETS,
    GuardedConnect,
    KeySetFetcher,
    complete,
    is_public,
    key_set_fetcher,
)
from idp_verifier import KeySet
from idp_verifier.fetch import FetchError
from idp_verifier.testing import JWKS_PATH, LocalIssuer, Signer

PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("169.254.169.254", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1"),
    *("239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "fc00::1", "fd12::1", "fe80::1", "fec0::1"),
    *("ff02::1", "ff0e::1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1"),
    *("3fff::1", "4000::1"),
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


class Listener:
    """A port of this machine, by IPv4 and IPv6, that counts who comes."""

    def __init__(self, port: int, sockets: Collection[socket.socket]) -> None:
        self.port = port
        self._sockets = sockets

    def connections(self) -> int:
        """How many there were; a connection is there as soon as whoever made it knows."""
        count = 0
        for listening in self._sockets:
            listening.setblocking(False)
            try:
                listening.accept()[0].close()
                count += 1
            except BlockingIOError:
                pass
        return count


@pytest.fixture
def listener() -> Iterator[Listener]:
    with socket.create_server(("0.0.0.0", 0)) as first:
        port = first.getsockname()[1]
        try:
            second = socket.create_server(("::", port), family=socket.AF_INET6)
        except OSError:  # a machine without IPv6
            yield Listener(port, [first])
        else:
            with second:
                yield Listener(port, [first, second])


HOSTILE = [
    "http://127.0.0.1:{port}/jwks",
    "https://127.0.0.1:{port}/jwks",
    "https://localhost:{port}/jwks",
    "https://LOCALHOST.:{port}/",
    "https://[::1]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/",
    "https://[::ffff:7f00:1]:{port}/",
    "https://[::]:{port}/",
    "https://0.0.0.0:{port}/",
    "https://0:{port}/",
    "https://127.1:{port}/",
    "https://2130706433:{port}/",
    "https://0x7f000001:{port}/",
    "https://0177.0.0.1:{port}/",
    "https://public.example@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}#@public.example/",
    "https://127.0.0.1:{port}\\@public.example/",
    "https://public.example\\@127.0.0.1:{port}/",
    "http://public.example:{port}/",
    "//127.0.0.1:{port}/",
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET",
    "unix:///var/run/docker.sock",
    "https://\uff11\uff12\uff17.0.0.1:{port}/",
    "https://127.0.0.1:{port}/\r\nX: y",
    "https://.:{port}/",
    "https://a..b:{port}/",
]


@pytest.mark.parametrize("uri", HOSTILE)
def test_a_hostile_uri_leads_to_no_connection(listener: Listener, uri: str) -> None:
    with pytest.raises((FetchError, ValueError)):
        key_set_fetcher(()).get(uri.format(port=listener.port))
    assert listener.connections() == 0


def test_the_listener_counts(listener: Listener) -> None:
    with socket.create_connection(("127.0.0.1", listener.port)):
        assert listener.connections() == 1


@pytest.mark.parametrize("uri", [uri for uri in HOSTILE if not uri.startswith(("https://", "http://127"))])
def test_what_is_not_https_is_not_even_registered(uri: str) -> None:
    assert keys_problem(None, uri.format(port=8443))


class Rebinding:
    """A name server whose answer is harmless once, and hostile ever after."""

    def __init__(self, *answers: Collection[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    def __call__(self, _: str, __: int) -> Collection[str]:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def test_the_name_is_resolved_once_and_the_judged_address_is_connected_to(listener: Listener) -> None:
    """DNS rebinding: 127.0.0.2 is allowed, and what the second answer says is never asked for."""
    rebinding = Rebinding(["127.0.0.2"], ["127.0.0.1"])
    connect = GuardedConnect([ipaddress.ip_network("127.0.0.2")], rebinding)
    with connect("rebinding.example", listener.port, 3) as connection:
        assert connection.getpeername()[0] == "127.0.0.2"
    assert rebinding.asked == 1
    with pytest.raises(OSError, match="not public"):
        connect("rebinding.example", listener.port, 3)


def test_of_several_addresses_only_those_that_may_be_reached_are_tried(listener: Listener) -> None:
    connect = GuardedConnect([ipaddress.ip_network("127.0.0.3")], Rebinding(["10.0.0.1", "127.0.0.1", "127.0.0.3"]))
    with connect("mixed.example", listener.port, 3) as connection:
        assert connection.getpeername()[0] == "127.0.0.3"
        assert connection.gettimeout() == 3
    assert listener.connections() == 1


def test_proxies_of_the_environment_are_not_asked(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{listener.port}")
    with pytest.raises(FetchError):
        KeySetFetcher(connect=GuardedConnect((), Rebinding(["127.0.0.1"]))).get("https://public.example/jwks")
    assert listener.connections() == 0


def test_redirects_and_large_answers_are_refused(listener: Listener) -> None:
    fetcher = key_set_fetcher(["127.0.0.0/8"])
    with LocalIssuer("ES256") as place:
        url, answer = place.url + JWKS_PATH, place.answers[JWKS_PATH]
        assert KeySet.parse(fetcher.get(url).body)
        answer.body = answer.body.ljust(MAX_OCTETS + 1)
        with pytest.raises(FetchError, match="too large"):
            fetcher.get(url)
        answer.status, answer.body = 302, b""
        answer.headers["Location"] = f"http://127.0.0.1:{listener.port}/"
        with pytest.raises(FetchError, match="302"):
            fetcher.get(url)
    assert listener.connections() == 0


# TLS


class _Jwks(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.hosts.append(self.headers["Host"])  # type: ignore[attr-defined]
        body = b'{"keys":[]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def certificate(name: str, folder: Path) -> Path:
    """A certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + made.public_bytes(Encoding.PEM))
    return file


@contextlib.contextmanager
def tls_server(pem: Path) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Jwks)
    server.hosts = []  # type: ignore[attr-defined]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_certificate_must_be_that_of_the_name_not_of_the_address(tmp_path: Path) -> None:
    pem = certificate("keys.example", tmp_path)
    connect = GuardedConnect([ipaddress.ip_network("127.0.0.1")], Rebinding(["127.0.0.1"]))
    trusting = KeySetFetcher(connect=connect, tls=ssl.create_default_context(cafile=str(pem)))
    with tls_server(pem) as server:
        port = server.server_port
        assert trusting.get(f"https://keys.example:{port}/").status == 200
        assert server.hosts == [f"keys.example:{port}"]  # type: ignore[attr-defined]
        for fetcher, host in ((trusting, "other.example"), (KeySetFetcher(connect=connect), "keys.example")):
            with pytest.raises(FetchError, match="certificate"):
                fetcher.get(f"https://{host}:{port}/")


def test_a_handshake_that_trickles_is_cut_off() -> None:
    """Its time is one for all of it, whatever comes in between."""
    ended, exhausted = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB begins
                for _ in range(500):
                    connection.sendall(b"\x02")
                    if ended.wait(0.02):
                        return
                exhausted.set()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        fetcher = KeySetFetcher(timeout=0.3, connect=GuardedConnect([ipaddress.ip_network("127.0.0.1")]))
        with pytest.raises(FetchError):
            fetcher.get(f"https://127.0.0.1:{server.getsockname()[1]}/")
        assert not exhausted.is_set()
        ended.set()
        thread.join()


# What is fetched


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_a_key_without_alg_and_kid_is_completed(alg: str) -> None:
    """As some large issuers publish theirs: one algorithm for one key all the same (RFC 8725 §3.1)."""
    jwk = Signer.generate(alg).jwk
    bare = {name: value for name, value in jwk.items() if name not in ("alg", "kid")}
    completed = complete(bare)
    assert completed["alg"] == alg
    assert len(completed["kid"]) == 43
    assert complete(jwk) == jwk
    assert complete({**bare, "d": "AA"}) == {**bare, "d": "AA"}
