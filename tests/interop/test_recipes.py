"""The pages of docs/verify, carried out: what they set up takes our tokens and refuses all others.

Each product is run as its page says, with names of examples replaced and the issuer on this machine.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from idp_verifier.testing import LocalIssuer, Signer
from tests.interop.address import Address, address
from tests.interop.bad_tokens import bad_tokens, claims_for, good_tokens
from tests.interop.pages import PAGES
from tests.interop.programs import Missing
from tests.interop.recipes.apache import APACHE
from tests.interop.recipes.envoy import ENVOY
from tests.interop.recipes.gateway import NotStartedError
from tests.interop.recipes.go_oidc import GO_OIDC
from tests.interop.recipes.haproxy import HAPROXY
from tests.interop.recipes.jose import JOSE
from tests.interop.recipes.nimbus import NIMBUS
from tests.interop.recipes.pyjwt import PYJWT
from tests.interop.recipes.rabbitmq import RABBITMQ
from tests.interop.recipes.recipe import Place, Recipe, Verifier
from tests.rotation.front import Front, Token
from tests.rotation.installation import AUDIENCE, MAX_AGE, installation

RECIPES = (ENVOY, RABBITMQ, APACHE, HAPROXY, JOSE, PYJWT, GO_OIDC, NIMBUS)
SCOPE = f"{AUDIENCE}.write:%2F/orders*"  # RabbitMQ lets nobody into a virtual host without one
ROTATIONS = 3
each_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
_STRANGERS = 3
_PACE = 0.1
_BEFORE_END = 2.0
_PATIENCE = 60.0


def test_every_page_is_carried_out_and_listed() -> None:
    pages = {page.name for page in PAGES.glob("*.md")} - {"README.md"}
    assert pages == {recipe.page for recipe in RECIPES}
    listed = (PAGES / "README.md").read_text()
    assert {page for page in pages if f"]({page})" not in listed} == set()


def _place(issuer: Address, folder: Path, *, cache: int = 300) -> Place:
    return Place(issuer.url, issuer.plain_url, AUDIENCE, issuer.authority, _folder(folder), cache)


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


@contextlib.asynccontextmanager
async def _local_issuer(folder: Path) -> AsyncIterator[tuple[Address, LocalIssuer]]:
    """An issuer with a key of the test's own, at an https address."""
    with LocalIssuer() as issuer:
        async with address(folder) as https:
            https.target = _port(issuer.url)
            yield https, issuer


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


@contextlib.asynccontextmanager
async def _opened(recipe: Recipe, place: Place) -> AsyncIterator[Verifier]:
    """The product, set up; skips the test where it is not to be had."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            verifier = await stack.enter_async_context(recipe.open(place))
        except Missing as reason:
            pytest.skip(f"{recipe.name}: {reason}")
        yield verifier


@pytest.mark.parametrize(
    "recipe",
    [pytest.param(recipe, id=recipe.name, marks=() if recipe.cheap else pytest.mark.interop) for recipe in RECIPES],
)
async def test_tokens(recipe: Recipe, tmp_path: Path) -> None:
    async with (
        _local_issuer(tmp_path) as (https, issuer),
        _opened(recipe, _place(https, tmp_path / "place")) as verifier,
    ):
        claims = claims_for(https.url, AUDIENCE, int(time.time()), SCOPE)
        for name, token in good_tokens(issuer.signer, claims).items():
            assert await verifier.objection(token) is None, name
        bad = bad_tokens(issuer.signer, claims)
        accepted = {name for name, token in bad.items() if await verifier.objection(token) is None}
        assert accepted == recipe.blind
        fetches = len(issuer.requests)
        for _ in range(_STRANGERS):
            assert await verifier.objection(Signer.generate().sign(claims)) is not None
        assert len(issuer.requests) - fetches == (_STRANGERS if recipe.is_led_to_fetch else 0)


@pytest.mark.interop
@each_recipe
async def test_a_token_that_was_let_in_ends(recipe: Recipe, tmp_path: Path) -> None:
    async with (
        _local_issuer(tmp_path) as (https, issuer),
        _opened(recipe, _place(https, tmp_path / "place")) as verifier,
    ):
        end = int(time.time()) + 5
        claims = claims_for(https.url, AUDIENCE, end - 900, SCOPE)
        token = issuer.signer.sign({**claims, "exp": end - recipe.leeway})
        assert await verifier.objection(token) is None
        await asyncio.sleep(end + 2 - time.time())
        assert await verifier.objection(token) is not None


@pytest.mark.interop
@each_recipe
async def test_whoever_poses_as_the_issuer_is_not_believed(recipe: Recipe, tmp_path: Path) -> None:
    """The certificate at the issuer's address is by an authority that the product does not trust."""
    async with _local_issuer(tmp_path) as (https, issuer), address(_folder(tmp_path / "trusted")) as trusted:
        place = _place(https, tmp_path / "place")
        place = replace(place, authority=trusted.authority, plain_issuer=place.issuer)
        token = issuer.signer.sign(claims_for(https.url, AUDIENCE, int(time.time()), SCOPE))
        with contextlib.suppress(NotStartedError):  # for want of keys
            async with _opened(recipe, place) as verifier:
                assert await verifier.objection(token) is not None
        assert issuer.requests == []


@pytest.mark.interop
@pytest.mark.parametrize("recipe", [ENVOY, APACHE, HAPROXY], ids=lambda recipe: recipe.name)
async def test_two_tokens_are_none(recipe: Recipe, tmp_path: Path) -> None:
    """The service behind a gateway may read another one than the gateway verified."""
    async with (
        _local_issuer(tmp_path) as (https, issuer),
        _opened(recipe, _place(https, tmp_path / "place")) as verifier,
    ):
        claims = claims_for(https.url, AUDIENCE, int(time.time()), SCOPE)
        good, forged = issuer.signer.sign(claims), Signer.generate().sign(claims)
        for first, second in ((good, forged), (forged, good)):
            assert await verifier.objection(f"{first}\r\nauthorization: Bearer {second}") is not None


@pytest.mark.interop
@each_recipe
async def test_outage(recipe: Recipe, tmp_path: Path) -> None:
    """What happens is what the page says, and once the issuer is back all is well without anybody's help."""
    async with _local_issuer(tmp_path) as (https, issuer):
        place = _place(https, tmp_path / "place", cache=1)
        claims = claims_for(https.url, AUDIENCE, int(time.time()), SCOPE)
        token, stranger = issuer.signer.sign(claims), Signer.generate().sign(claims)
        async with _opened(recipe, place) as verifier:
            assert await verifier.objection(token) is None
            await https.down()
            await asyncio.sleep(2 * place.cache + 1)
            assert (await verifier.objection(token) is None) == recipe.outlasts_cache
            assert await verifier.objection(stranger) is not None  # and makes it forget nothing
            assert (await verifier.objection(token) is None) == recipe.outlasts_cache
            await https.up()
            await _accepted(verifier, token)
        await https.down()
        async with _opened(recipe, place) as restarted:
            assert (await restarted.objection(token) is None) == recipe.outlasts_restart
            await https.up()
            await _accepted(restarted, token)


async def _accepted(verifier: Verifier, token: str) -> None:
    """Waits until it is."""
    async with asyncio.timeout(_PATIENCE):
        while await verifier.objection(token) is not None:  # noqa: ASYNC110 - another process has what we wait for
            await asyncio.sleep(_PACE)


@dataclass(slots=True)
class Outcome:
    """Of rotations: what each product, by name, made of the tokens; and which are missing, and why."""

    missing: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    rejections: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One run for all of them: they see the same tokens."""
    return asyncio.run(_rotate(tmp_path_factory.mktemp("rotation")))


async def _rotate(folder: Path) -> Outcome:
    outcome = Outcome()
    async with (
        address(folder) as https,
        installation(instances=1, workers=1, issuer=https.url, scopes=(SCOPE,)) as running,
        contextlib.AsyncExitStack() as stack,
    ):
        https.target = _port(running.instances[0].url)
        verifiers: dict[str, Verifier] = {}
        for recipe in RECIPES:
            place = _place(https, folder / recipe.name, cache=MAX_AGE)
            try:
                verifiers[recipe.name] = await stack.enter_async_context(recipe.open(place))
            except Missing as reason:
                outcome.missing[recipe.name] = str(reason)
        with contextlib.closing(Front(running)) as front:
            await _present(front, verifiers, outcome)
    return outcome


async def _present(front: Front, verifiers: dict[str, Verifier], outcome: Outcome) -> None:
    """Shows tokens to all, until so many keys have signed: each when it is new, and before it expires."""
    kids: set[str] = set()
    async with asyncio.TaskGroup() as group:
        while len(kids) <= ROTATIONS:
            token = await front.token()
            kids.add(token.kid)
            for name, verifier in verifiers.items():
                group.create_task(_show_twice(name, verifier, token, outcome))
            await asyncio.sleep(_PACE)


async def _show_twice(name: str, verifier: Verifier, token: Token, outcome: Outcome) -> None:
    for moment in (0.0, token.exp - _BEFORE_END):
        await asyncio.sleep(max(0.0, moment - time.time()))
        objection = await verifier.objection(token.text)
        if objection is None:
            outcome.accepted[name] = outcome.accepted.get(name, 0) + 1
        elif time.time() < token.exp:
            said = f"{token.exp - time.time():.1f} s before exp, kid {token.kid}: {objection}"
            outcome.rejections.setdefault(name, []).append(said)


@pytest.mark.interop
@each_recipe
def test_rotations_are_not_noticed(outcome: Outcome, recipe: Recipe) -> None:
    if recipe.name in outcome.missing:
        pytest.skip(f"{recipe.name}: {outcome.missing[recipe.name]}")
    assert outcome.rejections.get(recipe.name, []) == []
    assert outcome.accepted[recipe.name] > ROTATIONS * 20
