"""Repeats one cryptographic operation for some seconds: `python -m bench.anchors.raw rsa-sign 1.0`."""

import json
import sys
import time
from collections.abc import Callable

import bcrypt
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

_MESSAGE = bytes(500)  # as long as the signing input of a token
BCRYPT_COST = 12

Operation = Callable[[], object]


def rsa_sign() -> Operation:
    key = _key()
    return lambda: key.sign(_MESSAGE, PKCS1v15(), SHA256())


def bcrypt_hash() -> Operation:
    salt = bcrypt.gensalt(BCRYPT_COST)
    return lambda: bcrypt.hashpw(b"correct horse battery staple", salt)


OPERATIONS: dict[str, Callable[[], Operation]] = {
    "rsa-sign": rsa_sign,
    "bcrypt": bcrypt_hash,
}


def _key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def main(name: str, seconds: float) -> None:
    operate = OPERATIONS[name]()
    operate()  # what is only done once
    count, start, cpu = 0, time.perf_counter(), time.process_time()
    while (took := time.perf_counter() - start) < seconds:
        operate()
        count += 1
    json.dump({"count": count, "seconds": took, "cpu": time.process_time() - cpu}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
