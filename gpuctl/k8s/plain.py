"""Pods that run, ask for no device and are nobody's concern here: of these only what they take counts.

A cluster has a hundred of them for each one with GPUs. They are told before anything of them is decoded, as that takes
ten times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gpuctl.k8s.objects import VISIBLE, Resources
from gpuctl.k8s.quantity import thousandths
from gpuctl.k8s.requests import total_requests

Found = Mapping[str, Any]
_LOUD = ("initContainers", "overhead", "resources", "resourceClaims", "runtimeClassName", "schedulingGates")
"""Members of a pod's specification with which it is looked at more closely."""
_WORDS = ("nvidia", "gpu", "dra-")
"""In a label: those of plugins, operators and drivers."""


def plain_requests(pod: Found) -> tuple[str, Resources] | None:
    """Returns a plain pod's node and what it asks for there, None for any other pod, and for what is no pod."""
    try:
        spec, status = pod["spec"], pod["status"]
        if status["phase"] != "Running" or any(spec.get(name) for name in _LOUD) or not _quiet(pod, status):
            return None
        if any(variable.get("name") == VISIBLE for one in spec["containers"] for variable in one.get("env") or ()):
            return None
        asked = tuple(_asked(one.get("resources") or {}) for one in spec["containers"])
        node = spec["nodeName"]
        requests = _requests(asked)
        return (node, requests) if requests is not None and node and isinstance(node, str) else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _quiet(pod: Found, status: Found) -> bool:
    """Whether nothing of its state is worth a word, and its labels name nothing of GPUs."""
    labels = pod["metadata"].get("labels") or {}
    if any(word in text for text in labels.values() for word in _WORDS):
        return False
    statuses = status.get("containerStatuses") or ()
    return not status.get("extendedResourceClaimStatus") and not any(
        one.get("allocatedResourcesStatus") or one.get("lastState") or not _RUNS.issuperset(one.get("state") or ())
        for one in statuses
    )


_RUNS = frozenset(("running",))
_Asked = tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]


def _asked(resources: Found) -> _Asked:
    if resources.get("claims"):
        raise ValueError("it has devices by a claim")
    return tuple((resources.get("requests") or {}).items()), tuple((resources.get("limits") or {}).items())


@lru_cache(maxsize=4096)
def _requests(containers: tuple[_Asked, ...]) -> Resources | None:
    """What containers ask for together; None where a device is among it."""
    asked = [[{name: thousandths(text) for name, text in part} for part in one] for one in containers]
    if any("/" in name for one in asked for part in one for name in part):
        return None
    return total_requests([("", False, requests, limits) for requests, limits in asked], (), {}, {})
