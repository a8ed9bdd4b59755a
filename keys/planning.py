"""What to change in the key table: pure decisions from the keys, the time and the policy.

Every plan is carried out in one transaction, under one lock, from keys and time that were read under that lock. It
keeps these invariants (docs/rotation.md argues why they suffice):

1. At every instant from `now` on, exactly one key of the line signs: each until the next one begins.
2. A key begins to sign no earlier than `publish_ahead` after it was published, unless somebody demanded `now`, a key
   was revoked, or there is no other key that could sign.
3. `verify_until` only rises, and is at least `sign_until + retention` for every key that will still sign.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from keys.schedule import Lifetime, Phase, RotationPolicy, ScheduledKey, line

MINUTE, HOUR = 60.0, 3600.0
ALGORITHM_PATIENCE = 600.0
"""Seconds for which a new key is left alone though it has another algorithm than the settings ask for: while
instances with old and new settings serve side by side, they must not undo each other's keys in turn."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Lifetimes to change, by kid, lifetimes of keys to make, and the key that somebody asked to sign."""

    changed: Mapping[str, Lifetime] = field(default_factory=dict)
    made: Sequence[Lifetime] = ()
    asked: str | None = None

    def __bool__(self) -> bool:
        return bool(self.changed or self.made)


class NoSuchKeyError(Exception):
    """There is no such key, or it is revoked or retired already; the message says which."""


def upkeep(keys: Sequence[ScheduledKey], now: float, policy: RotationPolicy, alg: str) -> Plan:
    """What is due at `now` by itself: one key that signs, one that will, and no `verify_until` too early.

    The successor is made as soon as its predecessor begins to sign, so it is published for a whole period. Where no
    key can sign (the very first start, or all instances slept through the end of the last key), one signs at once.
    """
    waiting = line(keys, now)
    changed = {key.kid: life for key in waiting if (life := _long_enough(key.lifetime, policy)) != key.lifetime}
    if not waiting:
        first = policy.new(publish_at=now, sign_from=now)
        return Plan(made=(first, policy.new(publish_at=now, sign_from=first.sign_until)))
    if waiting[0].lifetime.sign_from > now:  # a gap: whoever is next fills it
        head = policy.signing(waiting[0].lifetime, now, waiting[0].lifetime.sign_until)
        changed[waiting[0].kid] = head
    if len(waiting) > 1 and not _wrong_algorithm(waiting[1:], now, policy, alg):
        return Plan(changed)
    return _with_successor(waiting, changed, now, policy)


def _long_enough(life: Lifetime, policy: RotationPolicy) -> Lifetime:
    """Settings may have come to allow longer tokens; their key must then verify for longer, before it signs one."""
    return policy.signing(life, life.sign_from, life.sign_until)


def _wrong_algorithm(successors: Sequence[ScheduledKey], now: float, policy: RotationPolicy, alg: str) -> bool:
    """A successor that is about to sign is left to it: not every instance could hear in time that it should not."""
    wrong = any(key.alg != alg and now - key.lifetime.publish_at >= ALGORITHM_PATIENCE for key in successors)
    return wrong and successors[0].lifetime.sign_from - now > policy.propagation


def _with_successor(
    waiting: Sequence[ScheduledKey], changed: Mapping[str, Lifetime], now: float, policy: RotationPolicy
) -> Plan:
    """A new successor of the first in the line, which signs until then; those that were behind it are withdrawn."""
    head, others = waiting[0], waiting[1:]
    life = changed.get(head.kid, head.lifetime)
    soonest = now + policy.publish_ahead
    sign_from = soonest if others else max(life.sign_until, soonest)
    plan = dict(changed) | {key.kid: key.lifetime.withdrawn(now) for key in others}
    if sign_from != life.sign_until:
        plan[head.kid] = policy.signing(life, life.sign_from, sign_from)
    return Plan(plan, (policy.new(publish_at=now, sign_from=sign_from),))


def rotation(keys: Sequence[ScheduledKey], now: float, policy: RotationPolicy, *, immediate: bool) -> Plan:
    """Lets the next key sign: as soon as no verifier that honours max-age can notice, or at once.

    Expects that `upkeep` has nothing to do. A rotation that was asked for and is pending, or was carried out within
    `propagation`, is left as it is: the plan is empty, and repeats and concurrent calls make one rotation.
    """
    current, following = line(keys, now)[:2]
    if immediate and current.asked_at is not None and now - current.lifetime.sign_from < policy.propagation:
        return Plan(asked=current.kid)
    if following.asked_at is not None and not immediate:
        return Plan(asked=following.kid)
    life = following.lifetime
    at = now if immediate else max(life.publish_at + policy.publish_ahead, now + policy.propagation)
    at = min(at, life.sign_from)
    changed = {
        current.kid: replace(current.lifetime, sign_until=at),
        following.kid: policy.signing(life, at, at + policy.rotation_period),
    }
    return Plan(changed, asked=following.kid)


def postponement(keys: Sequence[ScheduledKey], now: float, policy: RotationPolicy) -> Plan:
    """Puts a planned rotation off for verifiers that are awaited and have not fetched the next key.

    By an hour at a time, when it is due within the minute but not before all instances can know, and in all by
    `publish_ahead` at the most: a verifier that has died must not keep an old key for ever. What somebody asked for
    is not put off, nor the key that a revocation demands.
    """
    current, following = line(keys, now)[:2]
    planned = current.lifetime.sign_from + policy.rotation_period
    due = following.lifetime.sign_from
    until = min(due + HOUR, planned + policy.publish_ahead)
    soon = policy.propagation < due - now <= MINUTE
    demanded = any(key.lifetime.revoked_at == following.lifetime.publish_at for key in keys)
    if not soon or demanded or following.asked_at is not None or until <= due:
        return Plan()
    return Plan(
        {
            current.kid: policy.signing(current.lifetime, current.lifetime.sign_from, until),
            following.kid: policy.signing(following.lifetime, until, until + policy.rotation_period),
        }
    )


def replacement(keys: Sequence[ScheduledKey], unusable: Collection[str], now: float) -> Plan:
    """Takes keys whose rows are damaged out of the line, so that `upkeep` lets others sign instead of them."""
    changed = {}
    for key in line(keys, now):
        if key.kid in unusable:
            signs = key.lifetime.phase(now) is Phase.SIGNING
            changed[key.kid] = replace(key.lifetime, sign_until=now) if signs else key.lifetime.withdrawn(now)
    return Plan(changed)


def revocation(keys: Sequence[ScheduledKey], kid: str, now: float, policy: RotationPolicy) -> Plan:
    """Ends a key at once. Raises NoSuchKeyError.

    The next in the line signs, at once if need be, and only for `publish_ahead`. Then a kid signs that nobody has
    seen: some verifiers fetch keys only when they meet an unknown kid, and would keep the revoked key for ever. Keys
    that were published before are withdrawn, because such a verifier may have seen them.
    """
    revoked = _revocable(keys, kid, now)
    remaining = [key for key in line(keys, now) if key.kid != kid]
    unseen_from = now + policy.publish_ahead
    changed = {kid: replace(revoked.lifetime, revoked_at=now)}
    made = [policy.new(publish_at=now, sign_from=unseen_from)]
    if remaining:
        head, *others = remaining
        sign_from = min(head.lifetime.sign_from, now)
        changed[head.kid] = policy.signing(head.lifetime, sign_from, unseen_from)
        changed |= {key.kid: key.lifetime.withdrawn(now) for key in others}
    else:
        made.insert(0, policy.new(publish_at=now, sign_from=now, sign_until=unseen_from))
    return Plan(changed, made)


def recovery(keys: Sequence[ScheduledKey], now: float) -> Plan:
    """Ends every key: after a restore of a backup, a key in it may be one that was revoked since, or is known to
    whoever holds the backup. `upkeep` then makes new ones."""
    living = [key for key in keys if key.lifetime.phase(now) not in (Phase.REVOKED, Phase.RETIRED)]
    return Plan({key.kid: replace(key.lifetime, revoked_at=now) for key in living})


def _revocable(keys: Sequence[ScheduledKey], kid: str, now: float) -> ScheduledKey:
    for key in keys:
        if key.kid == kid:
            phase = key.lifetime.phase(now)
            if phase in (Phase.REVOKED, Phase.RETIRED):
                raise NoSuchKeyError(f"The key {kid} is {phase} already.")
            return key
    raise NoSuchKeyError(f"There is no key {kid}. `idp keys list` shows those there are.")
