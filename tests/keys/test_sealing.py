"""Private keys at rest (L1: a dump of the database alone gives no usable credential)."""

from dataclasses import replace

import pytest

from keys.sealing import Sealed, Sealer, SealingKey, UnknownSealingKeyError, UnsealError

ONE, OTHER = SealingKey(bytes(32)), SealingKey(bytes(range(32)))
SECRET = b"the private half"


def test_what_was_sealed_opens() -> None:
    assert Sealer([ONE]).open("kid", Sealer([ONE]).seal("kid", SECRET)) == SECRET


def test_the_first_key_seals_and_any_opens() -> None:
    sealed = Sealer([ONE, OTHER]).seal("kid", SECRET)
    assert sealed.sealed_by == ONE.fingerprint
    assert Sealer([OTHER, ONE]).open("kid", sealed) == SECRET


def test_an_unknown_sealing_key_is_told_from_a_damaged_row() -> None:
    sealed = Sealer([ONE]).seal("kid", SECRET)
    with pytest.raises(UnknownSealingKeyError, match=ONE.fingerprint):
        Sealer([OTHER]).open("kid", sealed)


@pytest.mark.parametrize("byte", [0, 11, 12, 20, -1])
def test_any_byte_that_changed_is_noticed(byte: int) -> None:
    sealed = Sealer([ONE]).seal("kid", SECRET)
    box = bytearray(sealed.box)
    box[byte] ^= 1
    with pytest.raises(UnsealError):
        Sealer([ONE]).open("kid", replace(sealed, box=bytes(box)))


@pytest.mark.parametrize("box", [b"", b"short", bytes(12)])
def test_a_box_that_was_cut_is_damaged(box: bytes) -> None:
    with pytest.raises(UnsealError):
        Sealer([ONE]).open("kid", Sealed(ONE.fingerprint, box))


def test_a_sealed_key_cannot_be_moved_to_another_row() -> None:
    sealed = Sealer([ONE]).seal("kid", SECRET)
    with pytest.raises(UnsealError, match="another"):
        Sealer([ONE]).open("another", sealed)


def test_the_same_secret_never_looks_the_same() -> None:
    assert len({Sealer([ONE]).seal("kid", SECRET).box for _ in range(100)}) == 100


def test_nothing_shows_a_secret() -> None:
    assert "secret" not in repr(OTHER)
    assert SECRET not in Sealer([ONE]).seal("kid", SECRET).box
    assert OTHER.secret.hex()[:8] not in OTHER.fingerprint


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_sealing_key_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SealingKey(bytes(length))
