"""Runs coroutines step by step, so that a process can be paused or killed between any two steps."""

import types
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@types.coroutine
def step(label: str) -> Generator[str, None, None]:
    """A point at which whoever drives the coroutine may pause it, kill it or let a call fail."""
    yield label


class Steps(Generic[T]):
    """A coroutine under way. `label` says at which step it stands, None when it has ended."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self.result: T | None = None
        self.label: str | None = "begin"

    def go_on(self, error: Exception | None = None) -> None:
        """To the next step; with `error`, the call that it waits for fails. Raises what the coroutine raises."""
        try:
            self.label = self._work.throw(error) if error else self._work.send(None)
        except StopIteration as end:
            self.label, self.result = None, end.value
        except BaseException:
            self.label = None
            raise

    def go_to(self, label: str) -> bool:
        """Up to a step of this name; False if the coroutine ended without one."""
        while self.label is not None and self.label != label:
            self.go_on()
        return self.label is not None

    def finish(self) -> T:
        """To the end."""
        while self.label is not None:
            self.go_on()
        return self.result  # type: ignore[return-value]

    def kill(self) -> None:
        """What kill -9 does: it ends where it stands, and its connections are closed."""
        self._work.close()
        self.label = None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine in one go."""
    return Steps(work).finish()
