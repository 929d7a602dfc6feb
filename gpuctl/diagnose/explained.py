"""An error text explained: read once, and this host asked about it where that decides."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from gpuctl.diagnose.answer import Match, can_be_decided, matches
from gpuctl.diagnose.scan import TAKEN_BACK, scan
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.host.look.reading import Host


class UnreadableText(Exception):
    """The text could not be read; the message is the system's reason."""


@dataclass(frozen=True)
class Explained:
    """The failures that a text shows, and whether a host was `probed` for them."""

    matches: tuple[Match, ...]
    probed: bool

    @property
    def exit_code(self) -> ExitCode:
        """Good where the text tells only of errors that an engine has got over."""
        if not self.matches:
            return ExitCode.UNDETERMINED
        return ExitCode.GOOD if all(one.family.id == TAKEN_BACK for one in self.matches) else ExitCode.PROBLEM


def explained(
    stream: BinaryIO, host: Callable[[], Host] | None, working: Callable[[str], AbstractContextManager[None]]
) -> Explained:
    """Returns what a text shows. `host` is asked where it tells failures apart; None: the text is from elsewhere.

    `working` shows a person what they wait for. Raises UnreadableText.
    """
    try:
        with working("Reading the text"):
            sightings = scan(stream)
    except OSError as error:
        raise UnreadableText(error.strerror) from None
    if host is None or not can_be_decided(sightings):
        return Explained(matches(sightings), probed=False)
    from gpuctl.checks import diagnose
    from gpuctl.facts.gather import gather

    with working("Looking at this host"):
        report = diagnose(gather(host()))
    return Explained(matches(sightings, report), probed=True)
