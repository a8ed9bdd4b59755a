"""Who has fetched the JWK Set with the next key in it: a hint for whoever rotates, never a proof.

A shared cache, a second replica behind one address or a forged name blur it, so no state is called safe, and no
rotation is ever made earlier for it. It is kept in memory and written now and then, not with every fetch.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from idp.signing.ports import KeyTables
from idp.store.jwks_readers import Reader
from keys.schedule import ScheduledKey, line

BOUND = 1000
"""The most readers that are remembered: those seen last."""

State = Literal["unknown", "fetched", "confirmed"]


@dataclass(frozen=True, slots=True)
class ReaderState:
    """What is known of a reader with regard to the key that signs next. `seen_at` is in POSIX seconds."""

    name: str
    state: State
    seen_at: float


class JwksReaders:
    """Remembers readers of the JWK Set by name."""

    def __init__(self, store: KeyTables, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._fresh: OrderedDict[str, Reader] = OrderedDict()

    def __len__(self) -> int:
        """How many are not written yet."""
        return len(self._fresh)

    def saw(self, name: str, newest_kid: str, *, confirmed: bool) -> None:
        """A reader was sent the set whose newest key is this one, or (`confirmed`) showed that it has it already."""
        known = self._fresh.pop(name, None)
        confirmed = confirmed or (known is not None and known.newest_kid == newest_kid and known.confirmed)
        self._fresh[name] = Reader(name, newest_kid, confirmed, self._clock())
        while len(self._fresh) > BOUND:  # by more than one after a write that failed
            self._fresh.popitem(last=False)

    async def write(self) -> None:
        """Writes what was seen since the last time. What cannot be written is kept, as far as the bound allows."""
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, OrderedDict()
        try:
            await self._store.jwks_readers.save(list(fresh.values()), bound=BOUND)
        except BaseException:
            self._fresh = OrderedDict({**fresh, **self._fresh})
            raise

    async def states(self, keys: Iterable[ScheduledKey]) -> Sequence[ReaderState]:
        """Every reader's state with regard to the next key, as far as any instance has written it."""
        return states_of(await self._store.jwks_readers.all(), keys, self._clock())


def states_of(readers: Iterable[Reader], keys: Iterable[ScheduledKey], now: float) -> Sequence[ReaderState]:
    """The states with regard to the last key of the line: whoever has that one has those before it."""
    waiting = line(keys, now)
    newest = waiting[-1].kid if waiting else None
    return [ReaderState(reader.name, _state(reader, newest), reader.seen_at) for reader in readers]


def _state(reader: Reader, newest: str | None) -> State:
    if reader.newest_kid != newest:
        return "unknown"
    return "confirmed" if reader.confirmed else "fetched"
