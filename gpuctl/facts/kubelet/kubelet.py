"""The kubelet of a node of Kubernetes: its files, its sockets and those of device plugins, and what pods hold.

ListAndWatch of a plugin is never called: its streams share one channel of health, and a second reader would take the
kubelet's message (https://github.com/NVIDIA/k8s-device-plugin, internal/plugin/server.go). A connection tells enough.
"""

from __future__ import annotations

import posixpath
from typing import Iterator, Optional, Tuple

from gpuctl.facts.containerd.protobuf import inner, message_of
from gpuctl.facts.kubelet.checkpoint import Checkpoint, parse_checkpoint
from gpuctl.facts.kubelet.process import ROOT, KubeletProcess, probe_kubelet_process
from gpuctl.facts.machine.logs import probe_unit_log
from gpuctl.frozen import dataclass
from gpuctl.host.decode import parse_object, text_in
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.model import Fact

PLUGINS = ROOT + "/device-plugins"
"""Where a kubelet listens for device plugins, whatever its --root-dir: the path is written into it.

https://kubernetes.io/docs/reference/node/kubelet-files/, kubernetes/website pull 55430
"""
CHECKPOINT, REGISTRATION = "kubelet_internal_checkpoint", "kubelet.sock"
LIST = "/v1.PodResourcesLister/List"
DRA_DRIVER = "gpu.nvidia.com"
"""What NVIDIA's DRA driver is called, and the folder of its socket."""
_VENDOR = "nvidia"
_REFUSED = "refused"


@dataclass(frozen=True)
class PluginSocket:
    """A socket of a device plugin. `alive` None: that could not be told, because of `why`."""

    path: str
    alive: Optional[bool]
    why: str = ""


@dataclass(frozen=True)
class HeldDevices:
    """What a container holds of a resource, by the kubelet's word."""

    pod: str
    resource: str
    devices: Tuple[str, ...]


@dataclass(frozen=True)
class Kubelet:
    """Everything is absent where there is no kubelet, nor one's files."""

    process: Fact[KubeletProcess]
    folder: Fact[str]
    """Where device plugins register."""
    registration: Fact[PluginSocket]
    """The kubelet's own socket for them."""
    plugins: Fact[Tuple[PluginSocket, ...]]
    """NVIDIA's, in the folder."""
    elsewhere: Fact[Tuple[PluginSocket, ...]]
    """NVIDIA's below a --root-dir that is another folder."""
    dra: Fact[PluginSocket]
    """The socket of NVIDIA's DRA driver."""
    checkpoint: Fact[Checkpoint]
    held: Fact[Tuple[HeldDevices, ...]]
    """What running pods hold, as the kubelet says over gRPC."""
    cpu_policy: Fact[str]
    """The CPU manager's policy: none or static."""
    log: Fact[Tuple[str, ...]]
    """Its unit's lines of the last day."""


def probe_kubelet(host: Host) -> Kubelet:
    """Returns what a node's files and sockets tell."""
    process = probe_kubelet_process(host)
    root = process.value.root if process.value else ROOT
    folder = _folder(host, root)
    if process.value is None and not folder.value:
        gone: Fact[None] = Fact(None, folder.source, process.unknown)
        return Kubelet(process, folder, *[gone] * 8)  # type: ignore[arg-type]
    below = folder.value or PLUGINS
    other = posixpath.join(root, "device-plugins")
    elsewhere: Fact[Tuple[PluginSocket, ...]] = Fact(None, other)
    unit = process.value.unit if process.value else ""
    return Kubelet(
        process,
        folder,
        _socket(host, posixpath.join(below, REGISTRATION)),
        _plugins(host, below),
        elsewhere if other == below else _plugins(host, other),
        _socket(host, posixpath.join(root, "plugins", DRA_DRIVER, "dra.sock")),
        fact(host.read(posixpath.join(below, CHECKPOINT)), parse_checkpoint),
        _held(host, root) if process.value else Fact(None, process.source),
        fact(host.read(posixpath.join(root, "cpu_manager_state")), parse_cpu_policy),
        probe_unit_log(host, unit) if unit else Fact(None, "journalctl"),
    )


def _folder(host: Host, root: str) -> Fact[str]:
    """The one in which the kubelet listens: a snap may show it elsewhere than it is for the kubelet itself."""
    seen = host.stat(PLUGINS)
    other = posixpath.join(root, "device-plugins")
    here = [path for path in (PLUGINS, other) if host.stat(posixpath.join(path, REGISTRATION)).ok]
    return fact(seen, lambda _: PLUGINS) if not here else Fact(here[0], here[0])


def _plugins(host: Host, folder: str) -> Fact[Tuple[PluginSocket, ...]]:
    listing = host.list(folder)
    names = [name for name in listing.text.splitlines() if name.startswith(_VENDOR) and name.endswith(".sock")]
    sockets = [_socket(host, posixpath.join(folder, name)).value for name in names]
    return fact(listing, lambda _: tuple(one for one in sockets if one))


def _socket(host: Host, path: str) -> Fact[PluginSocket]:
    seen = host.stat(path)
    if not seen.ok:
        return fact(seen, lambda _: None)
    answer = host.peer("unix://" + path)
    dead = answer.outcome is Outcome.ABSENT or _REFUSED in answer.detail
    alive = True if answer.ok else False if dead else None
    return Fact(PluginSocket(path, alive, "" if answer.ok else answer.detail), path)


def _held(host: Host, root: str) -> Fact[Tuple[HeldDevices, ...]]:
    answer = host.call("unix://" + posixpath.join(root, "pod-resources", REGISTRATION), LIST)
    return fact(answer, lambda text: tuple(parse_held(message_of(text))))


def parse_held(message: bytes) -> Iterator[HeldDevices]:
    """Yields what containers hold of NVIDIA's resources: the reply to List. Raises ValueError.

    Fields: podresources/v1/api.proto of https://github.com/kubernetes/kubernetes, staging/src/k8s.io/kubelet.
    """
    for pod in inner(message, 1):
        name = "%s/%s" % (_text(pod, 2), _text(pod, 1))
        for container in inner(pod, 3):
            for devices in inner(container, 2):
                resource = _text(devices, 1)
                if resource.startswith(_VENDOR):
                    ids = tuple(one.decode("utf-8", "replace") for one in inner(devices, 2))
                    yield HeldDevices(name, resource, ids)


def _text(message: bytes, number: int) -> str:
    return next(inner(message, number), b"").decode("utf-8", "replace")


def parse_cpu_policy(text: str) -> Optional[str]:
    """Returns the policy of the CPU manager's state file. Raises ValueError.

    {"policyName":"static","defaultCpuSet":"0-1,4-63","entries":{},"checksum":1353318690}
    """
    return text_in(parse_object(text), "policyName")
