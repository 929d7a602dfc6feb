"""An error text explained: read once, and this host asked about it where that decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO

from gpuctl.compat.ask.encodings import encoding_of
from gpuctl.diagnose.answer import UNKNOWN_HOST, Confidence, Match, can_be_decided, matches
from gpuctl.diagnose.behind import behind
from gpuctl.diagnose.blanks import filled_in, told_by_host, told_by_text
from gpuctl.diagnose.letters import cleaned
from gpuctl.diagnose.resembling import READ, resembling
from gpuctl.diagnose.scan import Sighting, scan
from gpuctl.frozen import dataclass
from gpuctl.model import ExitCode, Report

if TYPE_CHECKING:
    from gpuctl.host.look.reading import Host


_ODD = frozenset({"\ufffd", *map(chr, set(range(0x20)) - set(b"\a\b\t\n\f\r\x1b"))})
_ODD_IN = 10
"""Where more than one letter of so many is one that no program prints, it is no text."""


class UnreadableText(Exception):
    """The text could not be read; the message is the system's reason."""


@dataclass(frozen=True)
class Explained:
    """The failures that a text shows, then those that it resembles; whether a host was `probed` for them.

    `behind`: other causes that such lines were found to have: those that this host has, then by frequency and the text.
    `no_text`: what came in the place of a text, a clause.
    """

    matches: tuple[Match, ...]
    behind: tuple[Match, ...]
    probed: bool
    no_text: str = ""

    @property
    def exit_code(self) -> ExitCode:
        """Good where the text tells only of errors that an engine has got over."""
        known = tuple(one for one in self.matches if one.confidence is not Confidence.RESEMBLING)
        if not known:
            return ExitCode.UNDETERMINED
        return ExitCode.GOOD if _is_harmless(known) else ExitCode.PROBLEM


class _Noting:
    """A stream that keeps the beginning of what was read of it, and whether that is not all."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.beginning = b""
        self.longer = False

    def read(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        self.longer = self.longer or len(chunk) > READ or bool(self.beginning and chunk)
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
    no_text = _no_text(text.beginning) if not sightings else ""
    if no_text:
        return Explained((), (), probed=False, no_text=no_text)
    told = {} if text.longer else told_by_text(cleaned(text.beginning).decode(errors="replace"))
    if host is None or not can_be_decided(sightings):
        return _answer(sightings, text, told)
    from gpuctl.checks.every import diagnose
    from gpuctl.facts.gather import gather

    with working("Looking at this host"):
        facts = gather(host())
        report = diagnose(facts)
    return _answer(sightings, text, {**told_by_host(facts), **told}, report)


def _no_text(beginning: bytes) -> str:
    """Returns what came in the place of a text, as a clause; "" for a text."""
    if not beginning.strip():
        return "no text came"
    text = beginning.decode(encoding_of(beginning), "replace")
    return "what came is no text" if sum(letter in _ODD for letter in text) * _ODD_IN > len(text) else ""


def _answer(
    sightings: tuple[Sighting, ...], text: _Noting, told: Mapping[str, str], host: Report | None = None
) -> Explained:
    report = host or UNKNOWN_HOST
    shown = _with_nearest(matches(sightings, report), text)
    others = behind(shown, report, b"" if text.longer else text.beginning)
    filled, others_filled = (tuple(filled_in(match, told) for match in several) for several in (shown, others))
    return Explained(filled, others_filled, probed=host is not None)


def _with_nearest(shown: tuple[Match, ...], text: _Noting) -> tuple[Match, ...]:
    """Adds what a text resembles to what it shows, unless that is certain, or the text a log.

    What tells of no failure is told where nothing else is.
    """
    failures = tuple(match for match in shown if not match.family.harmless)
    sure = any(match.confidence is Confidence.CERTAIN for match in failures)
    if shown and (sure or text.longer):
        return failures or shown
    return (*failures, *resembling(text.beginning, failures)) or shown


def _is_harmless(shown: tuple[Match, ...]) -> bool:
    """Whether programs have got over all that is shown."""
    return all(match.family.harmless for match in shown)
