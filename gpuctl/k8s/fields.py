"""The fields that are kept of an object: what decode/ reads, and nothing else.

A snapshot holds them in the API's own shape, and a page of the API is read for them alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gpuctl.frozen import dataclass
from gpuctl.k8s.objects import PLUGIN_SETTINGS, VISIBLE

LONGEST = 2048
"""Letters that are kept of a text: the API's own names and labels have 253 at most, an event's message 1,024."""
MEMBERS = 256
"""Labels, taints and the like that are kept of one object."""

VARIABLES: Mapping[str, tuple[str, ...]] = {"Pod": (VISIBLE,), "DaemonSet": PLUGIN_SETTINGS}
"""By kind all that is kept of environments: they are public, and tell of GPUs."""


@dataclass(frozen=True)
class Environment:
    """Variables, of which those of these names are kept: no other comes into a snapshot."""

    names: tuple[str, ...]


Fields = Mapping[str, Any]
"""By name what is kept of a member: VALUE, fields of an object, in a list those of each of its objects, Environment."""
VALUE = None
"""A text, a number or a truth value; a list of such, or an object of such, as labels are."""


def _values(names: str) -> Fields:
    return dict.fromkeys(names.split(), VALUE)


VARIABLE = _values("name value")
_META = _values("name namespace")
_REQUIREMENTS = [_values("key operator values")]
_LABEL_SELECTOR = {"matchLabels": VALUE, "matchExpressions": _REQUIREMENTS}
_NODE_SELECTOR = {"nodeSelectorTerms": [{"matchExpressions": _REQUIREMENTS, "matchFields": _REQUIREMENTS}]}
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_POD_TERMS = {
    _REQUIRED: [{**_values("topologyKey namespaces"), "labelSelector": _LABEL_SELECTOR, "namespaceSelector": {}}]
}
OF_GPUS = re.compile("nvidia|cdi", re.IGNORECASE)
_SAID = _values("reason message")
"""Why a container does not run. Its message may be a program's own last words: it is kept where it is of GPUs."""
_STATE = {"waiting": _SAID, "terminated": _SAID}


def _containers(kind: str, names: str) -> list[Fields]:
    fields = {
        **_values(names),
        "env": Environment(VARIABLES[kind]),
        "resources": {**_values("requests limits"), "claims": [_values("name")]},
        "ports": [_values("hostPort protocol hostIP")],
    }
    return [fields]


_PLACEMENT = {
    **_values("nodeSelector runtimeClassName"),
    "affinity": {"nodeAffinity": {_REQUIRED: _NODE_SELECTOR}, "podAffinity": _POD_TERMS, "podAntiAffinity": _POD_TERMS},
    "tolerations": [_values("key operator value effect")],
    "topologySpreadConstraints": [
        {**_values("whenUnsatisfiable topologyKey maxSkew minDomains"), "labelSelector": _LABEL_SELECTOR}
    ],
}
_CLAIM_SOURCE = _values("resourceClaimName resourceClaimTemplateName")
_STATUS = {
    "name": VALUE,
    "state": _STATE,
    "lastState": _STATE,
    "allocatedResourcesStatus": [{"resources": [_values("resourceID health")]}],
}
_DEVICE = {
    "attributes": {
        "productName": _values("string"),
        "cudaComputeCapability": _values("version"),
        "driverVersion": _values("version"),
    },
    "taints": [_values("key effect")],
}
_OPERATOR_STATUS = {"state": VALUE, "conditions": [_values("type status reason message")]}
_REQUEST = {**_values("deviceClassName allocationMode count"), "firstAvailable": [{}]}

FIELDS: Mapping[str, Fields] = {
    "Node": {
        "metadata": {**_META, "labels": VALUE},
        "spec": {"taints": [_values("key value effect")], "unschedulable": VALUE},
        "status": {
            **_values("capacity allocatable"),
            "conditions": [_values("type status reason lastHeartbeatTime")],
            "nodeInfo": _values("kubeletVersion machineID bootID containerRuntimeVersion osImage"),
            "runtimeHandlers": [_values("name")],
        },
    },
    "Pod": {
        "metadata": {
            **_META,
            **_values("labels creationTimestamp"),
            "ownerReferences": [_values("kind name controller")],
        },
        "spec": {
            **_PLACEMENT,
            **_values("nodeName schedulerName priority preemptionPolicy overhead"),
            "containers": _containers("Pod", "name restartPolicy"),
            "initContainers": _containers("Pod", "name restartPolicy"),
            "resources": _values("requests"),
            "schedulingGates": [_values("name")],
            "resourceClaims": [{"name": VALUE, **_CLAIM_SOURCE, "source": _CLAIM_SOURCE}],
            "volumes": [{"name": VALUE, "persistentVolumeClaim": _values("claimName"), "ephemeral": {}}],
        },
        "status": {
            **_values("phase reason message nominatedNodeName startTime"),
            "conditions": [_values("type status reason message lastTransitionTime")],
            "containerStatuses": [_STATUS],
            "initContainerStatuses": [{**_STATUS, "state": {**_STATE, "running": {}}}],
            "resourceClaimStatuses": [_values("name resourceClaimName")],
            "extendedResourceClaimStatus": {"requestMappings": [_values("resourceName")]},
        },
    },
    "Event": {
        "metadata": _META,
        **_values("reason message note count deprecatedCount lastTimestamp deprecatedLastTimestamp eventTime"),
        "involvedObject": _values("kind namespace name"),
        "regarding": _values("kind namespace name"),
        "series": _values("count lastObservedTime"),
    },
    "ResourceQuota": {"metadata": _META, "spec": _values("hard"), "status": _values("hard used")},
    "DaemonSet": {
        "metadata": _META,
        "spec": {
            "template": {
                "spec": {
                    **_PLACEMENT,
                    "containers": _containers("DaemonSet", "name restartPolicy image"),
                    "initContainers": _containers("DaemonSet", "name restartPolicy image"),
                    "volumes": [{"hostPath": _values("path")}],
                }
            }
        },
        "status": _values("desiredNumberScheduled numberReady updatedNumberScheduled"),
    },
    "RuntimeClass": {"metadata": _META, "handler": VALUE, "scheduling": _values("nodeSelector")},
    "DeviceClass": {"metadata": _META, "spec": _values("extendedResourceName")},
    "ResourceSlice": {
        "metadata": _META,
        "spec": {
            **_values("nodeName driver"),
            "pool": _values("name"),
            "devices": [{"name": VALUE, **_DEVICE, "basic": _DEVICE}],
        },
    },
    "ResourceClaim": {
        "metadata": _META,
        "spec": {"devices": {"requests": [{**_REQUEST, "exactly": _REQUEST}]}},
        "status": {
            "allocation": {
                "devices": {"results": [_values("driver pool device")]},
                "nodeSelector": _NODE_SELECTOR,
            }
        },
    },
    "Job": {"metadata": _META, "spec": _values("suspend")},
    "PersistentVolumeClaim": {"metadata": _META, "status": _values("phase")},
    "ClusterPolicy": {
        "metadata": _META,
        "spec": {
            "driver": {**_values("enabled"), "upgradePolicy": {"drain": _values("enable")}},
            "toolkit": _values("enabled"),
            "devicePlugin": _values("enabled"),
        },
        "status": _OPERATOR_STATUS,
    },
    "NVIDIADriver": {"metadata": _META, "status": _OPERATOR_STATUS},
}
"""By kind."""


def without_environment(fields: Fields) -> Fields:
    """Returns the fields but environments: they are most of a page's time."""

    def part(inner: Any) -> Any:
        if isinstance(inner, Mapping):
            return without_environment(inner)
        return [without_environment(inner[0])] if isinstance(inner, list) else inner

    return {name: part(inner) for name, inner in fields.items() if not isinstance(inner, Environment)}


def kept(found: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    """Returns what is kept of an object that has been decoded: what is of another type than it should is left out."""
    return {name: part for name, inner in fields.items() if (part := _part(found.get(name), inner)) is not None}


def _variables(value: Any, names: tuple[str, ...]) -> list[dict[str, Any]] | None:
    found = (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()
    return [kept(one, VARIABLE) for one in found if one.get("name") in names] or None


def _part(value: Any, fields: Any) -> Any:
    if fields is VALUE:
        return _value(value)
    if isinstance(fields, Environment):
        return _variables(value, fields.names)
    if fields is _SAID and isinstance(value, dict) and not OF_GPUS.search(str(value.get("message"))):
        value = {**value, "message": None}
    if isinstance(fields, list):
        objects = (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()
        return [kept(one, fields[0]) for one in objects] or None
    return kept(value, fields) if isinstance(value, dict) else None


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return [_scalar(one) for one in value[:MEMBERS]]
    if isinstance(value, dict):
        return {key[:LONGEST]: _scalar(one) for key, one in list(value.items())[:MEMBERS]} or None
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return value[:LONGEST]
    return value if isinstance(value, (int, float)) else None
