"""Whether something runs on a cluster: a block for each class of its nodes, and what picks those where it does."""

from __future__ import annotations

import json
from typing import Any

from gpuctl.k8s.compat import ClassAnswer, ClusterAnswer
from gpuctl.render.draw.text import Styled, plain, remedy_lines
from gpuctl.render.formats.json import check_json as host_json
from gpuctl.render.formats.json import document, dumps
from gpuctl.render.views.check import STYLES, question_text

NAMED = 4


def check_text(answer: ClusterAnswer) -> Styled:
    """Returns the answer, the best class of nodes first."""
    if not answer.classes:
        return Styled("unknown", "bold magenta").append("  no node of this cluster is known to have NVIDIA GPUs\n")
    text = Styled()
    for one in answer.classes:
        text.append(_class(one))
    if answer.selector:
        text.append(
            f"This picks {answer.picked} of the {answer.runs_on} nodes on which it runs, and no other with GPUs:\n"
        )
        text.append("nodeSelector:\n", "cyan", whole=True)
        for key, value in answer.selector.items():
            text.append(f"  {plain(key)}: {dumps(value)}\n", "cyan", whole=True)
    elif answer.runs_on:
        text.append("No one or two labels pick the nodes on which it runs: label these yourself.\n")
    return text


def _class(one: ClassAnswer) -> Styled:
    more = f" and {len(one.nodes) - NAMED} more" if len(one.nodes) > NAMED else ""
    names = plain(", ".join(one.nodes[:NAMED]) + more)
    text = Styled(f"{one.verdict.value:<13}", STYLES[one.verdict])
    what = ", ".join(filter(None, (one.product or one.capability, one.driver and f"driver {one.driver}")))
    text.append(f"{len(one.nodes)} x {plain(what) or 'GPUs without labels'}  ", "bold").append(f"{names}\n", "dim")
    if one.answer is None:
        return text.append(f"      {plain(one.unknown)}\n")
    text.append(f"      {plain(question_text(one.answer))}\n", "dim")
    for reason in (*one.answer.reasons, *(reason for gpu in one.answer.gpus for reason in gpu.reasons)):
        text.append(f"      {plain(reason.message)}\n")
    for remedy in one.answer.remedies:
        text.append(remedy_lines(remedy, "      "))
    return text


def check_json(answer: ClusterAnswer) -> str:
    """Returns the answer as JSON; that of each class is as `gpuctl check --json` has it."""
    body = {
        "verdict": answer.verdict,
        "classes": [_class_json(one) for one in answer.classes],
        "node_selector": answer.selector or None,
        "picked": answer.picked,
        "runs_on": answer.runs_on,
    }
    return document("k8s-check", body)


def _class_json(one: ClassAnswer) -> dict[str, Any]:
    return {
        "nodes": one.nodes,
        "product": one.product or None,
        "compute_capability": one.capability or None,
        "driver": one.driver,
        "verdict": one.verdict,
        "answer": json.loads(host_json(one.answer)) if one.answer else None,
        "unknown": one.unknown or None,
    }
