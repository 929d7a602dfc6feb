"""How smoke pods ended, a block a node, and their manifests."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gpuctl.render.draw.text import Styled, plain, remedy_lines
from gpuctl.render.formats.json import as_json, document
from gpuctl.render.views.k8s import why_text
from gpuctl.smoke.cluster.judge import PodResult
from gpuctl.smoke.cluster.pod import SmokePod

_MARKS = {True: ("PASS", "bold green"), False: ("FAIL", "bold red"), None: ("????", "bold magenta")}
_INDENT = "      "


def pods_text(results: Sequence[PodResult], verbose: bool) -> Styled:
    """Returns each node's result, those that failed first; `verbose` adds what was said."""
    order = (False, None, True)
    text = Styled()
    for one in sorted(results, key=lambda one: order.index(one.passed)):
        mark, style = _MARKS[one.passed]
        said = one.cause or f"the container saw the GPU that it was assigned ({', '.join(one.seen)})"
        text.append(f"{mark}  ", style).append(f"{plain(one.node)}: {plain(said)}\n", "bold")
        if one.remedy:
            text.append(remedy_lines(one.remedy, _INDENT))
        if verbose and one.why:
            text.append(why_text(one.why, verbose))
        if verbose and one.error:
            text.append("".join(f"{_INDENT}{plain(line)}\n" for line in one.error.splitlines()), "dim")
    counts = [sum(one.passed is passed for one in results) for passed in (True, False, None)]
    return text.append("{} passed, {} failed, {} could not be told.\n".format(*counts), "dim")


def pods_json(results: Sequence[PodResult]) -> str:
    """Returns each node's result as JSON."""
    nodes = [
        {
            "node": one.node,
            "passed": one.passed,
            "cause": one.cause,
            "remedy": as_json(one.remedy),
            "image": one.pod.image if one.pod else None,
            "resource": one.pod.resource if one.pod else None,
            "assigned": list(one.assigned),
            "seen": list(one.seen),
            "why": one.why.cause if one.why else None,
            "error": one.error,
        }
        for one in results
    ]
    return document("k8s-smoke", {"dry_run": False, "nodes": nodes, "manifests": []})


def manifests_json(pods: Sequence[SmokePod], without: Sequence[PodResult]) -> str:
    """Returns the manifests of pods that were not made, and of nodes without one why."""
    nodes = json.loads(pods_json(without))["nodes"]
    body = {"dry_run": True, "nodes": nodes, "manifests": [one.manifest for one in pods]}
    return document("k8s-smoke", body)
