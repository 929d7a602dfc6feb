"""A pod: what it asks for, where it may lie, and how it stands. Raises ValueError where a type is another."""

from __future__ import annotations

from collections.abc import Iterator

from gpuctl.host.decode import object_in, objects_in, text_in
from gpuctl.k8s.decode.placement import met_by_others, placement_in
from gpuctl.k8s.decode.values import Found, kept_text, labels_in, meta_in, resources_in, time_in
from gpuctl.k8s.fields import LONGEST, OF_GPUS
from gpuctl.k8s.objects import DEFAULT_SCHEDULER, VISIBLE, Pod, PodClaim, Resources, Scheduled
from gpuctl.k8s.plain import plain_requests
from gpuctl.k8s.requests import devices_of, oddities, total_requests


def pod(found: Found) -> Pod:
    """Returns a pod. Of a plain one only what others meet is kept: there is a hundred of them for each with GPUs."""
    meta, namespace, name = meta_in(found)
    spec, status = object_in(found, "spec"), object_in(found, "status")
    plain = plain_requests(found)
    priority = spec.get("priority")
    common = (
        namespace,
        name,
        labels_in(meta),
        _owner(meta),
        kept_text(status, "phase") or "Pending",
        kept_text(spec, "nodeName"),
        priority if isinstance(priority, int) else 0,
        time_in(status, "startTime") or time_in(meta, "creationTimestamp"),
    )
    if plain:
        return Pod(*common, plain[1], met_by_others(spec, namespace))
    containers, inits = _asked(spec, "containers"), _asked(spec, "initContainers")
    overhead, whole = resources_in(spec, "overhead"), resources_in(object_in(spec, "resources"), "requests")
    return Pod(
        *common,
        total_requests(containers, inits, overhead, whole),
        placement_in(spec, namespace),
        oddities((*containers, *inits)),
        kept_text(status, "reason"),
        kept_text(status, "message"),
        kept_text(status, "nominatedNodeName"),
        kept_text(spec, "schedulerName") or DEFAULT_SCHEDULER,
        spec.get("preemptionPolicy") != "Never",
        tuple(kept_text(one, "name") for one in objects_in(spec, "schedulingGates")),
        _pod_claims(spec, status),
        _claims_of_containers(spec),
        _volumes(spec, name),
        kept_text(spec, "runtimeClassName"),
        _scheduled(status),
        tuple(_waiting(status)),
        tuple(_unhealthy(status)),
        _served(status),
        any(map(_sees_gpus, objects_in(spec, "containers"))),
        tuple(_complaints(status)),
        tuple((name, devices_of(requests, limits)) for name, _, requests, limits in containers),
        _initializing(status),
    )


def _asked(spec: Found, name: str) -> tuple[tuple[str, bool, Resources, Resources], ...]:
    """Of each container its name, whether it is a sidecar, its requests and its limits."""
    found = ((one, object_in(one, "resources")) for one in objects_in(spec, name))
    return tuple(
        (
            kept_text(one, "name"),
            name == "initContainers" and one.get("restartPolicy") == "Always",
            resources_in(resources, "requests"),
            resources_in(resources, "limits"),
        )
        for one, resources in found
    )


def _owner(meta: Found) -> str:
    owners = objects_in(meta, "ownerReferences")
    owner: Found = next((one for one in owners if one.get("controller") is True), {})
    return f"{kept_text(owner, 'kind')}/{kept_text(owner, 'name')}" if owner else ""


def _pod_claims(spec: Found, status: Found) -> tuple[PodClaim, ...]:
    made = {
        kept_text(one, "name"): kept_text(one, "resourceClaimName")
        for one in objects_in(status, "resourceClaimStatuses")
    }
    # Until 1.30 the names lay one level down, in `source`.
    asked = ((one, object_in(one, "source") or one) for one in objects_in(spec, "resourceClaims"))
    return tuple(
        PodClaim(
            kept_text(one, "name"),
            kept_text(source, "resourceClaimName") or made.get(kept_text(one, "name")) or None,
            kept_text(source, "resourceClaimTemplateName") or None,
        )
        for one, source in asked
    )


def _claims_of_containers(spec: Found) -> tuple[str, ...]:
    containers = (*objects_in(spec, "containers"), *objects_in(spec, "initContainers"))
    used = (one for container in containers for one in objects_in(object_in(container, "resources"), "claims"))
    return tuple(dict.fromkeys(kept_text(one, "name") for one in used))


def _volumes(spec: Found, pod: str) -> tuple[str, ...]:
    """The PersistentVolumeClaims that it mounts; that of an ephemeral volume is called after pod and volume."""
    claims = []
    for one in objects_in(spec, "volumes"):
        if "persistentVolumeClaim" in one:
            claims.append(kept_text(object_in(one, "persistentVolumeClaim"), "claimName"))
        elif "ephemeral" in one:
            claims.append(f"{pod}-{kept_text(one, 'name')}")
    return tuple(claims)


def _scheduled(status: Found) -> Scheduled | None:
    one = next((one for one in objects_in(status, "conditions") if one.get("type") == "PodScheduled"), None)
    if one is None or one.get("status") == "True":
        return None
    return Scheduled(kept_text(one, "reason"), kept_text(one, "message"), time_in(one, "lastTransitionTime"))


def _waiting(status: Found) -> Iterator[tuple[str, str]]:
    for one in (*objects_in(status, "initContainerStatuses"), *objects_in(status, "containerStatuses")):
        reason = text_in(object_in(object_in(one, "state"), "waiting"), "reason")
        if reason:
            yield kept_text(one, "name"), reason[:LONGEST]


_INITIALIZING = "PodInitializing"


def _initializing(status: Found) -> str:
    """The last that has begun: sidecars, which never end, have begun before it."""
    found = objects_in(status, "initContainerStatuses")
    if not found or all(reason != _INITIALIZING for _, reason in _waiting(status)):
        return ""
    states = ((one, object_in(one, "state")) for one in found)
    begun = [
        kept_text(one, "name")
        for one, state in states
        if "running" in state or text_in(object_in(state, "waiting"), "reason") not in (None, _INITIALIZING)
    ]
    return begun[-1] if begun else ""


_NO_GPUS = ("", "none", "void")


def _sees_gpus(container: Found) -> bool:
    values = (kept_text(one, "value") for one in objects_in(container, "env") if one.get("name") == VISIBLE)
    return any(value not in _NO_GPUS for value in values)


def _complaints(status: Found) -> Iterator[str]:
    for one in (*objects_in(status, "initContainerStatuses"), *objects_in(status, "containerStatuses")):
        for state in (object_in(one, "state"), object_in(one, "lastState")):
            for name in ("waiting", "terminated"):
                message = kept_text(object_in(state, name), "message")
                if OF_GPUS.search(message):
                    yield message


def _unhealthy(status: Found) -> Iterator[str]:
    """Devices that the kubelet calls unhealthy under a running container (from 1.31, on by default from 1.36)."""
    for container in objects_in(status, "containerStatuses"):
        for one in objects_in(container, "allocatedResourcesStatus"):
            for device in objects_in(one, "resources"):
                if device.get("health") == "Unhealthy":
                    yield kept_text(device, "resourceID")


def _served(status: Found) -> tuple[str, ...]:
    mappings = objects_in(object_in(status, "extendedResourceClaimStatus"), "requestMappings")
    return tuple(kept_text(one, "resourceName") for one in mappings)
