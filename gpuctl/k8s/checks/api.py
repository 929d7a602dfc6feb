"""Whether the API told all that was asked."""

from __future__ import annotations

import re

from gpuctl.command import Shell, command
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, worst_of
from gpuctl.k8s.cluster import OF_OPERATOR, RULES, UNASKED, plural
from gpuctl.model import Disturbs, Remedy, Status


@check("k8s.api.reachable")
def reachable(view: View) -> ClusterJudgement | None:
    """Every list that is asked for is answered, in full. An API that answers nothing at all ends the run.

    That is exit status 3: the connection is refused, a certificate does not hold, credentials have expired, or what
    answers is a login page; 2 where the kubeconfig has no such context. Overload (429) and passing errors (5xx) are
    waited out before a list counts as one that could not be had.
    """
    failed = view.scene.cluster.failed
    if not failed:
        return ClusterJudgement(Status.PASS, "The API answered all that it was asked")
    names = ", ".join(map(plural, failed))
    remedy = Remedy(
        "Ask again; where it stays, see what the API says of itself.",
        (command("kubectl", "get", "--raw", "/readyz?verbose"),),
    )
    return ClusterJudgement(Status.WARN, f"The API did not give the lists of {names}.", tuple(failed.items()), remedy)


@check("k8s.api.permissions")
def permissions(view: View) -> ClusterJudgement | None:
    """The API refuses a list to whoever may not see it: what rests on that list cannot be told.

    `gpuctl k8s rbac` prints the least ClusterRole with which everything can. Nothing rests on the operator's own
    objects alone, which only add what it says: of these `gpuctl k8s rbac --missing` tells.
    """
    missing = view.scene.cluster.missing.items()
    refused = {kind: why for kind, why in missing if why != UNASKED and kind not in OF_OPERATOR}
    if not refused:
        return ClusterJudgement(Status.PASS, "Every list that was asked for could be had")
    rules = "; ".join(RULES[kind] for kind in refused)
    apply = command("gpuctl", "k8s", "rbac", Shell.PIPE, "kubectl", "apply", "-f", "-")
    remedy = Remedy("Have this identity bound to the role that this makes.", (apply,))
    return ClusterJudgement(
        Status.WARN, f"The API refused lists; this takes the rules {rules}.", tuple(refused.items()), remedy
    )


_VERSION = re.compile(r"v?1\.([0-9]{1,3})\b")
OLDEST = 3
"""Minor versions that a kubelet may be behind the API server."""


@check("k8s.api.skew", needs=("Node",))
def skew(view: View) -> ClusterJudgement | None:
    """A kubelet may be three minor versions older than the API server, and never newer.

    Where lists do not tell the server's version, it is taken to be as new as the newest kubelet.
    Source: https://kubernetes.io/releases/version-skew-policy/
    """
    cluster = view.scene.cluster
    server = _minor(cluster.version)
    newest = max((_minor(one.kubelet) or 0 for one in cluster.nodes), default=0) if server is None else server
    odd = [
        (node.name, node.kubelet, minor < newest)
        for node in view.nodes
        if (minor := _minor(node.kubelet)) is not None and not newest - OLDEST <= minor <= newest
    ]
    said = [(name, f"its kubelet is {kubelet}, {'too old' if old else 'newer'}") for name, kubelet, old in odd]
    at = f"1.{newest}{' or newer' if server is None else ''}"
    how = "too old for" if odd and odd[0][2] else "newer than"
    text = f"its kubelet ({odd[0][1]}) is {how} the API server, which is {at}." if odd else ""
    remedy = Remedy("Upgrade what is older: the API server first, then the nodes.", (), Disturbs.HOST)
    return worst_of(Status.WARN, said, text, "No kubelet is too old or too new for the API server", remedy)


def _minor(version: str) -> int | None:
    found = _VERSION.match(version)
    return int(found[1]) if found else None
