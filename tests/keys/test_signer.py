"""The thread that signs: in order, handed back in bursts, nothing lost at the end."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from keys.signer import BURST, SignerThread


@pytest.fixture
async def signer() -> AsyncIterator[SignerThread]:
    signer = SignerThread()
    signer.start()
    yield signer
    await signer.stop()


class Gate:
    """Work that keeps the thread until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> bytes:
        self.entered.set()
        assert self.opened.wait(10)
        return b"gate"


async def test_it_runs_off_the_loop_and_gives_the_result(signer: SignerThread) -> None:
    names: list[str] = []

    def work() -> bytes:
        names.append(threading.current_thread().name)
        return b"signature"

    assert await signer.sign(work) == b"signature"
    assert names == ["signer"]


async def test_it_works_in_order(signer: SignerThread) -> None:
    done: list[int] = []

    def work(number: int) -> bytes:
        done.append(number)
        return str(number).encode()

    results = await asyncio.gather(*(signer.sign(lambda n=n: work(n)) for n in range(100)))  # type: ignore[misc]
    assert done == list(range(100))
    assert results == [str(n).encode() for n in range(100)]


async def test_several_are_handed_back_together_while_others_wait(
    signer: SignerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_back: list[int] = []
    loop = asyncio.get_running_loop()
    call_soon_threadsafe = loop.call_soon_threadsafe

    def counted(deliver: Callable[..., object], *args: Any, **named: Any) -> asyncio.Handle:
        if threading.current_thread().name == "signer":
            handed_back.append(len(args[0]))
        return call_soon_threadsafe(deliver, *args, **named)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    gate = Gate()
    works: list[Callable[[], bytes]] = [gate, *[lambda: b"x"] * (2 * BURST)]
    signatures = [asyncio.ensure_future(signer.sign(work)) for work in works]
    await asyncio.sleep(0)  # all are queued
    gate.opened.set()
    await asyncio.gather(*signatures)
    assert handed_back == [BURST, BURST, 1]


async def test_an_error_belongs_to_whoever_asked(signer: SignerThread) -> None:
    def fails() -> bytes:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await signer.sign(fails)
    assert await signer.sign(lambda: b"goes on") == b"goes on"


async def test_what_nobody_waits_for_any_more_is_not_done(signer: SignerThread) -> None:
    gate, done = Gate(), list[int]()
    first = asyncio.ensure_future(signer.sign(gate))

    def sign_second() -> bytes:
        done.append(1)
        return b""

    second = asyncio.ensure_future(signer.sign(sign_second))
    await asyncio.to_thread(gate.entered.wait)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    gate.opened.set()
    assert await first == b"gate"
    assert await signer.sign(lambda: b"third") == b"third"
    assert not done


async def test_a_cancel_during_the_signature_harms_nobody_else(signer: SignerThread) -> None:
    gate = Gate()
    cancelled = asyncio.ensure_future(signer.sign(gate))
    await asyncio.to_thread(gate.entered.wait)
    cancelled.cancel()
    other = asyncio.ensure_future(signer.sign(lambda: b"other"))
    gate.opened.set()
    assert await other == b"other"
    assert cancelled.cancelled()


async def test_stopping_finishes_what_is_queued() -> None:
    signer, gate = SignerThread(), Gate()
    signer.start()
    signatures = [asyncio.ensure_future(signer.sign(work)) for work in (gate, lambda: b"a", lambda: b"b")]
    await asyncio.to_thread(gate.entered.wait)
    stopping = asyncio.ensure_future(signer.stop())
    await asyncio.sleep(0)
    gate.opened.set()
    await stopping
    assert await asyncio.wait_for(asyncio.gather(*signatures), 10) == [b"gate", b"a", b"b"]
