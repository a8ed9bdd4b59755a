"""What the recipes under docs/verify have in common, seen from a test."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Verifier(Protocol):
    """A running product that was set up as its page says."""

    async def objection(self, token: str) -> str | None:
        """None when it lets the token in; otherwise what it answers."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a recipe is carried out: what stands for the names and times that the pages give as examples.

    `cache` is in seconds, for the times after which keys are fetched again. The certificate of `issuer`, which is
    https, was signed by `authority`; `plain_issuer` is the same without TLS. `folder` outlives a restart.
    """

    issuer: str
    plain_issuer: str
    audience: str
    authority: Path
    folder: Path
    cache: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A product and what its page, a file in docs/verify, says of it.

    `open` runs it while the block runs, and raises Missing where it is not to be had. `blind` names the bad tokens
    that it lets in, `leeway` the seconds that it takes a token beyond its end. In an outage of the issuer it verifies
    with the keys that it has past their time (`outlasts_cache`), and after a restart (`outlasts_restart`), or not.
    If it `is_led_to_fetch`, each token with an unknown `kid` makes it ask the issuer. A `cheap` one comes with the
    tests' own environment.
    """

    name: str
    page: str
    open: Callable[[Place], AbstractAsyncContextManager[Verifier]]
    blind: frozenset[str] = frozenset()
    leeway: int
    outlasts_cache: bool
    outlasts_restart: bool
    is_led_to_fetch: bool
    cheap: bool = False
