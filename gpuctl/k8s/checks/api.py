"""Whether the API told all that was asked."""

from __future__ import annotations

from gpuctl.command import Shell, command
from gpuctl.k8s.checks.frame import Said, View, check
from gpuctl.k8s.cluster import RULES
from gpuctl.k8s.reading import UNASKED
from gpuctl.model import Remedy, Status


@check("k8s.api.permissions")
def permissions(view: View) -> Said | None:
    """The API refuses a list to whoever may not see it: what rests on that list cannot be told.

    `gpuctl k8s rbac` prints the least ClusterRole with which everything can.
    """
    refused = {kind: why for kind, why in view.scene.cluster.missing.items() if why != UNASKED}
    if not refused:
        return Said(Status.PASS, "Every list that was asked for could be had")
    rules = "; ".join(RULES[kind] for kind in refused)
    apply = command("gpuctl", "k8s", "rbac", Shell.PIPE, "kubectl", "apply", "-f", "-")
    remedy = Remedy("Have this identity bound to the role that this makes.", (apply,))
    return Said(Status.WARN, f"The API refused lists; this takes the rules {rules}.", tuple(refused.items()), remedy)
