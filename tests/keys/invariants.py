"""What must be true of an installation at every moment."""

from keys.keyring import NoSigningKeyError
from keys.schedule import PRIVATE_PHASES
from tests.keys.instance import LOOKS_EVERY, Instance
from tests.keys.verifiers import Verifier, serve
from tests.keys.world import World

AGREE_WITHIN = 2.0
"""Seconds after `now` or a revocation within which instances may differ."""

TURNS_WITHIN = 5.0
"""Seconds around a planned change of keys within which they may: they look one after the other, and the database's
clock was corrected a little in between."""


def check(world: World) -> None:
    """All of it."""
    for verifier in world.verifiers:
        if verifier.fresh:
            no_good_token_is_rejected(world, verifier)
            no_revoked_key_is_accepted_for_long(world, verifier)
    running = [instance for instance in world.instances if instance.runs and not instance.lost]
    for instance in running:
        the_time_is_right(world, instance)
        who_has_not_read_the_table_does_not_sign(world, instance)
    well = [instance for instance in running if instance.well and not world.repeats]
    for instance in well:
        what_signs_is_served_and_what_is_revoked_is_not(world, instance)
        private_halves_are_gone(world, instance)
    all_sign_with_one_key(world, well)


def the_time_is_right(world: World, instance: Instance) -> None:
    """So `iat` and `exp` are; unless the machine stood still and its wall clock too, which leaves nothing to go by."""
    if instance.clock.step is None or world.stepped:
        off = instance.clock() - world.time.now
        assert abs(off) <= instance.settings.clock_skew, f"{instance.name} is off by {off} s"


def no_good_token_is_rejected(world: World, verifier: Verifier) -> None:
    """In time, and its key neither revoked nor forced to sign before its publish-ahead had passed."""
    for token in world.tokens.values():
        if token.kid in verifier.kids or not verifier.in_time(token):
            continue
        fate = world.fates[token.kid]
        early = fate.forced and world.time.now < fate.published_at + world.publish_ahead
        assert early or fate.ended_at is not None, f"a good token is rejected: {token} by {verifier}"


def no_revoked_key_is_accepted_for_long(world: World, verifier: Verifier) -> None:
    """Not after max-age, and what a cache adds; unless it came from an instance that could not hear of it."""
    answer = verifier.answer
    assert answer is not None
    added = LOOKS_EVERY + verifier.slow + (world.cache.ttl if verifier.cached else 0.0)
    for kid in answer.kids:
        ended_at = world.fates[kid].ended_at
        if ended_at is not None and answer.by_one_well:
            assert world.time.now <= ended_at + answer.max_age + added, f"{kid} is revoked for long, and accepted"


def who_has_not_read_the_table_does_not_sign(world: World, instance: Instance) -> None:
    unread_for = world.time.now - instance.keyring.truly_read_at
    if unread_for > instance.settings.offline_signing + LOOKS_EVERY:
        assert kid_of(instance) is None, f"{instance.name} signs and has not read the table for {unread_for} s"


def what_signs_is_served_and_what_is_revoked_is_not(world: World, instance: Instance) -> None:
    answer = serve(instance)
    assert answer is not None, f"{instance.name} is well and serves no keys"
    assert kid_of(instance) in answer.kids, f"{instance.name} withholds the key with which it signs"
    for kid in answer.kids:
        ended_at = world.fates[kid].ended_at
        known = ended_at is not None and world.time.now > ended_at + LOOKS_EVERY
        assert not known, f"{instance.name} serves {kid}, which is revoked"


def private_halves_are_gone(world: World, instance: Instance) -> None:
    """From the table and from memory, as soon as somebody looks after their time."""
    looked_at = min(instance.clock(), world.database.now) - LOOKS_EVERY - 1
    usable = {
        kid
        for kid, key in world.database.rows.items()
        if key.lifetime.phase(looked_at) in PRIVATE_PHASES and world.fates[kid].ended_at is None
    }
    kept = {kid for kid, key in world.database.rows.items() if key.sealed}
    held = set(instance.keyring._signers)
    recent = world.time.now - world.forced_at <= AGREE_WITHIN
    assert recent or kept <= usable, f"private halves are still in the table: {kept - usable}"
    assert recent or held <= usable, f"{instance.name} still holds private halves: {held - usable}"


def all_sign_with_one_key(world: World, well: list[Instance]) -> None:
    kids = {kid_of(instance) for instance in well}
    assert None not in kids, "an instance is well and has no signing key"
    turning = any(abs(key.lifetime.sign_from - world.time.now) <= TURNS_WITHIN for key in world.database.rows.values())
    recent = world.time.now - world.forced_at <= AGREE_WITHIN
    assert len(kids) <= 1 or turning or recent, f"instances sign with {kids}"


def kid_of(instance: Instance) -> str | None:
    try:
        return instance.keyring.signing_key(instance.clock()).kid
    except NoSigningKeyError:
        return None
