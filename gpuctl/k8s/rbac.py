"""The least ClusterRole with which every question about a cluster can be answered."""

from __future__ import annotations

from gpuctl.frozen import dataclass

NAME, LOG_NAME = "gpuctl-reader", "gpuctl-plugin-log"


@dataclass(frozen=True)
class Rule:
    """What may be read of an API group."""

    group: str
    resources: tuple[str, ...]


RULES = (
    Rule("", ("nodes", "pods", "events", "resourcequotas", "persistentvolumeclaims")),
    Rule("apps", ("daemonsets",)),
    Rule("batch", ("jobs",)),
    Rule("node.k8s.io", ("runtimeclasses",)),
    Rule("resource.k8s.io", ("resourceslices", "resourceclaims", "deviceclasses")),
    Rule("nvidia.com", ("clusterpolicies", "nvidiadrivers")),
)
"""No secrets, no exec, no proxy to nodes; logs in one namespace alone."""
VERBS = ("get", "list")


def role() -> dict[str, object]:
    """Returns the ClusterRole as an object."""
    rules = [{"apiGroups": [one.group], "resources": list(one.resources), "verbs": list(VERBS)} for one in RULES]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": NAME},
        "rules": rules,
    }


def log_role() -> dict[str, object]:
    """Returns the Role for the device plugin's log; its namespace is named where it is made."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": LOG_NAME},
        "rules": [{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}],
    }
