"""The kinds of objects of which something is kept, and what decodes each.

What is read here stands in gpuctl/k8s/fields.py: nothing else of an object comes as far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpuctl.host.decode import object_in
from gpuctl.k8s.decode import devices, kinds, operator
from gpuctl.k8s.decode.pods import pod
from gpuctl.k8s.decode.values import Found, kept_text
from gpuctl.k8s.objects import Thing


def thing(kind: str, found: Found) -> Thing | None:
    """Returns what is kept of an object, None of a kind that gpuctl does not read. Raises ValueError, naming it."""
    decode = DECODERS.get(kind)
    if decode is None:
        return None
    name = ""
    try:
        name = kept_text(object_in(found, "metadata"), "name")
        if not name:
            raise ValueError("it has no name")
        return decode(found)
    except ValueError as error:
        raise ValueError(f"{kind} {name[:80]}".rstrip() + f": {error}") from None


POD_LOG = "PodLog"
"""A kind of gpuctl's own, which no API lists."""
DECODERS: Mapping[str, Callable[[Found], Thing]] = {
    "Node": kinds.node,
    "Pod": pod,
    "Event": kinds.event,
    "ResourceQuota": kinds.quota,
    "DaemonSet": kinds.daemon_set,
    "RuntimeClass": kinds.runtime_class,
    "DeviceClass": devices.device_class,
    "ResourceSlice": devices.resource_slice,
    "ResourceClaim": devices.claim,
    "Job": kinds.job,
    "PersistentVolumeClaim": kinds.volume_claim,
    "ClusterPolicy": operator.cluster_policy,
    "NVIDIADriver": operator.nvidia_driver,
    POD_LOG: kinds.pod_log,
}
