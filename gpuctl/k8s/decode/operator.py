"""The objects of NVIDIA's operator. All raise ValueError where a type is another.

Source: https://github.com/NVIDIA/gpu-operator, api/nvidia/v1/clusterpolicy_types.go,
api/nvidia/v1alpha1/nvidiadriver_types.go, internal/conditions/
"""

from __future__ import annotations

from gpuctl.host.decode import flag_in, object_in, objects_in
from gpuctl.k8s.decode.values import Found, kept_text, meta_in
from gpuctl.k8s.objects import ClusterPolicy, NvidiaDriver, OperatorState


def cluster_policy(found: Found) -> ClusterPolicy:
    """Returns a ClusterPolicy: what it does not name is brought."""
    spec = object_in(found, "spec")
    driver = object_in(spec, "driver")
    return ClusterPolicy(
        meta_in(found)[2],
        _state(found),
        _enabled(driver),
        _enabled(object_in(spec, "toolkit")),
        _enabled(object_in(spec, "devicePlugin")),
        flag_in(object_in(object_in(driver, "upgradePolicy"), "drain"), "enable"),
    )


def nvidia_driver(found: Found) -> NvidiaDriver:
    """Returns an NVIDIADriver."""
    return NvidiaDriver(meta_in(found)[2], _state(found))


def _enabled(operand: Found) -> bool:
    return flag_in(operand, "enabled") is not False


def _state(found: Found) -> OperatorState:
    """Of its conditions Error, where that holds; Ready says why there is nothing to do, too."""
    status = object_in(found, "status")
    by_type = {kept_text(one, "type"): one for one in objects_in(status, "conditions")}
    error = by_type.get("Error", {})
    told: Found = error if error.get("status") == "True" else by_type.get("Ready", {})
    return OperatorState(kept_text(status, "state"), kept_text(told, "reason"), kept_text(told, "message"))
