"""What `gpuctl dockerfile lint` says: each fault with its place, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuctl.compat.knowledge.dockerfile_rules import Severity
from gpuctl.dockerfile.lint import Linted, LintFinding
from gpuctl.render.draw.text import Styled, plain

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_INDENT = "    "


def lint_text(linted: Sequence[Linted]) -> Styled:
    """Returns the faults, file by file and line by line; why and what instead are told once for each rule."""
    text, explained = Styled(), set[str]()
    for one in linted:
        for fault in one.faults:
            text.append(_fault(one, fault, fault.rule.id not in explained))
            explained.add(fault.rule.id)
    return text.append(_summary(linted))


def _fault(one: Linted, fault: LintFinding, whole: bool) -> Styled:
    severity = Severity(fault.rule.severity)
    text = Styled(f"{plain(one.path)}:{fault.line}:{fault.column}: ").append(severity.value, STYLES[severity])
    text.append(f" {plain(fault.message)} ").append(f"[{fault.rule.id}]\n", "dim")
    if whole:
        text.append(f"{_INDENT}{fault.rule.why}\n{_INDENT}{fault.rule.instead}\n", "dim")
    return text


def _summary(linted: Sequence[Linted]) -> Styled:
    faults = [fault for one in linted for fault in one.faults]
    counts = [(len([one for one in faults if one.rule.severity == kind]), kind.value) for kind in Severity]
    said = ", ".join(f"{count} {name}{'s' * (count > 1)}" for count, name in counts if count)
    files = f"{len(linted)} file{'s' * (len(linted) > 1)}"
    ignored, fixed = sum(one.ignored for one in linted), sum(one.fixed for one in linted)
    text = Styled(f"{files}: {said or 'nothing is wrong for GPUs'}.")
    text.append(f" Mended: {fixed}." if fixed else "").append(f" Ignored by comments: {ignored}." if ignored else "")
    fixable = len([one for one in faults if one.fixable])
    return text.append(f" --fix mends {fixable} of them." if fixable else "").append("\n")


def lint_json(linted: Sequence[Linted]) -> str:
    """Returns the faults of each file as JSON."""
    from gpuctl.render.formats.json import document

    return document("dockerfile-lint", {"files": [_file(one) for one in linted]})


def _file(one: Linted) -> dict[str, Any]:
    faults = [_fault_json(fault) for fault in one.faults]
    return {"path": plain(one.path), "ignored": one.ignored, "fixed": one.fixed, "findings": faults}


def _fault_json(fault: LintFinding) -> dict[str, Any]:
    return {
        "id": fault.rule.id,
        "severity": fault.rule.severity,
        "line": fault.line,
        "column": fault.column,
        "end_line": fault.end_line,
        "end_column": fault.end_column,
        "message": fault.message,
        "why": fault.rule.why,
        "instead": fault.rule.instead,
        "fixable": fault.fixable,
        "source": fault.rule.source,
    }
