"""A cluster's doctor on one screen: its classes of nodes, one node's chain, and what is wrong, worst first."""

from __future__ import annotations

from gpuctl.k8s.doctor import Examination
from gpuctl.k8s.gpu_nodes import UNKNOWN, NodeClass
from gpuctl.model import Report
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import as_json, document
from gpuctl.render.formats.standing import counted, counts
from gpuctl.render.views.finding import LOUD, each_once, finding_text

_INDENT = "      "
NAMED = 3


def doctor_text(found: Examination, verbose: bool) -> Styled:
    """Returns what was found; `verbose` adds what passed, and every finding's evidence."""
    text = Styled(f"{plain(found.node)}\n" if found.node else "", "bold").append(_chain(found))
    for one in found.classes:
        text.append(_class(one))
    if not found.classes:
        text.append(f"None of {found.nodes} nodes is known to have NVIDIA GPUs.\n", "dim")
    text.append("\n")
    for finding, shown_at in each_once(found.report.findings):
        if verbose or finding.status in LOUD:
            text.append(finding_text(finding, verbose, shown_at)).append("\n" if finding.status in LOUD else "")
    return text.append(f"{counted(found.report)}.{'' if verbose else ' More with -v.'}\n", "dim")


def _chain(found: Examination) -> Styled:
    text = Styled()
    if not found.chain:
        return text
    shown = ", ".join(f"{link.number} {link.name}" for link in found.chain)
    untold = any(link.number == UNKNOWN for link in found.chain)
    hint = " (?: the API does not tell; `gpuctl doctor` on that node does)" if untold else ""
    text.append(f"{_INDENT}{shown}{hint}\n")
    if found.stale:
        text.append(f"{_INDENT}Its report is of an earlier boot, and is not counted.\n", "yellow")
    if found.drop:
        text.append(f"{_INDENT}The number drops first here: {plain(found.drop)}.\n", "bold")
    return text.append("\n")


def _class(one: NodeClass) -> Styled:
    count = f"{len(one.nodes)} x"
    text = Styled(f"{count:>4}  ", "bold").append(plain(one.product or "GPUs without a label"), "bold")
    gpus = [f"{there} of {has} {name}" if there != has else f"{has} {name}" for name, has, there in one.resources]
    by_claims = [f"{one.devices} devices by claims, {one.free_devices} free"] if one.devices else []
    each = f"{', '.join(gpus)}{' each' if len(one.nodes) > 1 else ''}" if gpus else "nothing offered by a plugin"
    use = [f"{one.requested} requested, {one.free} free"] if gpus else []
    others = [f"also {name}, which is not judged" for name in one.foreign]
    driver = [f"driver {one.driver}"] if one.driver else []
    states = [word for word, so in (("not ready", not one.ready), ("cordoned", one.cordoned)) if so]
    taints = [f"taint {taint}" for taint in one.taints]
    names = ", ".join(one.nodes[:NAMED]) + (f" and {len(one.nodes) - NAMED} more" if len(one.nodes) > NAMED else "")
    words = (each, *use, *by_claims, *others, *driver, *states, *taints)
    return text.append(f"  {plain(', '.join(words))}  ").append(f"{plain(names)}\n", "dim")


def doctor_json(found: Examination) -> str:
    """Returns what was found as JSON."""
    body = {
        "nodes": found.nodes,
        "classes": [
            {
                **as_json(one),
                "resources": [
                    {"name": name, "capacity": has, "allocatable": there} for name, has, there in one.resources
                ],
                "taints": [str(taint) for taint in one.taints],
            }
            for one in found.classes
        ],
        "node": found.node,
        "chain": [{"link": link.name, "gpus": _number(link.number)} for link in found.chain],
        "drop": found.drop or None,
        "stale_report": found.stale,
        "summary": _summary(found.report),
        "findings": as_json(found.report.findings),
    }
    return document("k8s-doctor", body)


def _number(text: str) -> float | None:
    return float(text) if text.replace(".", "").lstrip("-").isdigit() else None


def _summary(report: Report) -> dict[str, object]:
    return {**counts(report), "action": report.action}
