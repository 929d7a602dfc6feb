"""The encyclopaedia of `gpuctl explain`: an entry whole, and the list of entries."""

from __future__ import annotations

from typing import Any

from gpuctl.checks.engine import Check
from gpuctl.command import command
from gpuctl.compat.knowledge.dockerfile_rules import DockerfileRule
from gpuctl.diagnose.entries import Entry, documentation
from gpuctl.model import Remedy
from gpuctl.render.draw.text import Styled, plain, remedy_lines
from gpuctl.render.formats.json import as_json, document
from gpuctl.render.views.explain import INDENT, apart, indented

_KIND_OF: dict[type, str] = {Check: "check", DockerfileRule: "rule"}
_KINDS = {"@xid": "Xid", "@cuda": "CUDA error", "@nvml": "NVML error"}


def _core(line: str) -> str:
    """Returns a core line for people: `@cuda 999` stands for an error, however it is told."""
    kind, _, number = line.partition(" ")
    return f"{_KINDS[kind]} {number}" if kind in _KINDS else line


def entry_text(one: Entry) -> Styled:
    """Returns an entry of the encyclopaedia."""
    if isinstance(one, Check):
        return _check_text(one)
    if isinstance(one, DockerfileRule):
        return _rule_text(one)
    text = Styled(plain(one.title), "bold").append(f"  {one.id}, {one.layer}\n\n", "dim")
    text.append(indented(plain(one.cause))).append(apart(one)).append("\n")
    for remedy in one.remedies:
        text.append(remedy_lines(remedy, INDENT))
    text.append("\n").append(_list("Known by", tuple(map(_core, one.known_by)))).append(_list("Checks", one.checks))
    return text.append(_list("Consequences", one.explains)).append(_list("See", (*one.see_also, one.source)))


def _check_text(one: Check) -> Styled:
    asked = ("gpuctl", "k8s", "doctor") if one.layer == "k8s" else ("gpuctl", "doctor")
    text = Styled(f"{one.id}  ", "bold").append(f"a check of {' '.join(asked)}, {one.layer}\n\n", "dim")
    for paragraph in documentation(one).split("\n\n"):
        text.append(indented(" ".join(paragraph.split())))
    text.append("\n").append(_list("Explains", one.explains))
    part = ("-v",) if one.layer == "k8s" else ("--only", one.id)
    return text.append(remedy_lines(Remedy("", (command(*asked, *part),)), INDENT))


def _rule_text(one: DockerfileRule) -> Styled:
    text = Styled(f"{one.id}  ", "bold").append(f"a rule of gpuctl dockerfile lint, {one.severity}\n\n", "dim")
    for sentence in (f"{one.title}.", one.why, one.instead):
        text.append(indented(plain(sentence)))
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
