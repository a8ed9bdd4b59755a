"""Signatures that a sloppy reading of RFC 8017 §8.2.2 would accept.

Made with the private key, which can sign any block: what is refused here is refused to whoever forges without it.
"""

import random
from collections.abc import Callable
from hashlib import sha1, sha256, sha512

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from idp_verifier.jwk import prepare_key

SIGNED = b"header.payload"
DIGEST = sha256(SIGNED).digest()
# RFC 8017 §9.2, note 1
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
T = DIGEST_INFO + DIGEST

# A modulus of 2049 bits has an octet with one bit of its own.
PRIVATE = {bits: rsa.generate_private_key(65537, bits) for bits in (2048, 2049)}


@pytest.fixture(params=PRIVATE, ids=lambda bits: f"{bits} bits")
def private(request: pytest.FixtureRequest) -> rsa.RSAPrivateKey:
    return PRIVATE[request.param]


def octets(key: rsa.RSAPrivateKey) -> int:
    return (key.key_size + 7) // 8


def padded(data: bytes, size: int) -> bytes:
    """EMSA-PKCS1-v1_5 (§9.2): as many FF as fill the block."""
    return b"\x00\x01" + b"\xff" * (size - 3 - len(data)) + b"\x00" + data


def signature_of(key: rsa.RSAPrivateKey, block: bytes) -> bytes:
    """RSASP1 (§5.2.1) on any block, however it is made."""
    private = key.private_numbers()
    m = int.from_bytes(block) % private.public_numbers.n
    of_p, of_q = pow(m, private.dmp1, private.p), pow(m, private.dmq1, private.q)
    s = of_q + private.q * ((of_p - of_q) * private.iqmp % private.p)
    return s.to_bytes(octets(key))


def is_accepted(key: rsa.RSAPrivateKey, signature: bytes, signed: bytes = SIGNED) -> bool:
    try:
        prepare_key("k", "RS256", key.public_key()).check(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def is_accepted_by_cryptography(key: rsa.RSAPrivateKey, signature: bytes) -> bool:
    try:
        key.public_key().verify(signature, SIGNED, padding.PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def test_the_one_block_is_accepted(private: rsa.RSAPrivateKey) -> None:
    signature = signature_of(private, padded(T, octets(private)))
    assert signature == private.sign(SIGNED, padding.PKCS1v15(), SHA256())
    assert is_accepted(private, signature)
    assert not is_accepted(private, signature, SIGNED + b"!")


def at_the_end(data: bytes) -> Callable[[int], bytes]:
    return lambda size: padded(data, size)


def with_eight_ff(data: bytes) -> Callable[[int], bytes]:
    """Bleichenbacher's: a short padding, the data, and room for whatever makes the number a power."""
    return lambda size: (b"\x00\x01" + b"\xff" * 8 + b"\x00" + data).ljust(size, b"\x5a")


def edited(position: int, octet: int) -> Callable[[int], bytes]:
    def block(size: int) -> bytes:
        made = bytearray(padded(T, size))
        made[position] = octet
        return bytes(made)

    return block


def der(tag: int, content: bytes) -> bytes:
    return bytes([tag, *([0x81] if len(content) > 127 else []), len(content)]) + content


SHA256_NAME = bytes.fromhex("0609608648016503040201")
SHA512_INFO = bytes.fromhex("3051300d060960864801650304020305000440")
SHA1_INFO = bytes.fromhex("3021300906052b0e03021a05000414")
FORGED = {
    "garbage after the digest": with_eight_ff(T),
    "garbage after it, and a DigestInfo that covers it": lambda size: with_eight_ff(
        b"\x30\x82" + (size - 15).to_bytes(2) + DIGEST_INFO[2:] + DIGEST
    )(size),
    "garbage in the parameters": at_the_end(
        der(0x30, der(0x30, SHA256_NAME + der(0x04, b"\x5a" * 90)) + der(0x04, DIGEST))
    ),
    "garbage before the digest": lambda size: padded(b"\x5a" * 20 + T, size),
    "one octet more": at_the_end(T + b"\x00"),
    "no NULL": at_the_end(der(0x30, der(0x30, SHA256_NAME) + der(0x04, DIGEST))),
    "a NULL of two octets": at_the_end(der(0x30, der(0x30, SHA256_NAME + der(0x05, b"\x00\x00")) + der(0x04, DIGEST))),
    "BER lengths": at_the_end(bytes.fromhex("308131300d060960864801650304020105000420") + DIGEST),
    "the name of SHA-512": at_the_end(bytes.fromhex("3031300d060960864801650304020305000420") + DIGEST),
    "the name of SHA-224": at_the_end(bytes.fromhex("3031300d060960864801650304020405000420") + DIGEST),
    "SHA-512": at_the_end(SHA512_INFO + sha512(SIGNED).digest()),
    "SHA-1": at_the_end(SHA1_INFO + sha1(SIGNED, usedforsecurity=False).digest()),
    "the digest alone": at_the_end(DIGEST),
    "no data": at_the_end(b""),
    "the digest of something else": at_the_end(DIGEST_INFO + sha256(b"else").digest()),
    "half a digest": at_the_end(DIGEST_INFO + DIGEST[:16]),
    "less than eight FF": lambda size: (b"\x00\x01" + b"\xff" * 7 + b"\x00" + T).ljust(size, b"\x00"),
    "no FF": lambda size: (b"\x00\x01\x00" + T).ljust(size, b"\x00"),
    "no FF, at the end": lambda size: (b"\x00\x01\x00" + T).rjust(size, b"\x00"),
    "FF fewer, zeros before": lambda size: b"\x00" + padded(T, size - 1),
    "FF fewer, zeros after them": lambda size: padded(b"\x00" + T, size),
    "FF more, no zero": lambda size: b"\x00\x01" + b"\xff" * (size - 2 - len(T)) + T,
    "another octet in the padding": edited(100, 0xFE),
    "a zero in the padding": edited(100, 0x00),
    "block type 0": edited(1, 0x00),
    "block type 2": edited(1, 0x02),
    "no leading zero": edited(0, 0x01),
}


@pytest.mark.parametrize("block", FORGED.values(), ids=FORGED)
def test_any_other_block_is_refused(private: rsa.RSAPrivateKey, block: Callable[[int], bytes]) -> None:
    made = block(octets(private))
    assert len(made) == octets(private)
    signature = signature_of(private, made)
    assert not is_accepted_by_cryptography(private, signature)
    assert not is_accepted(private, signature)


def test_each_octet_of_the_block_counts(private: rsa.RSAPrivateKey) -> None:
    size = octets(private)
    for position in range(0, size, 13):
        block = bytearray(padded(T, size))
        block[position] ^= 0x01
        assert not is_accepted(private, signature_of(private, bytes(block))), position


def test_the_number_must_be_below_the_modulus(private: rsa.RSAPrivateKey) -> None:
    """Step 2 a. One that has a twin of the same size would give a token two texts."""
    size, n = octets(private), private.private_numbers().public_numbers.n
    twins = 0
    for number in range(100):
        signed = b"%d" % number
        signature = private.sign(signed, padding.PKCS1v15(), SHA256())
        twin = int.from_bytes(signature) + n
        if twin < 256**size:
            twins += 1
            assert not is_accepted(private, twin.to_bytes(size), signed)
    assert twins
    assert not is_accepted(private, n.to_bytes(size))
    assert not is_accepted(private, b"\xff" * size)


def test_the_size_must_be_that_of_the_modulus(private: rsa.RSAPrivateKey) -> None:
    """Step 1. A number that begins with zeros is written with them, and no other with more."""
    for number in range(10_000):
        signed = b"%d" % number
        signature = private.sign(signed, padding.PKCS1v15(), SHA256())
        if signature[0] == 0:
            break
    assert is_accepted(private, signature, signed)
    for other in (signature[1:], b"\x00" + signature, signature + b"\x00", signature[:-1], b"", b"\x00"):
        assert not is_accepted(private, other, signed)


@pytest.mark.parametrize("number", [0, 1, -1], ids=["0", "1", "n - 1"])
def test_a_number_that_is_its_own_power_signs_nothing(private: rsa.RSAPrivateKey, number: int) -> None:
    n = private.private_numbers().public_numbers.n
    assert not is_accepted(private, (number % n).to_bytes(octets(private)))


def test_it_never_disagrees_with_cryptography() -> None:
    """On blocks that are nearly right, in one place or two."""
    dice, key = random.Random(8017), PRIVATE[2048]
    good = padded(T, 256)
    for _ in range(80):
        block = bytearray(good)
        for _ in range(dice.randrange(3)):
            block[dice.choice([0, 1, 2, 203, 204, 205, 206, dice.randrange(256)])] = dice.choice([0, 1, 2, 0xFF, 0x30])
        signature = signature_of(key, bytes(block))
        assert is_accepted(key, signature) is is_accepted_by_cryptography(key, signature) is (bytes(block) == good)
