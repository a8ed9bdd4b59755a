"""`/docs` in a real browser: Swagger UI works under its policy, with nothing from anywhere else (R17)."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect

from idp.cli.directories import Directories
from idp.protocol.client import ADMIN_SCOPE
from idp.protocol.user import User
from tests import builders
from tests.builders import PASSWORD, ConfidentialClient
from tests.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@dataclass
class Docs:
    """The page, and what it did."""

    page: Page
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def open(self, url: str) -> None:
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)
        await self.page.goto(url)
        await expect(self.operation("showMe")).to_be_visible()

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def operation(self, operation_id: str) -> Locator:
        return self.page.locator(f".opblock[id$='-{operation_id}']")

    async def unfold(self, operation_id: str) -> Locator:
        """Opens an operation, ready to be tried."""
        operation = self.operation(operation_id)
        await operation.locator(".opblock-summary-control").click()
        await operation.get_by_role("button", name="Try it out").click()
        return operation

    async def sign_in(self, scheme: str, *, scope: str | None = None, **fields: str) -> None:
        await self.button("Authorize").click()
        form = self.page.locator(".auth-container").filter(has_text=f"{scheme} (OAuth2")
        for name, value in fields.items():
            await form.get_by_label(f"{name}:", exact=True).fill(value)
        if scope:
            await form.locator("label").filter(has_text=scope).click()
        await form.locator("button.authorize").click()
        await expect(form.get_by_text("Logout", exact=True)).to_be_visible()
        await self.page.keyboard.press("Escape")

    async def execute(self, operation_id: str) -> tuple[str, Any]:
        """Tries an operation; gives the status and the body of the answer."""
        operation = await self.unfold(operation_id)
        await operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table tbody tr.response").first
        status = await answer.locator(".response-col_status").inner_text()
        return status.split()[0], json.loads(await answer.locator(".highlight-code code").first.inner_text())


Open = Callable[..., Awaitable[Docs]]


@pytest.fixture
async def person(directory: Directories) -> User:
    return await builders.user(directory)


@pytest.fixture
async def machine(directory: Directories) -> ConfidentialClient:
    return await builders.client(directory, scopes=(ADMIN_SCOPE,))


@pytest_asyncio.fixture(loop_scope="session")
async def open_docs(chromium: Browser, service: Service) -> AsyncIterator[Open]:
    """Opens the page as a browser of these properties shows it."""
    async with AsyncExitStack() as stack:

        async def open_docs(url: str = f"{service.url}/docs", **properties: Any) -> Docs:
            context = await stack.enter_async_context(await chromium.new_context(**properties))
            docs = Docs(await context.new_page())
            await docs.open(url)
            return docs

        yield open_docs


async def test_a_person_signs_in_and_reads_their_own_record(open_docs: Open, person: User) -> None:
    """With no client at all: Swagger UI then sends empty Basic credentials, which count as the default client's."""
    docs = await open_docs()
    await docs.sign_in("person", username=person.email, password=PASSWORD)
    status, record = await docs.execute("showMe")
    assert (status, record["id"]) == ("200", str(person.id))


async def test_a_machine_signs_in_and_uses_the_admin_api(open_docs: Open, machine: ConfidentialClient) -> None:
    docs = await open_docs()
    client_id, client_secret = machine.auth
    await docs.sign_in("machine", client_id=client_id, client_secret=client_secret, scope=ADMIN_SCOPE)
    status, body = await docs.execute("listKeys")
    assert status == "200"
    assert body["keys"]


async def test_nothing_comes_from_elsewhere_and_nothing_breaks_the_policy(
    open_docs: Open, service: Service, person: User
) -> None:
    docs = await open_docs()
    await docs.sign_in("person", username=person.email, password=PASSWORD)
    await docs.execute("showMe")
    await docs.unfold("issueToken")
    await docs.unfold("addClient")
    await docs.button("Schemas").click()
    assert len(docs.requested) >= 7
    assert [url for url in docs.requested if not url.startswith((f"{service.url}/", "data:"))] == []
    assert docs.complaints == []


async def test_a_token_stays_in_the_memory_of_the_page(open_docs: Open, person: User) -> None:
    docs = await open_docs()
    await docs.sign_in("person", username=person.email, password=PASSWORD)
    kept = await docs.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
    assert kept == [0, 0, ""]
    await docs.page.reload()
    status, _ = await docs.execute("showMe")
    assert status == "401"


async def test_the_keyboard_alone_will_do(open_docs: Open, person: User) -> None:
    docs = await open_docs()
    keyboard, form = docs.page.keyboard, docs.page.locator(".auth-container").first
    await docs.button("Authorize").press("Enter")
    await expect(form.get_by_label("username:")).to_be_focused()
    await keyboard.type(person.email)
    await keyboard.press("Tab")
    await keyboard.type(PASSWORD)
    await form.locator("button.authorize").press("Enter")
    await expect(form.get_by_text("Logout", exact=True)).to_be_visible()
    await keyboard.press("Escape")
    await expect(docs.page.get_by_role("dialog")).to_have_count(0)
    await expect(docs.page.locator(".auth-wrapper .authorize")).to_be_focused()


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
async def test_it_follows_the_colours_of_the_system(open_docs: Open, scheme: str, is_dark: bool) -> None:
    docs = await open_docs(color_scheme=scheme)
    background = await docs.page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = await docs.page.evaluate("getComputedStyle(document.querySelector('.info p')).color")
    assert (brightness(background) < brightness(ink)) is is_dark


async def test_on_a_phone_nothing_scrolls_sideways(open_docs: Open, person: User) -> None:
    docs = await open_docs(**PHONE)
    await docs.sign_in("person", username=person.email, password=PASSWORD)
    await docs.execute("showMe")
    await docs.unfold("addClient")
    assert await docs.page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]


async def test_under_another_name_it_says_where_requests_can_be_tried(open_docs: Open, service: Service) -> None:
    docs = await open_docs(service.url.replace("localhost", "127.0.0.1") + "/docs")
    link = docs.page.get_by_role("status").get_by_role("link")
    assert await link.get_attribute("href") == f"{service.url}/docs"


def brightness(colour: str) -> int:
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))
