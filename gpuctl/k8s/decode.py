"""From the API's objects to the few values that are kept. Every function raises ValueError where a type is another.

What is read here stands in fields.py: nothing else of an object comes as far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from gpuctl.host.decode import flag_in, number_in, object_in, objects_in, second, text_in, texts_in
from gpuctl.host.machine_id import known_as
from gpuctl.k8s.fields import LONGEST, MEMBERS, OF_GPUS
from gpuctl.k8s.objects import (
    DEFAULT_SCHEDULER,
    PLUGIN_SETTINGS,
    VISIBLE,
    Claim,
    ClusterEvent,
    ClusterNode,
    DaemonSet,
    DeviceClass,
    Job,
    NodeTerm,
    Placement,
    Pod,
    PodClaim,
    PodLog,
    PodTerm,
    Quota,
    Resources,
    RuntimeClass,
    Scheduled,
    Selector,
    SelectorRequirement,
    Slice,
    Spread,
    Taint,
    Thing,
    Toleration,
    VolumeClaim,
)
from gpuctl.k8s.quantity import thousandths
from gpuctl.k8s.requests import oddities, total_requests

Found = Mapping[str, Any]


def thing(kind: str, found: Found) -> Thing | None:
    """Returns what is kept of an object, None of a kind that gpuctl does not read. Raises ValueError, naming it."""
    decode = DECODERS.get(kind)
    if decode is None:
        return None
    name = ""
    try:
        name = _text(object_in(found, "metadata"), "name")
        if not name:
            raise ValueError("it has no name")
        return decode(found)
    except ValueError as error:
        raise ValueError(f"{kind} {name[:80]}".rstrip() + f": {error}") from None


def _text(found: Found, name: str) -> str:
    value = found.get(name)
    return value[:LONGEST] if type(value) is str else text_in(found, name) or ""


def _texts(found: Found, name: str) -> tuple[str, ...]:
    return tuple(one[:LONGEST] for one in texts_in(found, name)[:MEMBERS])


def _labels(found: Found, name: str = "labels") -> Mapping[str, str]:
    members = object_in(found, name)
    return {key[:LONGEST]: _text(members, key) for key in islice(members, MEMBERS)}


def _time(found: Found, name: str) -> float | None:
    text = text_in(found, name)
    return second(text) if text else None


def _resources(found: Found, name: str) -> Resources:
    members = object_in(found, name)
    return {key[:LONGEST]: _quantity(key, value) for key, value in islice(members.items(), MEMBERS)}


def _quantity(key: str, value: Any) -> int:
    """A quantity; the API also takes a number in its place."""
    if type(value) in (int, float):
        value = str(value)
    try:
        return thousandths(value[:LONGEST] if type(value) is str else _text({key: value}, key))
    except ValueError as error:
        raise ValueError(f"its {key[:80]}: {error}") from None


def _meta(found: Found) -> tuple[Found, str, str]:
    meta = object_in(found, "metadata")
    return meta, _text(meta, "namespace"), _text(meta, "name")


def _requirements(found: Found, name: str) -> Selector:
    return tuple(
        SelectorRequirement(_text(one, "key"), _text(one, "operator"), _texts(one, "values"))
        for one in objects_in(found, name)[:MEMBERS]
    )


def _selector(found: Found, name: str) -> Selector | None:
    if found.get(name) is None:
        return None
    selector = object_in(found, name)
    equal = (SelectorRequirement(key, "In", (value,)) for key, value in _labels(selector, "matchLabels").items())
    return (*equal, *_requirements(selector, "matchExpressions"))


def _node_terms(selector: Found) -> tuple[NodeTerm, ...]:
    return tuple(
        NodeTerm(_requirements(one, "matchExpressions"), _requirements(one, "matchFields"))
        for one in objects_in(selector, "nodeSelectorTerms")[:MEMBERS]
    )


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def _pod_terms(affinity: Found, name: str, namespace: str) -> tuple[PodTerm, ...]:
    terms = objects_in(object_in(affinity, name), _REQUIRED) if affinity else ()
    return tuple(
        PodTerm(_selector(one, "labelSelector"), _text(one, "topologyKey"), _namespaces(one, namespace))
        for one in terms[:MEMBERS]
    )


def _namespaces(term: Found, own: str) -> tuple[str, ...] | None:
    """An empty namespaceSelector selects all. Others select by labels of namespaces, which nobody lists: all, then."""
    return (_texts(term, "namespaces") or (own,)) if term.get("namespaceSelector") is None else None


def _spread(spec: Found) -> Iterator[Spread]:
    for one in objects_in(spec, "topologySpreadConstraints")[:MEMBERS]:
        if text_in(one, "whenUnsatisfiable") == "DoNotSchedule":
            selector = _selector(one, "labelSelector")
            least = number_in(one, "minDomains") or 1
            yield Spread(selector, _text(one, "topologyKey"), number_in(one, "maxSkew") or 1, least)


def _placement(spec: Found, namespace: str) -> Placement:
    affinity = object_in(spec, "affinity")
    required = object_in(affinity, "nodeAffinity").get(_REQUIRED) if affinity else None
    containers = (*objects_in(spec, "containers"), *_sidecars(spec))
    return Placement(
        _labels(spec, "nodeSelector"),
        None if required is None else _node_terms(object_in(object_in(affinity, "nodeAffinity"), _REQUIRED)),
        tuple(map(_toleration, objects_in(spec, "tolerations")[:MEMBERS])),
        _pod_terms(affinity, "podAffinity", namespace),
        _pod_terms(affinity, "podAntiAffinity", namespace),
        tuple(_spread(spec)),
        tuple(_ports(containers)),
    )


def _sidecars(spec: Found) -> Iterator[Found]:
    return (one for one in objects_in(spec, "initContainers") if one.get("restartPolicy") == "Always")


def _ports(containers: Iterable[Found]) -> Iterator[tuple[str, str, int]]:
    for container in containers:
        for one in objects_in(container, "ports")[:MEMBERS]:
            port = number_in(one, "hostPort")
            if port:
                yield _text(one, "protocol") or "TCP", _text(one, "hostIP") or "0.0.0.0", port  # noqa: S104


def _toleration(found: Found) -> Toleration:
    operator = _text(found, "operator") or "Equal"
    return Toleration(_text(found, "key"), operator, _text(found, "value"), _text(found, "effect"))


def node(found: Found) -> ClusterNode:
    """Returns a node."""
    meta, _, name = _meta(found)
    spec, status = object_in(found, "spec"), object_in(found, "status")
    taints = objects_in(spec, "taints")[:MEMBERS]
    ready: Found = next((one for one in objects_in(status, "conditions") if one.get("type") == "Ready"), {})
    info = object_in(status, "nodeInfo")
    return ClusterNode(
        name,
        _labels(meta),
        tuple(Taint(_text(one, "key"), _text(one, "value"), _text(one, "effect")) for one in taints),
        bool(flag_in(spec, "unschedulable")),
        _resources(status, "capacity"),
        _resources(status, "allocatable"),
        _text(ready, "status") or "Unknown",
        _text(ready, "reason"),
        _time(ready, "lastHeartbeatTime"),
        _text(info, "kubeletVersion"),
        known_as(_text(info, "machineID")) or "",
        _text(info, "bootID"),
        _text(info, "containerRuntimeVersion"),
        tuple(_text(one, "name") for one in objects_in(status, "runtimeHandlers")[:MEMBERS]),
        _text(info, "osImage"),
    )


def pod(found: Found) -> Pod:
    """Returns a pod."""
    meta, namespace, name = _meta(found)
    spec, status = object_in(found, "spec"), object_in(found, "status")
    containers, inits = _asked(spec, "containers"), _asked(spec, "initContainers")
    overhead, whole = _resources(spec, "overhead"), _resources(object_in(spec, "resources"), "requests")
    priority = spec.get("priority")
    return Pod(
        namespace,
        name,
        _labels(meta),
        _owner(meta),
        _text(status, "phase") or "Pending",
        _text(status, "reason"),
        _text(status, "message"),
        _text(spec, "nodeName"),
        _text(status, "nominatedNodeName"),
        _text(spec, "schedulerName") or DEFAULT_SCHEDULER,
        priority if isinstance(priority, int) else 0,
        spec.get("preemptionPolicy") != "Never",
        total_requests(containers, inits, overhead, whole),
        oddities((*containers, *inits)),
        _placement(spec, namespace),
        tuple(_text(one, "name") for one in objects_in(spec, "schedulingGates")),
        _pod_claims(spec, status),
        _claims_of_containers(spec),
        _volumes(spec, name),
        _text(spec, "runtimeClassName"),
        _scheduled(status),
        tuple(_waiting(status)),
        tuple(_unhealthy(status)),
        _served(status),
        _time(meta, "creationTimestamp"),
        _time(status, "startTime"),
        any(map(_sees_gpus, objects_in(spec, "containers"))),
        tuple(_complaints(status)),
        tuple(name for name, *_ in containers),
        _initializing(status),
    )


def _asked(spec: Found, name: str) -> tuple[tuple[str, bool, Resources, Resources], ...]:
    """Of each container its name, whether it is a sidecar, its requests and its limits."""
    found = ((one, object_in(one, "resources")) for one in objects_in(spec, name))
    return tuple(
        (
            _text(one, "name"),
            name == "initContainers" and one.get("restartPolicy") == "Always",
            _resources(resources, "requests"),
            _resources(resources, "limits"),
        )
        for one, resources in found
    )


def _owner(meta: Found) -> str:
    owners = objects_in(meta, "ownerReferences")
    owner: Found = next((one for one in owners if one.get("controller") is True), {})
    return f"{_text(owner, 'kind')}/{_text(owner, 'name')}" if owner else ""


def _pod_claims(spec: Found, status: Found) -> tuple[PodClaim, ...]:
    made = {_text(one, "name"): _text(one, "resourceClaimName") for one in objects_in(status, "resourceClaimStatuses")}
    # Until 1.30 the names lay one level down, in `source`.
    asked = ((one, object_in(one, "source") or one) for one in objects_in(spec, "resourceClaims"))
    return tuple(
        PodClaim(
            _text(one, "name"),
            _text(source, "resourceClaimName") or made.get(_text(one, "name")) or None,
            _text(source, "resourceClaimTemplateName") or None,
        )
        for one, source in asked
    )


def _claims_of_containers(spec: Found) -> tuple[str, ...]:
    containers = (*objects_in(spec, "containers"), *objects_in(spec, "initContainers"))
    used = (one for container in containers for one in objects_in(object_in(container, "resources"), "claims"))
    return tuple(dict.fromkeys(_text(one, "name") for one in used))


def _volumes(spec: Found, pod: str) -> tuple[str, ...]:
    """The PersistentVolumeClaims that it mounts; that of an ephemeral volume is called after pod and volume."""
    claims = []
    for one in objects_in(spec, "volumes"):
        if "persistentVolumeClaim" in one:
            claims.append(_text(object_in(one, "persistentVolumeClaim"), "claimName"))
        elif "ephemeral" in one:
            claims.append(f"{pod}-{_text(one, 'name')}")
    return tuple(claims)


def _scheduled(status: Found) -> Scheduled | None:
    one = next((one for one in objects_in(status, "conditions") if one.get("type") == "PodScheduled"), None)
    if one is None:
        return None
    since = _time(one, "lastTransitionTime")
    return Scheduled(_text(one, "status"), _text(one, "reason"), _text(one, "message"), since)


def _waiting(status: Found) -> Iterator[tuple[str, str]]:
    for one in (*objects_in(status, "initContainerStatuses"), *objects_in(status, "containerStatuses")):
        reason = text_in(object_in(object_in(one, "state"), "waiting"), "reason")
        if reason:
            yield _text(one, "name"), reason[:LONGEST]


_INITIALIZING = "PodInitializing"


def _initializing(status: Found) -> str:
    """The last that has begun: sidecars, which never end, have begun before it."""
    states = [(one, object_in(one, "state")) for one in objects_in(status, "initContainerStatuses")]
    begun = [
        _text(one, "name")
        for one, state in states
        if "running" in state or text_in(object_in(state, "waiting"), "reason") not in (None, _INITIALIZING)
    ]
    waits = any(reason == _INITIALIZING for _, reason in _waiting(status))
    return begun[-1] if waits and begun else ""


_NO_GPUS = ("", "none", "void")


def _sees_gpus(container: Found) -> bool:
    values = (_text(one, "value") for one in objects_in(container, "env") if one.get("name") == VISIBLE)
    return any(value not in _NO_GPUS for value in values)


def _complaints(status: Found) -> Iterator[str]:
    for one in (*objects_in(status, "initContainerStatuses"), *objects_in(status, "containerStatuses")):
        for state in (object_in(one, "state"), object_in(one, "lastState")):
            for name in ("waiting", "terminated"):
                message = _text(object_in(state, name), "message")
                if OF_GPUS.search(message):
                    yield message


def _unhealthy(status: Found) -> Iterator[str]:
    """Devices that the kubelet calls unhealthy under a running container (from 1.31, on by default from 1.36)."""
    for container in objects_in(status, "containerStatuses"):
        for one in objects_in(container, "allocatedResourcesStatus"):
            for device in objects_in(one, "resources"):
                if device.get("health") == "Unhealthy":
                    yield _text(device, "resourceID")


def _served(status: Found) -> tuple[str, ...]:
    mappings = objects_in(object_in(status, "extendedResourceClaimStatus"), "requestMappings")
    return tuple(_text(one, "resourceName") for one in mappings)


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
        _text(subject, "kind"),
        _text(subject, "namespace"),
        _text(subject, "name"),
        _text(found, "reason"),
        _text(found, "message") or _text(found, "note"),
        count,
        next((time for place, name in times if (time := _time(place, name)) is not None), None),
    )


def quota(found: Found) -> Quota:
    """Returns a ResourceQuota."""
    _, namespace, name = _meta(found)
    status = object_in(found, "status")
    hard = _resources(status, "hard") or _resources(object_in(found, "spec"), "hard")
    return Quota(namespace, name, hard, _resources(status, "used"))


def daemon_set(found: Found) -> DaemonSet:
    """Returns a DaemonSet."""
    _, namespace, name = _meta(found)
    spec = object_in(object_in(object_in(found, "spec"), "template"), "spec")
    status = object_in(found, "status")
    containers = (*objects_in(spec, "initContainers"), *objects_in(spec, "containers"))
    return DaemonSet(
        namespace,
        name,
        tuple(_text(one, "image") for one in containers),
        _placement(spec, namespace),
        _text(spec, "runtimeClassName"),
        number_in(status, "desiredNumberScheduled") or 0,
        number_in(status, "numberReady") or 0,
        number_in(status, "updatedNumberScheduled") or 0,
        _folders(spec),
        _settings(containers),
    )


def _folders(spec: Found) -> tuple[str, ...]:
    mounted = (_text(object_in(one, "hostPath"), "path") for one in objects_in(spec, "volumes")[:MEMBERS])
    return tuple(path for path in mounted if path)


def _settings(containers: Iterable[Found]) -> Mapping[str, str]:
    variables = (one for container in containers for one in objects_in(container, "env"))
    return {name: _text(one, "value") for one in variables if (name := _text(one, "name")) in PLUGIN_SETTINGS}


def runtime_class(found: Found) -> RuntimeClass:
    """Returns a RuntimeClass."""
    return RuntimeClass(
        _meta(found)[2], _text(found, "handler"), _labels(object_in(found, "scheduling"), "nodeSelector")
    )


def device_class(found: Found) -> DeviceClass:
    """Returns a DeviceClass."""
    return DeviceClass(_meta(found)[2], _text(object_in(found, "spec"), "extendedResourceName"))


def resource_slice(found: Found) -> Slice:
    """Returns a ResourceSlice; in v1beta1 the attributes of a device lie one level down, in `basic`."""
    _, _, name = _meta(found)
    spec = object_in(found, "spec")
    devices = objects_in(spec, "devices")
    tainted = (one for one in devices if objects_in(one, "taints") or objects_in(object_in(one, "basic"), "taints"))
    first: Found = devices[0] if devices else {}
    told = object_in(first, "attributes") or object_in(object_in(first, "basic"), "attributes")
    return Slice(
        name,
        _text(spec, "nodeName"),
        _text(spec, "driver"),
        _text(object_in(spec, "pool"), "name"),
        tuple(_text(one, "name") for one in devices),
        tuple(_text(one, "name") for one in tainted),
        _text(object_in(told, "productName"), "string"),
        _text(object_in(told, "cudaComputeCapability"), "version").removesuffix(".0"),
        _text(object_in(told, "driverVersion"), "version"),
    )


def claim(found: Found) -> Claim:
    """Returns a ResourceClaim: flat in v1beta1, one level down in `exactly` from v1beta2 on."""
    _, namespace, name = _meta(found)
    requests = objects_in(object_in(object_in(found, "spec"), "devices"), "requests")
    exact = [object_in(one, "exactly") or one for one in requests]
    known = all(one.get("allocationMode") in (None, "ExactCount") and "firstAvailable" not in one for one in exact)
    allocation = object_in(object_in(found, "status"), "allocation")
    results = objects_in(object_in(allocation, "devices"), "results")
    return Claim(
        namespace,
        name,
        tuple(filter(None, (_text(one, "deviceClassName") for one in exact))),
        sum(number_in(one, "count") or 1 for one in exact) if known else None,
        tuple((_text(one, "driver"), _text(one, "pool"), _text(one, "device")) for one in results),
        _node_terms(object_in(allocation, "nodeSelector")) if "nodeSelector" in allocation else None,
    )


def job(found: Found) -> Job:
    """Returns a Job."""
    _, namespace, name = _meta(found)
    return Job(namespace, name, bool(flag_in(object_in(found, "spec"), "suspend")))


def volume_claim(found: Found) -> VolumeClaim:
    """Returns a PersistentVolumeClaim."""
    _, namespace, name = _meta(found)
    return VolumeClaim(namespace, name, _text(object_in(found, "status"), "phase"))


def pod_log(found: Found) -> PodLog:
    """Returns a pod's log, as a snapshot has it."""
    _, namespace, name = _meta(found)
    return PodLog(namespace, name, _texts(found, "lines"), _text(found, "lacking"))


POD_LOG = "PodLog"
"""A kind of gpuctl's own, which no API lists."""
DECODERS: Mapping[str, Callable[[Found], Thing]] = {
    "Node": node,
    "Pod": pod,
    "Event": event,
    "ResourceQuota": quota,
    "DaemonSet": daemon_set,
    "RuntimeClass": runtime_class,
    "DeviceClass": device_class,
    "ResourceSlice": resource_slice,
    "ResourceClaim": claim,
    "Job": job,
    "PersistentVolumeClaim": volume_claim,
    POD_LOG: pod_log,
}
