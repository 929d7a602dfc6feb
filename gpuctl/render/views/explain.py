"""What `gpuctl explain` says of an error text: its matches. Of the encyclopaedia behind it: `entries.py`."""

from __future__ import annotations

from typing import Any

from gpuctl.compat.knowledge.errors.failures import Family
from gpuctl.diagnose.answer import COLLECT, Confidence, Match
from gpuctl.diagnose.explained import Explained
from gpuctl.diagnose.scan import Sighting
from gpuctl.model import Remedy
from gpuctl.render.draw.text import Styled, plain, remedy_lines
from gpuctl.render.formats.json import as_json, document

SHOWN = 3
"""Matches that one screen shows whole."""
_STYLES = {
    Confidence.CERTAIN: "bold red",
    Confidence.LIKELY: "yellow",
    Confidence.POSSIBLE: "magenta",
    Confidence.RESEMBLING: "cyan",
}
BY_THIS_HOST = "What this host shows decides here. Of a text from another host: gpuctl explain --no-probe.\n"
INDENT = "      "
"""Before what stands below a heading."""


def matches_text(found: Explained, verbose: bool) -> Styled:
    """Returns the matches, best first: the first ones whole, the others as a line each; `verbose`: all, with more.

    Then what else is found behind such lines.
    """
    known = _known(found.matches)
    if not known:
        return _nothing(found, verbose)
    whole = len(found.matches) if verbose else min(SHOWN, len(known))
    text = _list_of(found.matches, whole, verbose).append(_behind(found.behind))
    decided = any(match.here and match.confidence is Confidence.CERTAIN for match in known)
    text.append(BY_THIS_HOST if decided else "")
    return text.append("" if verbose else "More with -v, and with gpuctl explain ID.\n", "dim")


def _list_of(found: tuple[Match, ...], whole: int, verbose: bool) -> Styled:
    text = Styled()
    above: tuple[Sighting, ...] = ()
    for match in found[:whole]:
        seen = match.evidence if verbose else match.evidence[:1]
        text.append(_match(match, () if seen == above else seen, verbose)).append("\n")
        above = seen
    for match in found[whole:]:
        text.append(f"{match.confidence.value:<10} ", _STYLES[match.confidence])
        text.append(plain(match.family.title)).append(f"  {match.family.id}\n", "dim")
    return text


def _known(found: tuple[Match, ...]) -> tuple[Match, ...]:
    return tuple(match for match in found if match.confidence is not Confidence.RESEMBLING)


def _behind(others: tuple[Match, ...]) -> Styled:
    """A line each, with what tells it: what the doctor says of this host, or how it is told, and by which look."""
    text = Styled("Also found behind such lines, likeliest first:\n" if others else "", "dim")
    for one in others:
        text.append(f"  {plain(one.family.title)}")
        look = f"$ {one.family.look}" if one.family.look else ""
        told = " ".join(filter(None, (one.family.tells_apart, look)))
        tells = f"This host: {one.here.message} ({one.here.id})" if one.here else told
        text.append(f": {plain(tells)}" if tells else "", "" if one.here else "dim")
        text.append(f"  {one.family.id}\n", "dim")
    return text


def _nothing(found: Explained, verbose: bool) -> Styled:
    if found.no_text:
        said = f"{found.no_text[0].upper()}{found.no_text[1:]}"
        return Styled(f"{said}: give TEXT or --file FILE, or pipe a log into gpuctl explain.\n", "bold")
    near = found.matches
    text = Styled("No failure that gpuctl knows is in this text.\n", "bold")
    if near:
        text.append("By its words, these are the nearest:\n\n", "dim")
        text.append(_list_of(near, len(near) if verbose else SHOWN, verbose)).append(_behind(found.behind)).append("\n")
    text.append("Look further, or send along, what these say:\n", "dim")
    return text.append(remedy_lines(Remedy("", COLLECT), INDENT))


def _match(match: Match, seen: tuple[Sighting, ...], verbose: bool) -> Styled:
    family = match.family
    text = Styled(f"{match.confidence.value.upper()}  ", _STYLES[match.confidence])
    text.append(plain(family.title), "bold").append(f"  {family.id}\n", "dim")
    for one in seen:
        text.append(indented(f"line {one.line}: {plain(one.text)}"), "dim")
    here = f" ({match.here.id})" if match.here else ""
    text.append(indented(plain(match.sentence) + here))
    if match.confidence is not Confidence.CERTAIN or verbose:
        text.append(apart(family))
    sure = match.confidence in (Confidence.CERTAIN, Confidence.LIKELY)
    for remedy in match.remedies if sure or verbose else ():
        text.append(remedy_lines(remedy, INDENT))
    if not sure and not verbose:
        text.append(indented(plain(f"Mend: {match.remedies[0].text}")))
    for address in family.see_also if verbose else ():
        text.append(f"{INDENT}{plain(address)}\n", "dim")
    return text


def apart(family: Family) -> Styled:
    """Returns what tells a family from its look-alikes, and the command that shows it."""
    commands = (family.look,) if family.look else ()
    sentence = f"To tell: {family.tells_apart}" if family.tells_apart else "To see it:"
    return remedy_lines(Remedy(sentence, commands), INDENT) if commands or family.tells_apart else Styled()


def indented(text: str) -> str:
    """Returns a text as a line below a heading."""
    return f"{INDENT}{' '.join(text.split())}\n"


def matches_json(found: Explained) -> str:
    """Returns the matches as JSON, best first, and what else is found behind such lines."""
    collect = [] if _known(found.matches) else as_json(COLLECT)
    told, behind = map(_matches_json, (found.matches, found.behind))
    return document("explain", {"probed": found.probed, "matches": told, "behind": behind, "collect": collect})


def _matches_json(told: tuple[Match, ...]) -> list[dict[str, Any]]:
    return [_match_json(match) for match in told]


def _match_json(match: Match) -> dict[str, Any]:
    family = match.family
    here = match.here
    return {
        "id": family.id,
        "title": family.title,
        "layer": family.layer,
        "confidence": match.confidence,
        "evidence": [{"line": seen.line, "text": seen.text} for seen in match.evidence],
        "cause": family.cause,
        "tells_apart": family.tells_apart,
        "look": as_json(family.look),
        "here": {"check": here.id, "status": here.status, "message": here.message} if here else None,
        "remedies": as_json(match.remedies),
        "see_also": list(family.see_also),
    }
