"""The one way to wait for a library that may hang."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class DeadlineError(Exception):
    """A call that did not come back in time."""


def with_deadline(call: Callable[[], T], seconds: float) -> T:
    """Run `call` in a daemon thread and wait at most `seconds`, so that a hung library cannot hold the exit.

    :raises DeadlineError: when it has not come back; the thread is left behind and dies with the process
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=work, daemon=True, name="xcom-doctor").start()
    try:
        return future.result(timeout=seconds)
    except FutureTimeout:
        if future.done():  # the call itself raised a TimeoutError: an answer, not a hang
            raise
        raise DeadlineError(f"no answer within {seconds:g} s") from None
