"""Holding back the signals that end a program while something is on the host that it must take away again."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Iterator, NoReturn, Optional

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BY_SIGNAL = 128
"""What shells add to a signal's number for the exit code of what it ended."""


def take_endings() -> None:
    """Has what ends gpuctl from outside end it in order, so that it takes away what it left on the host."""
    signal.signal(signal.SIGINT, _interrupt)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)


def _interrupt(number: int, _: Optional[FrameType]) -> NoReturn:
    ignore_endings()
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(BY_SIGNAL + number)


def ignore_endings() -> None:
    """Has gpuctl end in its own time from now on: a second signal must not cut short what the first one made it do.

    To be called in the main thread.
    """
    for number in ENDING:
        # Not SIG_IGN: of a signal that came before and is not handled yet, Python would say so on stderr.
        signal.signal(number, lambda *_: None)


class HeldSignals:
    """A context in which ENDING signals wait, but for the stretches in `let_through`, where the first one raises.

    SIGINT raises KeyboardInterrupt, the others SystemExit(128 + number). Once one has raised, further ones wait: a
    second Ctrl-C does not cut short the tidying up after the first. One that waited raises when the context ends.
    `words` are said on stderr where the first one has to wait.

    Works in the main thread only, as Python's signal handlers do.
    """

    def __init__(self, words: str = "") -> None:
        self._words = words
        self._open = False
        self._waiting: Optional[int] = None
        self._handlers = {number: signal.getsignal(number) for number in ENDING}

    def __enter__(self) -> HeldSignals:
        for number, handler in self._handlers.items():
            if handler is not signal.SIG_IGN:  # nohup: whoever started us does not want to be ended by it
                signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        if kind is None:
            self._deliver()

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """The stretch in which a signal raises, one that has been waiting at once."""
        self._deliver()
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def _handle(self, number: int, frame: Optional[FrameType]) -> None:
        if self._words and not self._open and self._waiting is None:
            with suppress(OSError):  # not by the stream, which this may have cut off in the middle
                os.write(2, ("%s\n" % self._words).encode())
        self._waiting = number
        if self._open:
            self._open = False
            self._deliver()

    def _deliver(self) -> None:
        number, self._waiting = self._waiting, None
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        if number is not None:
            raise SystemExit(BY_SIGNAL + number)
