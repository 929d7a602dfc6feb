"""Why a pod waits: the answer first, then how the nodes stand to it, what helps, and what the scheduler says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from gpuctl.k8s.answer import GOOD, REFUSED, Holding, WayIn, Why
from gpuctl.k8s.fit import Fit, NodeFit
from gpuctl.k8s.said import SchedulerWord
from gpuctl.model import ExitCode
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import as_json, document

_INDENT = "      "
SHOWN = 4
"""Lines for each class of nodes, nodes on a line, holders of a node."""
_MARKS = {
    ExitCode.GOOD: ("GOOD", "bold green"),
    ExitCode.PROBLEM: ("WAIT", "bold red"),
    ExitCode.UNDETERMINED: ("????", "bold magenta"),
}


def why_text(answer: Why, verbose: bool) -> Styled:
    """Returns the answer; `verbose` names every node and every holder."""
    mark, style = ("FAIL", "bold red") if answer.cause in REFUSED else _MARKS[answer.code]
    text = Styled(f"{mark}  ", style).append(plain(answer.sentence), "bold").append(f"  {answer.cause}\n", "dim")
    for note in answer.notes:
        text.append(f"{_INDENT}{plain(note)}\n")
    text.append(_nodes(answer, verbose)).append(_ways(answer.ways)).append(_said(answer))
    for reason in answer.unknown:
        text.append(f"Not known: {plain(reason)}.\n", "magenta")
    return text


def when(seconds: float | None) -> str:
    """Returns a time for people, in UTC; "" where there is none."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _nodes(answer: Why, verbose: bool) -> Styled:
    text = Styled("\n" if answer.nodes else "")
    held: dict[str, list[Holding]] = {}
    for one in answer.held:
        held.setdefault(one.node, []).append(one)
    for fit in Fit:
        alike = [one for one in answer.nodes if one.fit is fit]
        if alike:
            text.append(_class(fit, alike, held, None if verbose else SHOWN))
    for part in answer.fragments:
        text.append(
            f"{_INDENT}Where nothing else stands in the way, {plain(part.free)} {plain(part.resource)} are free in all "
            f"and {plain(part.most)} at most together, on {plain(part.node)}; it wants {plain(part.wanted)}.\n"
        )
    return text


def _class(fit: Fit, nodes: list[NodeFit], held: dict[str, list[Holding]], most: int | None) -> Styled:
    text = Styled(f"{len(nodes)} node{'s' * (len(nodes) != 1)}: {fit.value}\n", "bold")
    by_reason: dict[tuple[str, ...], list[str]] = {}
    for one in nodes:
        by_reason.setdefault(tuple(obstacle.text for obstacle in one.obstacles), []).append(one.node.name)
    groups = sorted(by_reason.items(), key=lambda item: (len(item[0]), -len(item[1])))
    for reasons, names in groups[:most]:
        why = f": {'; '.join(map(plain, reasons))}" if reasons else ""
        text.append(f"{_INDENT}{_listed(names, most)}{why}\n")
        if fit is Fit.WHEN_OTHERS_END:
            text.append(_holders([one for name in names[:most] for one in held.get(name, ())], most))
    rest = sum(len(names) for _, names in groups[most:]) if most else 0
    return text.append(f"{_INDENT}and {rest} more, with other reasons: -v\n", "dim") if rest else text


def _listed(names: list[str], most: int | None) -> str:
    more = f" and {len(names) - most} more" if most and len(names) > most else ""
    return ", ".join(map(plain, names[:most])) + more


def _holders(held: list[Holding], most: int | None) -> Styled:
    text = Styled()
    for one in held[:most]:
        since = f" since {when(one.since)}" if one.since is not None else ""
        on = f"{plain(one.pod)} on {plain(one.node)}"
        text.append(f"{_INDENT}  {one.amount} {plain(one.resource)}: {on}{since}, priority {one.priority}\n", "dim")
    rest = len(held) - most if most else 0
    return text.append(f"{_INDENT}  and {rest} more\n", "dim") if rest > 0 else text


def _ways(ways: Iterable[WayIn]) -> Styled:
    ways = list(ways)
    text = Styled("\nWhat helps, the smallest change first:\n" if ways else "")
    for one in ways:
        where = f" ({_listed(list(one.nodes), SHOWN)})" if one.nodes else ""
        text.append(f"{_INDENT}{plain(one.text)}{where}\n")
        for line in one.commands:
            text.append(f"{_INDENT}$ ", "dim").append(f"{line}\n", "cyan", whole=True)
    return text


def _said(answer: Why) -> Styled:
    if answer.said is None or answer.cause in GOOD:
        return Styled()
    at = when(answer.said.at)
    text = Styled(f"\nThe scheduler said{f' ({at})' if at else ''}: {plain(answer.said.text)}\n", "dim")
    if not answer.differences:
        return text
    told = "; ".join(
        f"{plain(one.reason)} on {one.scheduler} nodes by the scheduler, on {one.gpuctl} by gpuctl"
        for one in answer.differences
    )
    return text.append(f"gpuctl counts otherwise now, and the scheduler decides: {told}.\n", "yellow")


def why_json(answer: Why) -> str:
    """Returns the answer as JSON, every node with its obstacles."""
    nodes = [
        {
            "node": one.node.name,
            "fit": one.fit.value,
            "obstacles": [
                {
                    "rule": obstacle.rule,
                    "resource": obstacle.resource or None,
                    "text": obstacle.text,
                    "ends": obstacle.ends.value,
                    "change": obstacle.change.text if obstacle.change else None,
                }
                for obstacle in one.obstacles
            ],
        }
        for one in answer.nodes
    ]
    counts = {fit.value: sum(one.fit is fit for one in answer.nodes) for fit in Fit}
    body: dict[str, Any] = {
        "subject": answer.subject,
        "cause": answer.cause,
        "sentence": answer.sentence,
        "counts": counts,
        "nodes": nodes,
        "held": as_json(answer.held),
        "fragments": as_json(answer.fragments),
        "changes": as_json(answer.ways),
        "scheduler": _said_json(answer.said),
        "differences": as_json(answer.differences),
        "notes": list(answer.notes),
        "unknown": list(answer.unknown),
    }
    return document("k8s-why", body)


def _said_json(said: SchedulerWord | None) -> dict[str, Any] | None:
    if said is None:
        return None
    reasons = [
        {"rule": rule, "resource": resource or None, "nodes": nodes} for (rule, resource), nodes in said.reasons.items()
    ]
    return {"text": said.text, "at": said.at, "nodes": said.nodes, "reasons": reasons}
