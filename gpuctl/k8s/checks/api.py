"""Whether the API told all that was asked."""

from __future__ import annotations

import re

from gpuctl.command import Shell, command
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, worst_of
from gpuctl.k8s.cluster import RULES
from gpuctl.k8s.reading import UNASKED
from gpuctl.model import Disturbs, Remedy, Status


@check("k8s.api.permissions")
def permissions(view: View) -> ClusterJudgement | None:
    """The API refuses a list to whoever may not see it: what rests on that list cannot be told.

    `gpuctl k8s rbac` prints the least ClusterRole with which everything can.
    """
    refused = {kind: why for kind, why in view.scene.cluster.missing.items() if why != UNASKED}
    if not refused:
        return ClusterJudgement(Status.PASS, "Every list that was asked for could be had")
    rules = "; ".join(RULES[kind] for kind in refused)
    apply = command("gpuctl", "k8s", "rbac", Shell.PIPE, "kubectl", "apply", "-f", "-")
    remedy = Remedy("Have this identity bound to the role that this makes.", (apply,))
    return ClusterJudgement(
        Status.WARN, f"The API refused lists; this takes the rules {rules}.", tuple(refused.items()), remedy
    )


_VERSION = re.compile(r"v1\.([0-9]{1,3})\.")
OLDEST = 3
"""Minor versions that a kubelet may be behind the API server."""


@check("k8s.api.skew", needs=("Node",))
def skew(view: View) -> ClusterJudgement | None:
    """A kubelet may be three minor versions older than the API server, which is at least as new as the newest kubelet.

    Source: https://kubernetes.io/releases/version-skew-policy/
    """
    every = [(one.name, one.kubelet, _VERSION.match(one.kubelet)) for one in view.scene.cluster.nodes]
    minors = {name: (kubelet, int(found[1])) for name, kubelet, found in every if found}
    newest = max((minor for _, minor in minors.values()), default=0)
    names = {node.name for node in view.nodes}
    old = [(name, kubelet) for name, (kubelet, minor) in minors.items() if newest - minor > OLDEST and name in names]
    text = f"its kubelet is too old for the API server, which is 1.{newest} or newer ({old[0][1]})." if old else ""
    remedy = Remedy("Upgrade these nodes.", (), Disturbs.HOST)
    return worst_of(Status.WARN, old, text, "No kubelet is too old for the API server", remedy)
