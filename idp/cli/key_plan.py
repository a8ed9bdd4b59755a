"""The timeline of every key, drawn for a terminal: `idp keys plan`."""

from collections.abc import Sequence
from datetime import UTC, datetime

from keys.keyring import StoredKey
from keys.schedule import PUBLIC_PHASES, Lifetime, Phase

_MARKS = {Phase.PUBLISHED: "░", Phase.SIGNING: "█", Phase.VERIFYING: "▒"}
_LABEL = 22
DAY = 86400


def drawn(keys: Sequence[StoredKey], now: float, width: int) -> str:
    """A row for each key that is public, from its publication to its end, with the present marked in each."""
    shown = [key for key in keys if key.lifetime.phase(now) in PUBLIC_PHASES]
    if not shown:
        return "There are no keys yet: the first start of the service makes them."
    start = min(min(key.lifetime.publish_at for key in shown), now)
    end = max(key.lifetime.verify_until for key in shown)
    scale = _Scale(start, end, max(20, width - _LABEL - 1))
    rows = [f"{key.kid[:12]:12}  {key.alg:6}  {scale.bar(key.lifetime, now)}" for key in shown]
    return "\n".join([scale.heading(now), *rows, "", _legend(), *map(_sentence, _coming(shown, now))])


class _Scale:
    """Instants as columns."""

    def __init__(self, start: float, end: float, columns: int) -> None:
        self._start = start
        self._second = (columns - 1) / max(1.0, end - start)
        self._columns = columns
        self._end = end

    def column(self, instant: float) -> int:
        return round((instant - self._start) * self._second)

    def bar(self, life: Lifetime, now: float) -> str:
        middles = (self._start + (column + 0.5) / self._second for column in range(self._columns))
        bar = [_MARKS.get(life.phase(at), " ") if at >= life.publish_at else " " for at in middles]
        # However short, the time in which a key signs is seen.
        bar[min(self.column(life.sign_from), self._columns - 1)] = _MARKS[Phase.SIGNING]
        bar[self.column(now)] = "│"
        return "".join(bar).rstrip()

    def heading(self, now: float) -> str:
        """Today above its column, and the date of the end."""
        line = [" "] * (self._columns + _LABEL)
        last = _date(self._end)
        for column, text in (self.column(now), f"now, {_date(now)}"), (self._columns - len(last), last):
            line[_LABEL + column : _LABEL + column + len(text)] = text
        return "".join(line).rstrip()


def _date(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d")


def _legend() -> str:
    return f"{'':{_LABEL}}" + "   ".join(f"{mark} {phase}" for phase, mark in _MARKS.items())


def _coming(keys: Sequence[StoredKey], now: float) -> Sequence[tuple[float, str]]:
    """What happens next, soonest first."""
    happenings = []
    for key in keys:
        life = key.lifetime
        for instant, what in (
            (life.sign_from, f"{key.kid[:12]} begins to sign"),
            (life.verify_until, f"{key.kid[:12]} leaves the JWK Set"),
        ):
            if instant > now:
                happenings.append((instant, what))
    return sorted(happenings)


def _sentence(happening: tuple[float, str]) -> str:
    instant, what = happening
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d %H:%M:%S} UTC  {what}"
