"""What `gpuctl explain` says: the matches of an error text, an entry of the encyclopaedia, the list of entries."""

from __future__ import annotations

from typing import Any

from gpuctl.checks.engine import Check
from gpuctl.command import command
from gpuctl.compat.knowledge.dockerfile_rules import DockerfileRule
from gpuctl.compat.knowledge.errors.failures import Family
from gpuctl.diagnose.answer import COLLECT, Confidence, Match
from gpuctl.diagnose.entries import Entry, documentation
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
_INDENT = "      "
_KIND_OF: dict[type, str] = {Check: "check", DockerfileRule: "rule"}
_KINDS = {"@xid": "Xid", "@cuda": "CUDA error", "@nvml": "NVML error"}


def matches_text(found: tuple[Match, ...], verbose: bool) -> Styled:
    """Returns the matches, best first: the first ones whole, the others as a line each; `verbose`: all, with more."""
    known = _known(found)
    if not known:
        return _nothing(found, verbose)
    text = _list_of(found, len(found) if verbose else min(SHOWN, len(known)), verbose)
    return text.append("" if verbose else "More with -v, and with gpuctl explain ID.\n", "dim")


def _list_of(found: tuple[Match, ...], whole: int, verbose: bool) -> Styled:
    text = Styled()
    for match in found[:whole]:
        text.append(_match(match, verbose)).append("\n")
    for match in found[whole:]:
        text.append(f"{match.confidence.value:<10} ", _STYLES[match.confidence])
        text.append(plain(match.family.title)).append(f"  {match.family.id}\n", "dim")
    return text


def _known(found: tuple[Match, ...]) -> tuple[Match, ...]:
    return tuple(match for match in found if match.confidence is not Confidence.RESEMBLING)


def _nothing(near: tuple[Match, ...], verbose: bool) -> Styled:
    text = Styled("No failure that gpuctl knows is in this text.\n", "bold")
    if near:
        text.append("By its words, these are the nearest:\n\n", "dim")
        text.append(_list_of(near, len(near) if verbose else SHOWN, verbose)).append("\n")
    text.append("Look further, or send along, what these say:\n", "dim")
    return text.append(remedy_lines(Remedy("", COLLECT), _INDENT))


def _match(match: Match, verbose: bool) -> Styled:
    family = match.family
    text = Styled(f"{match.confidence.value.upper()}  ", _STYLES[match.confidence])
    text.append(plain(family.title), "bold").append(f"  {family.id}\n", "dim")
    for seen in match.evidence if verbose else match.evidence[:1]:
        text.append(_indented(f"line {seen.line}: {plain(seen.text)}"), "dim")
    here = f" ({match.here.id})" if match.here else ""
    text.append(_indented(plain(match.sentence) + here))
    if match.confidence is not Confidence.CERTAIN or verbose:
        text.append(_apart(family))
    if match.confidence in (Confidence.CERTAIN, Confidence.LIKELY) or verbose:
        for remedy in match.remedies:
            text.append(remedy_lines(remedy, _INDENT))
    for address in family.see_also if verbose else ():
        text.append(f"{_INDENT}{plain(address)}\n", "dim")
    return text


def _core(line: str) -> str:
    """Returns a core line for people: `@cuda 999` stands for an error, however it is told."""
    kind, _, number = line.partition(" ")
    return f"{_KINDS[kind]} {number}" if kind in _KINDS else line


def _apart(family: Family) -> Styled:
    commands = (family.look,) if family.look else ()
    sentence = f"To tell: {family.tells_apart}" if family.tells_apart else "To see it:"
    return remedy_lines(Remedy(sentence, commands), _INDENT) if commands or family.tells_apart else Styled()


def _indented(text: str) -> str:
    return f"{_INDENT}{' '.join(text.split())}\n"


def matches_json(found: tuple[Match, ...], probed: bool) -> str:
    """Returns the matches as JSON, best first. `probed`: whether this host was asked."""
    collect = [] if _known(found) else as_json(COLLECT)
    return document("explain", {"probed": probed, "matches": [_match_json(one) for one in found], "collect": collect})


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


def entry_text(one: Entry) -> Styled:
    """Returns an entry of the encyclopaedia."""
    if isinstance(one, Check):
        return _check_text(one)
    if isinstance(one, DockerfileRule):
        return _rule_text(one)
    text = Styled(plain(one.title), "bold").append(f"  {one.id}, {one.layer}\n\n", "dim")
    text.append(_indented(plain(one.cause))).append(_apart(one)).append("\n")
    for remedy in one.remedies:
        text.append(remedy_lines(remedy, _INDENT))
    text.append("\n").append(_list("Known by", tuple(map(_core, one.known_by)))).append(_list("Checks", one.checks))
    return text.append(_list("Consequences", one.explains)).append(_list("See", (*one.see_also, one.source)))


def _check_text(one: Check) -> Styled:
    asked = ("gpuctl", "k8s", "doctor") if one.layer == "k8s" else ("gpuctl", "doctor")
    text = Styled(f"{one.id}  ", "bold").append(f"a check of {' '.join(asked)}, {one.layer}\n\n", "dim")
    for paragraph in documentation(one).split("\n\n"):
        text.append(_indented(" ".join(paragraph.split())))
    text.append("\n").append(_list("Explains", one.explains))
    part = ("-v",) if one.layer == "k8s" else ("--only", one.id)
    return text.append(remedy_lines(Remedy("", (command(*asked, *part),)), _INDENT))


def _rule_text(one: DockerfileRule) -> Styled:
    text = Styled(f"{one.id}  ", "bold").append(f"a rule of gpuctl dockerfile lint, {one.severity}\n\n", "dim")
    for sentence in (f"{one.title}.", one.why, one.instead):
        text.append(_indented(plain(sentence)))
    return text.append("\n").append(_list("See", (one.source,)))


def _list(title: str, items: tuple[str, ...]) -> Styled:
    return Styled("".join(f"{title:<13} {plain(item)}\n" for item in items), "dim")


def entries_json(chosen: tuple[Entry, ...]) -> str:
    """Returns entries of the encyclopaedia as JSON."""
    return document("explain", {"probed": False, "matches": [], "entries": [_entry_json(one) for one in chosen]})


def _entry_json(one: Entry) -> dict[str, Any]:
    if isinstance(one, Check):
        return {
            "kind": "check",
            "id": one.id,
            "layer": one.layer,
            "text": documentation(one),
            "explains": list(one.explains),
        }
    if isinstance(one, DockerfileRule):
        return {"kind": "rule", "layer": one.layer, "explains": [], **as_json(one)}
    return {"kind": "failure", **as_json(one)}


def entries_text(chosen: tuple[Entry, ...]) -> Styled:
    """Returns entries as a list, a line each, under their layers."""
    text, heading = Styled(), None
    for one in chosen:
        kind = _KIND_OF.get(type(one), "failure")
        if heading != (kind, one.layer):
            heading = (kind, one.layer)
            text.append(f"{kind}s: {one.layer}\n", "bold")
        sentence = documentation(one).partition("\n")[0] if isinstance(one, Check) else one.title
        text.append(f"  {one.id:<36} ").append(f"{plain(sentence)}\n", "dim")
    return text
