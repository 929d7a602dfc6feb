"""Devices that are given by claims. All raise ValueError where a type is another."""

from __future__ import annotations

from gpuctl.host.decode import number_in, object_in, objects_in
from gpuctl.k8s.decode.placement import node_terms_in
from gpuctl.k8s.decode.values import Found, kept_text, meta_in
from gpuctl.k8s.objects import Claim, DeviceClass, Slice


def device_class(found: Found) -> DeviceClass:
    """Returns a DeviceClass."""
    return DeviceClass(meta_in(found)[2], kept_text(object_in(found, "spec"), "extendedResourceName"))


_NO_EFFECT = "None"
"""Of a taint that only tells (KEP-5055)."""


def resource_slice(found: Found) -> Slice:
    """Returns a ResourceSlice; in v1beta1 the attributes of a device lie one level down, in `basic`."""
    _, _, name = meta_in(found)
    spec = object_in(found, "spec")
    devices = objects_in(spec, "devices")
    taints = ((one, (*objects_in(one, "taints"), *objects_in(object_in(one, "basic"), "taints"))) for one in devices)
    hard = ((one, next((taint for taint in every if taint.get("effect") != _NO_EFFECT), None)) for one, every in taints)
    first: Found = devices[0] if devices else {}
    told = object_in(first, "attributes") or object_in(object_in(first, "basic"), "attributes")
    return Slice(
        name,
        kept_text(spec, "nodeName"),
        kept_text(spec, "driver"),
        kept_text(object_in(spec, "pool"), "name"),
        tuple(kept_text(one, "name") for one in devices),
        {kept_text(one, "name"): kept_text(taint, "key") for one, taint in hard if taint is not None},
        kept_text(object_in(told, "productName"), "string"),
        kept_text(object_in(told, "cudaComputeCapability"), "version").removesuffix(".0"),
        kept_text(object_in(told, "driverVersion"), "version"),
    )


def claim(found: Found) -> Claim:
    """Returns a ResourceClaim: flat in v1beta1, one level down in `exactly` from v1beta2 on."""
    _, namespace, name = meta_in(found)
    requests = objects_in(object_in(object_in(found, "spec"), "devices"), "requests")
    exact = [object_in(one, "exactly") or one for one in requests]
    known = all(one.get("allocationMode") in (None, "ExactCount") and "firstAvailable" not in one for one in exact)
    allocation = object_in(object_in(found, "status"), "allocation")
    results = objects_in(object_in(allocation, "devices"), "results")
    return Claim(
        namespace,
        name,
        tuple(filter(None, (kept_text(one, "deviceClassName") for one in exact))),
        sum(number_in(one, "count") or 1 for one in exact) if known else None,
        tuple((kept_text(one, "driver"), kept_text(one, "pool"), kept_text(one, "device")) for one in results),
        node_terms_in(object_in(allocation, "nodeSelector")) if "nodeSelector" in allocation else None,
    )
