"""What becomes of a stolen refresh token, by when it is presented and by whom. Each row of the table is a test.

A row is a story: `owner 0=1` presents token 0 and gets token 1, `thief 0!` presents it and is refused, `wait 31` lets
seconds pass. The thief has the client's own credentials, or needs none because the client is public; `stranger` is
another client. Where the tokens are bound to a key (RFC 9449), the owner alone proves it: the thief has no proof, the
`forger` one by a key of its own; the `burglar` has the owner's key too. Then: whether the family is revoked, and what
the audit log says of it.
"""

import pytest

from idp.protocol.client import Client
from idp.protocol.errors import InvalidGrantError
from idp.protocol.refresh import RefreshPolicy
from idp.store import Store
from tests.refresh.beginning import begun, client_of, families_on, pass_time, person, presented

WINDOW, STRICT = 30, 0
REPEATED, REPLAYED, REFUSED = "refresh.repeated", "refresh.replayed", "refresh.refused"

TABLE = [
    # The thief is first. Nobody can tell the two apart, until one presents a token whose successor was used.
    ("first, and the owner within the window: both hold one token", WINDOW, "thief 0=1, owner 0=1", False, [REPEATED]),
    ("... until both have used it in turn", WINDOW, "thief 0=1, owner 0=1, owner 1=2, wait 31, thief 1!, owner 2!",
     True, [REPEATED, REPLAYED]),
    ("... or one is ahead by two", WINDOW, "thief 0=1, owner 0=1, thief 1=2, thief 2=3, owner 1!, thief 3!",
     True, [REPEATED, REPLAYED]),
    ("first, and the owner after the window", WINDOW, "thief 0=1, wait 31, owner 0!, thief 1!", True, [REPLAYED]),
    ("first and again, and the owner within the window", WINDOW, "thief 0=1, thief 1=2, owner 0!, thief 2!",
     True, [REPLAYED]),
    # The owner is first.
    ("within the window, the successor unused: the same one", WINDOW, "owner 0=1, wait 29, thief 0=1",
     False, [REPEATED]),
    ("... which the owner then uses, and the thief after the window", WINDOW,
     "owner 0=1, thief 0=1, owner 1=2, wait 31, thief 1!, owner 2!", True, [REPEATED, REPLAYED]),
    ("within the window, the successor used", WINDOW, "owner 0=1, owner 1=2, thief 0!, owner 2!", True, [REPLAYED]),
    ("after the window", WINDOW, "owner 0=1, wait 31, thief 0!, owner 1!", True, [REPLAYED]),
    ("after the window, which no repetition extends", WINDOW,
     "owner 0=1, wait 20, owner 0=1, wait 11, thief 0!, owner 1!", True, [REPEATED, REPLAYED]),
    ("an older ancestor", WINDOW, "owner 0=1, owner 1=2, owner 2=3, thief 0!, owner 3!", True, [REPLAYED]),
    ("an older ancestor, long after", WINDOW, "owner 0=1, owner 1=2, wait 9999, thief 0!, owner 2!", True, [REPLAYED]),
    ("once more, when the family has ended", WINDOW, "owner 0=1, wait 31, thief 0!, thief 0!, thief 1!",
     True, [REPLAYED]),
    # Without the client's credentials a token is worth nothing, and does no harm.
    ("by another client, before", WINDOW, "stranger 0!, owner 0=1", False, [REFUSED]),
    ("by another client, within the window", WINDOW, "owner 0=1, stranger 0!, owner 0=1, owner 1=2", False,
     [REFUSED, REPEATED]),
    ("by another client, after the window", WINDOW, "owner 0=1, wait 31, stranger 0!, owner 1=2", False, [REFUSED]),
    ("by another client, an ancestor", WINDOW, "owner 0=1, owner 1=2, stranger 0!, stranger 1!, owner 2=3", False,
     [REFUSED, REFUSED]),
    # With a window of 0 every token is good once.
    ("strict: at once", STRICT, "owner 0=1, thief 0!, owner 1!", True, [REPLAYED]),
    ("strict: the thief first", STRICT, "thief 0=1, owner 0!, thief 1!", True, [REPLAYED]),
    # A family that is past its time has no good token, and none that betrays a theft.
    ("idle for too long", WINDOW, f"owner 0=1, wait {14 * 86400}, thief 0!, thief 1!, owner 1!", False, []),
    ("just in time, which is what counts as idle", WINDOW, f"owner 0=1, wait {14 * 86400 - 9}, owner 1=2", False, []),
    ("past the absolute end, though never idle", WINDOW,
     ", ".join(f"wait {6 * 86400}, owner {n}={n + 1}" for n in range(4)) + f", wait {6 * 86400}, owner 4!", False, []),
]  # fmt: skip

BOUND = [
    # What is bound to a key is worth nothing without it, and does no harm: the owner never notices.
    ("before", WINDOW, "thief 0!, forger 0!, owner 0=1", False, [REFUSED] * 2),
    ("within the window, the successor unused", WINDOW, "owner 0=1, thief 0!, forger 0!, owner 0=1, owner 1=2", False,
     [REFUSED, REFUSED, REPEATED]),
    ("within the window, the successor used", WINDOW, "owner 0=1, owner 1=2, thief 0!, forger 0!, owner 2=3", False,
     [REFUSED] * 2),
    ("after the window", WINDOW, "owner 0=1, wait 31, thief 0!, forger 0!, owner 1=2", False, [REFUSED] * 2),
    ("the current one, after the window", WINDOW, "owner 0=1, wait 31, thief 1!, forger 1!, owner 1=2", False,
     [REFUSED] * 2),
    ("an older ancestor, long after", WINDOW, "owner 0=1, owner 1=2, wait 9999, thief 0!, forger 0!, owner 2=3", False,
     [REFUSED] * 2),
    ("strict", STRICT, "owner 0=1, thief 0!, forger 0!, thief 1!, owner 1=2", False, [REFUSED] * 3),
    ("by another client with the key", WINDOW, "owner 0=1, stranger 0!, wait 31, stranger 0!, owner 1=2", False,
     [REFUSED] * 2),
    ("idle for too long", WINDOW, f"owner 0=1, wait {14 * 86400}, thief 0!, forger 1!, owner 1!", False, []),
    # Whoever has the key too is as good a thief as one of tokens that are bound to none.
    ("with the key, before", WINDOW, "burglar 0=1, wait 31, owner 0!, burglar 1!", True, [REPLAYED]),
    ("with the key, within the window", WINDOW, "owner 0=1, burglar 0=1, owner 1=2, wait 31, burglar 1!, owner 2!",
     True, [REPEATED, REPLAYED]),
    ("with the key, after it", WINDOW, "owner 0=1, wait 31, burglar 0!, owner 1!", True, [REPLAYED]),
]  # fmt: skip
KEYS = {"owner": "the key", "burglar": "the key", "stranger": "the key", "forger": "another key"}


@pytest.fixture
async def clients(store: Store) -> dict[str, Client]:
    owner, stranger = await client_of(store), await client_of(store)
    return {"owner": owner, "thief": owner, "forger": owner, "burglar": owner, "stranger": stranger}


@pytest.mark.parametrize(
    ("keys", "window", "story", "revoked", "said"),
    [({}, *row[1:]) for row in TABLE] + [(KEYS, *row[1:]) for row in BOUND],
    ids=[row[0] for row in TABLE] + [f"bound: {row[0]}" for row in BOUND],
)
async def test_r11_a_stolen_token(
    store: Store,
    clients: dict[str, Client],
    keys: dict[str, str],
    window: int,
    story: str,
    revoked: bool,
    said: list[str],
) -> None:
    families = await families_on(store, RefreshPolicy(retry_window=window))
    user = await person(store)
    tokens = [await begun(families, clients["owner"], user, dpop_jkt=keys.get("owner"))]
    for step in story.split(", "):
        who, what = step.split(" ")
        if who == "wait":
            await pass_time(store, user, float(what))
            continue
        number, gets, successor = what.partition("=")
        token = tokens[int(number.rstrip("!"))]
        outcome = await presented(families, clients[who], token, dpop_jkt=keys.get(who))
        if not gets:
            assert isinstance(outcome, InvalidGrantError), step
            continue
        assert isinstance(outcome, str), step
        assert outcome == tokens[int(successor)] if int(successor) < len(tokens) else outcome not in tokens, step
        tokens = tokens if outcome in tokens else [*tokens, outcome]
    (family,) = await store.executor.fetch_all(
        "select revoked_at, sealed_successor from refresh_families where user_id = $1", user.id
    )
    assert (family["revoked_at"] is not None) == revoked
    assert not revoked or family["sealed_successor"] is None
    events = reversed(await store.audit.page(subject=str(user.id)))
    assert [event.event for event in events] == said
