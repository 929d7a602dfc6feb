"""Nodes, events and what else there is besides pods and devices. All raise ValueError where a type is another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gpuctl.host.decode import flag_in, number_in, object_in, objects_in
from gpuctl.host.machine_id import known_as
from gpuctl.k8s.decode.placement import placement_in
from gpuctl.k8s.decode.values import Found, kept_text, kept_texts, labels_in, meta_in, resources_in, time_in
from gpuctl.k8s.fields import MEMBERS
from gpuctl.k8s.objects import (
    PLUGIN_SETTINGS,
    ClusterEvent,
    ClusterNode,
    DaemonSet,
    Job,
    PodLog,
    Quota,
    RuntimeClass,
    Taint,
    VolumeClaim,
)


def node(found: Found) -> ClusterNode:
    """Returns a node."""
    meta, _, name = meta_in(found)
    spec, status = object_in(found, "spec"), object_in(found, "status")
    taints = objects_in(spec, "taints")[:MEMBERS]
    ready: Found = next((one for one in objects_in(status, "conditions") if one.get("type") == "Ready"), {})
    info = object_in(status, "nodeInfo")
    return ClusterNode(
        name,
        labels_in(meta),
        tuple(Taint(kept_text(one, "key"), kept_text(one, "value"), kept_text(one, "effect")) for one in taints),
        bool(flag_in(spec, "unschedulable")),
        resources_in(status, "capacity"),
        resources_in(status, "allocatable"),
        kept_text(ready, "status") or "Unknown",
        kept_text(ready, "reason"),
        time_in(ready, "lastHeartbeatTime"),
        kept_text(info, "kubeletVersion"),
        known_as(kept_text(info, "machineID")) or "",
        kept_text(info, "bootID"),
        kept_text(info, "containerRuntimeVersion"),
        tuple(kept_text(one, "name") for one in objects_in(status, "runtimeHandlers")[:MEMBERS]),
        kept_text(info, "osImage"),
    )


def event(found: Found) -> ClusterEvent:
    """Returns an event, of the core API or of events.k8s.io: those call subject, message and series otherwise."""
    subject = object_in(found, "involvedObject") or object_in(found, "regarding")
    series = object_in(found, "series")
    count = number_in(series, "count") or number_in(found, "count") or number_in(found, "deprecatedCount") or 1
    times = (
        (series, "lastObservedTime"),
        (found, "lastTimestamp"),
        (found, "deprecatedLastTimestamp"),
        (found, "eventTime"),
    )
    return ClusterEvent(
        kept_text(subject, "kind"),
        kept_text(subject, "namespace"),
        kept_text(subject, "name"),
        kept_text(found, "reason"),
        kept_text(found, "message") or kept_text(found, "note"),
        count,
        next((time for place, name in times if (time := time_in(place, name)) is not None), None),
    )


def quota(found: Found) -> Quota:
    """Returns a ResourceQuota."""
    _, namespace, name = meta_in(found)
    status = object_in(found, "status")
    hard = resources_in(status, "hard") or resources_in(object_in(found, "spec"), "hard")
    return Quota(namespace, name, hard, resources_in(status, "used"))


def daemon_set(found: Found) -> DaemonSet:
    """Returns a DaemonSet."""
    _, namespace, name = meta_in(found)
    spec = object_in(object_in(object_in(found, "spec"), "template"), "spec")
    status = object_in(found, "status")
    containers = (*objects_in(spec, "initContainers"), *objects_in(spec, "containers"))
    return DaemonSet(
        namespace,
        name,
        tuple(kept_text(one, "image") for one in containers),
        placement_in(spec, namespace),
        kept_text(spec, "runtimeClassName"),
        number_in(status, "desiredNumberScheduled") or 0,
        number_in(status, "numberReady") or 0,
        number_in(status, "updatedNumberScheduled") or 0,
        _folders(spec),
        _settings(containers),
    )


def _folders(spec: Found) -> tuple[str, ...]:
    mounted = (kept_text(object_in(one, "hostPath"), "path") for one in objects_in(spec, "volumes")[:MEMBERS])
    return tuple(path for path in mounted if path)


def _settings(containers: Iterable[Found]) -> Mapping[str, str]:
    variables = (one for container in containers for one in objects_in(container, "env"))
    return {name: kept_text(one, "value") for one in variables if (name := kept_text(one, "name")) in PLUGIN_SETTINGS}


def runtime_class(found: Found) -> RuntimeClass:
    """Returns a RuntimeClass."""
    return RuntimeClass(
        meta_in(found)[2], kept_text(found, "handler"), labels_in(object_in(found, "scheduling"), "nodeSelector")
    )


def job(found: Found) -> Job:
    """Returns a Job."""
    _, namespace, name = meta_in(found)
    return Job(namespace, name, bool(flag_in(object_in(found, "spec"), "suspend")))


def volume_claim(found: Found) -> VolumeClaim:
    """Returns a PersistentVolumeClaim."""
    _, namespace, name = meta_in(found)
    return VolumeClaim(namespace, name, kept_text(object_in(found, "status"), "phase"))


def pod_log(found: Found) -> PodLog:
    """Returns a pod's log, as a snapshot has it."""
    _, namespace, name = meta_in(found)
    return PodLog(namespace, name, kept_texts(found, "lines"), kept_text(found, "lacking"))
