"""A cluster: what was kept of its lists, and which lists could not be had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from gpuctl.frozen import dataclass
from gpuctl.k8s.objects import (
    Claim,
    ClusterEvent,
    ClusterNode,
    ClusterPolicy,
    DaemonSet,
    DeviceClass,
    Job,
    NvidiaDriver,
    Pod,
    PodLog,
    Quota,
    Resources,
    RuntimeClass,
    Slice,
    Thing,
    VolumeClaim,
)

T = TypeVar("T", bound=Thing)

RULES: Mapping[str, str] = {
    "Node": "get, list nodes",
    "Pod": "get, list pods",
    "Event": "get, list events",
    "ResourceQuota": "get, list resourcequotas",
    "DaemonSet": "get, list daemonsets.apps",
    "RuntimeClass": "get, list runtimeclasses.node.k8s.io",
    "DeviceClass": "get, list deviceclasses.resource.k8s.io",
    "ResourceSlice": "get, list resourceslices.resource.k8s.io",
    "ResourceClaim": "get, list resourceclaims.resource.k8s.io",
    "Job": "get, list jobs.batch",
    "PersistentVolumeClaim": "get, list persistentvolumeclaims",
    "ClusterPolicy": "get, list clusterpolicies.nvidia.com",
    "NVIDIADriver": "get, list nvidiadrivers.nvidia.com",
}
"""By kind, the rule of a ClusterRole that lets one list it."""


def plural(kind: str) -> str:
    """Returns what the API calls a kind's list: nodes, daemonsets."""
    return RULES[kind].rpartition(" ")[2].partition(".")[0]


UNASKED = "it is not in what was read"
"""Of a kind that nobody asked for, or that is in none of the files."""


@dataclass(frozen=True)
class Cluster:
    """A cluster's objects in the order of their lists.

    `missing`: by kind, why its list could not be had; `failed`: of which the API broke down. `folded`: by node, what
    the pods ask for of which nothing else was kept. `version` of the API, "" where it is not known, as is what lies
    outside of `only_node`.
    """

    missing: Mapping[str, str]
    failed: Mapping[str, str]
    folded: Mapping[str, Resources]
    nodes: tuple[ClusterNode, ...] = ()
    pods: tuple[Pod, ...] = ()
    events: tuple[ClusterEvent, ...] = ()
    quotas: tuple[Quota, ...] = ()
    daemon_sets: tuple[DaemonSet, ...] = ()
    runtime_classes: tuple[RuntimeClass, ...] = ()
    device_classes: tuple[DeviceClass, ...] = ()
    slices: tuple[Slice, ...] = ()
    claims: tuple[Claim, ...] = ()
    jobs: tuple[Job, ...] = ()
    volume_claims: tuple[VolumeClaim, ...] = ()
    policies: tuple[ClusterPolicy, ...] = ()
    drivers: tuple[NvidiaDriver, ...] = ()
    logs: tuple[PodLog, ...] = ()
    version: str = ""
    only_node: str = ""

    def lacks(self, kind: str) -> str:
        """Returns why a kind's list could not be had, "" where it was."""
        if kind in self.failed:
            return self.failed[kind]
        reason = self.missing.get(kind)
        return f"{reason} (it takes the rule `{RULES[kind]}`)" if reason else ""


def cluster_of(
    things: Iterable[Thing],
    missing: Mapping[str, str],
    failed: Mapping[str, str],
    folded: Mapping[str, Resources],
    version: str = "",
    only_node: str = "",
) -> Cluster:
    """Returns the cluster of these objects."""
    by_type: dict[type, list[Thing]] = {}
    for one in things:
        by_type.setdefault(type(one), []).append(one)

    def all_of(kind: type[T]) -> tuple[T, ...]:
        return tuple(one for one in by_type.get(kind, ()) if isinstance(one, kind))

    return Cluster(
        missing,
        failed,
        folded,
        all_of(ClusterNode),
        all_of(Pod),
        all_of(ClusterEvent),
        all_of(Quota),
        all_of(DaemonSet),
        all_of(RuntimeClass),
        all_of(DeviceClass),
        all_of(Slice),
        all_of(Claim),
        all_of(Job),
        all_of(VolumeClaim),
        all_of(ClusterPolicy),
        all_of(NvidiaDriver),
        all_of(PodLog),
        version,
        only_node,
    )


KINDS = tuple(RULES)
"""The kinds whose lists gpuctl reads."""
OF_OPERATOR = ("ClusterPolicy", "NVIDIADriver")
"""What NVIDIA's operator says: without these lists all is judged still, in fewer words."""
