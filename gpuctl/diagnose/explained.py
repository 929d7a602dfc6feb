"""An error text explained: read once, and this host asked about it where that decides."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO

from gpuctl.diagnose.answer import Confidence, Match, can_be_decided, matches
from gpuctl.diagnose.resembling import READ, resembling
from gpuctl.diagnose.scan import TAKEN_BACK, scan
from gpuctl.frozen import dataclass
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.host.look.reading import Host


class UnreadableText(Exception):
    """The text could not be read; the message is the system's reason."""


@dataclass(frozen=True)
class Explained:
    """The failures that a text shows, or resembles where it shows none; whether a host was `probed` for them."""

    matches: tuple[Match, ...]
    probed: bool

    @property
    def exit_code(self) -> ExitCode:
        """Good where the text tells only of errors that an engine has got over."""
        known = [one.family.id for one in self.matches if one.confidence is not Confidence.RESEMBLING]
        if not known:
            return ExitCode.UNDETERMINED
        return ExitCode.GOOD if set(known) == {TAKEN_BACK} else ExitCode.PROBLEM


class _Noting:
    """A stream that keeps the beginning of what was read of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.beginning = b""

    def read(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        self.beginning = self.beginning or chunk[:READ]
        return chunk


def explained(
    stream: BinaryIO, host: Callable[[], Host] | None, working: Callable[[str], AbstractContextManager[None]]
) -> Explained:
    """Returns what a text shows. `host` is asked where it tells failures apart; None: the text is from elsewhere.

    `working` shows a person what they wait for. Raises UnreadableText.
    """
    try:
        with working("Reading the text"):
            text = _Noting(stream)
            sightings = scan(text)
    except OSError as error:
        raise UnreadableText(error.strerror) from None
    if not sightings:
        return Explained(resembling(text.beginning), probed=False)
    if host is None or not can_be_decided(sightings):
        return Explained(matches(sightings), probed=False)
    from gpuctl.checks import diagnose
    from gpuctl.facts.gather import gather

    with working("Looking at this host"):
        report = diagnose(gather(host()))
    return Explained(matches(sightings, report), probed=True)
