"""The kubelet's own record of devices: which plugins have offered, and which containers it gave them to.

https://github.com/kubernetes/kubernetes, pkg/kubelet/cm/devicemanager/checkpoint and manager.go
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Mapping, Optional, Tuple

from gpuctl.facts.containerd.protobuf import fields
from gpuctl.frozen import dataclass
from gpuctl.host.decode import object_in, objects_in, parse_object, text_in, texts_in

VENDOR = "nvidia.com/"
_ENVIRONMENT, _DEVICES, _ANNOTATIONS, _CDI = 1, 3, 4, 5
"""Fields of ContainerAllocateResponse: deviceplugin/v1beta1/api.proto."""


@dataclass(frozen=True)
class Given:
    """Devices that a container was given. `by` says how its plugin has them brought in; "" where it is not told.

    Of env, devices, cdi: a variable for the toolkit's runtime, device nodes in the container's specification (so that
    the engine's cgroup rules name them), names of CDI.
    """

    resource: str
    devices: Tuple[str, ...]
    by: Tuple[str, ...]


@dataclass(frozen=True)
class Checkpoint:
    """`registered` are by resource the devices that its plugin called healthy when it last said anything.

    A resource stays in it without devices once its plugin is gone for long.
    """

    registered: Mapping[str, Tuple[str, ...]]
    given: Tuple[Given, ...]

    @property
    def healthy(self) -> int:
        """How many devices of NVIDIA's are registered and healthy, all names together."""
        return sum(len(devices) for name, devices in self.registered.items() if name.startswith(VENDOR))


def parse_checkpoint(text: str) -> Checkpoint:
    """Returns what the file says; up to 1.19 a container's devices were a list, since then lists by NUMA node.

    {"Data": {"PodDeviceEntries": [{"PodUID": "0f", "ContainerName": "c", "ResourceName": "nvidia.com/gpu",
      "DeviceIDs": {"0": ["GPU-5a1c3e6b"]}, "AllocResp": "CgQKAEEa"}],
      "RegisteredDevices": {"nvidia.com/gpu": ["GPU-5a1c3e6b"]}}, "Checksum": 1}
    """
    data = object_in(parse_object(text), "Data")
    registered = object_in(data, "RegisteredDevices")
    return Checkpoint(
        {name: tuple(sorted(texts_in(registered, name))) for name in registered},
        tuple(_given(entry) for entry in objects_in(data, "PodDeviceEntries")),
    )


def _given(entry: Mapping[str, Any]) -> Given:
    if isinstance(entry.get("DeviceIDs"), list):
        devices = texts_in(entry, "DeviceIDs")
    else:
        by_place = object_in(entry, "DeviceIDs")
        devices = tuple(device for place in by_place for device in texts_in(by_place, place))
    return Given(text_in(entry, "ResourceName") or "", devices, _ways(text_in(entry, "AllocResp")))


def _ways(answer: Optional[str]) -> Tuple[str, ...]:
    try:
        numbers = {number for number, _ in fields(base64.b64decode(answer or "", validate=True))}
    except (ValueError, binascii.Error):  # a secret may have been taken for it, and taken out of a snapshot
        return ()
    ways = {"env": _ENVIRONMENT, "devices": _DEVICES}
    cdi = ("cdi",) if numbers & {_ANNOTATIONS, _CDI} else ()
    return (*(way for way, number in ways.items() if number in numbers), *cdi)
