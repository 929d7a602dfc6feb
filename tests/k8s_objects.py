"""A cluster's objects as the API has them, for tests: only what a test changes has to be said."""

from __future__ import annotations

import json
from typing import Any

import kubernetes_validate

from gpuctl.k8s.cluster import KINDS, Cluster
from gpuctl.k8s.reading import read_cluster

Object = dict[str, Any]
LISTS = tuple(f"{kind}List" for kind in KINDS)


def accepted(found: Object, version: str) -> bool:
    """Whether a version of Kubernetes accepts an object to the letter; it has to know its kind."""
    try:
        kubernetes_validate.validate(found, version, strict=True)
    except kubernetes_validate.ValidationError:
        return False
    return True


def node(name: str, gpus: int | None = 8, **changed: Any) -> Object:
    """A node that is ready, with GPUs; `labels`, `taints`, `cordoned`, `allocatable` and the like are changed."""
    resources = {"cpu": "64", "memory": "512Gi", "pods": "250"}
    if gpus is not None:
        resources["nvidia.com/gpu"] = str(gpus)
    capacity = {**resources, **changed.get("capacity", {})}
    labels = {"kubernetes.io/hostname": name, **({"nvidia.com/gpu.present": "true"} if gpus else {})}
    ready = {"type": "Ready", "status": changed.get("ready", "True"), "lastHeartbeatTime": "2026-11-29T15:00:00Z"}
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": {**labels, **changed.get("labels", {})}},
        "spec": {"taints": changed.get("taints", []), "unschedulable": changed.get("cordoned", False)},
        "status": {
            "capacity": capacity,
            "allocatable": {**capacity, **changed.get("allocatable", {})},
            "conditions": [ready],
            "nodeInfo": {"kubeletVersion": changed.get("kubelet", "v1.36.0"), **changed.get("info", {})},
            "runtimeHandlers": [{"name": name} for name in changed.get("handlers", ())],
        },
    }


def pod(name: str, gpus: int = 0, on: str = "", **changed: Any) -> Object:
    """A pod of one container: `requests` besides its GPUs, `spec`, `status`, `labels`, `owner`, `phase`."""
    asked = {**({"nvidia.com/gpu": str(gpus)} if gpus else {}), **changed.get("requests", {})}
    owner = changed.get("owner", "")
    kind, _, of = owner.partition("/")
    owners = [{"kind": kind, "name": of, "controller": True}] if owner else []
    phase = changed.get("phase", "Running" if on else "Pending")
    limits = {key: value for key, value in asked.items() if "/" in key}
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": changed.get("namespace", "default"),
            "labels": changed.get("labels", {}),
            "ownerReferences": owners,
        },
        "spec": {
            "containers": [{"name": "c", "resources": {"requests": asked, "limits": limits}}],
            **({"nodeName": on} if on else {}),
            **changed.get("spec", {}),
        },
        "status": {"phase": phase, **changed.get("status", {})},
    }


def unschedulable(message: str) -> Object:
    """The status of a pod that the scheduler has tried."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"conditions": [condition]}


def event(kind: str, name: str, reason: str, message: str) -> Object:
    """An event as the core API has it."""
    return {
        "kind": "Event",
        "metadata": {"name": f"{name}.1", "namespace": "default"},
        "involvedObject": {"kind": kind, "namespace": "default", "name": name},
        "reason": reason,
        "message": message,
        "lastTimestamp": "2026-11-29T15:00:00Z",
    }


def named(kind: str, name: str, **fields: Any) -> Object:
    """An object of another kind: its fields besides name and namespace."""
    return {"kind": kind, "metadata": {"name": name, "namespace": fields.pop("namespace", "default")}, **fields}


def claiming(name: str, claim: str) -> Object:
    """A pod whose container uses a claim."""
    one = pod(name, spec={"resourceClaims": [{"name": "g", "resourceClaimName": claim}]})
    one["spec"]["containers"][0]["resources"]["claims"] = [{"name": "g"}]
    return one


def text_of(*objects: Object, without: tuple[str, ...] = ()) -> str:
    """Lists as the API prints them: one of every kind, so that what is not there is known not to be there."""
    lists = [
        {"kind": kind, "items": [one for one in objects if one["kind"] == kind.removesuffix("List")]}
        for kind in LISTS
        if kind.removesuffix("List") not in without
    ]
    return "\n".join(json.dumps(one) for one in lists)


def cluster(*objects: Object, without: tuple[str, ...] = ()) -> Cluster:
    """The cluster of these objects; of the kinds `without` there is no list."""
    return read_cluster([[text_of(*objects, without=without).encode()]])
