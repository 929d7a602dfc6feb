"""The role with which a cluster can be read, and what of it an identity lacks."""

from __future__ import annotations

from collections.abc import Mapping

from gpuctl.command import Shell, command
from gpuctl.k8s.cluster import RULES
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import document


def role_json(role: Mapping[str, object], log_role: Mapping[str, object]) -> str:
    """Returns the roles as JSON: for lists, and for the device plugin's log."""
    return document("k8s-rbac", {"role": role, "log_role": log_role})


def missing_json(role: Mapping[str, object], lacks: Mapping[str, str]) -> str:
    """Returns the role as JSON, with the rules that are lacking; `lacks` has the reasons by kind."""
    missing = [{"rule": RULES[kind], "reason": reason} for kind, reason in lacks.items()]
    return document("k8s-rbac", {"role": role, "missing": missing})


def missing_text(lacks: Mapping[str, str]) -> Styled:
    """Returns a line for each rule that is lacking, and what grants it."""
    if not lacks:
        return Styled(f"This identity may read all {len(RULES)} lists.\n")
    text = Styled(f"This identity lacks {len(lacks)} of {len(RULES)} rules:\n", "bold")
    for kind, reason in lacks.items():
        text.append(f"  {RULES[kind]}").append(f"  {plain(reason)}\n", "dim")
    make = command("gpuctl", "k8s", "rbac", Shell.PIPE, "kubectl", "apply", "-f", "-")
    return text.append("Have it bound to the role that this makes: ").append(f"{make}\n", "cyan")
