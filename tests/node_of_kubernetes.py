"""What makes a recorded host a node of Kubernetes, for tests: a kubelet, its plugin, and what they have written."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from hosts_v100 import UUID
from kubelet_side import field, pod_resources

from gpuctl.facts.kubelet.kubelet import CHECKPOINT, LIST, PLUGINS

PLUGIN, REGISTRATION = f"{PLUGINS}/nvidia-gpu.sock", f"{PLUGINS}/kubelet.sock"
POD_RESOURCES = "unix:///var/lib/kubelet/pod-resources/kubelet.sock"
SOCKET = {"type": "socket", "mode": 0o755}
ENV = field(1, field(1, b"NVIDIA_VISIBLE_DEVICES") + field(2, UUID.encode()))
DEVICE_NODE = field(3, field(1, b"/dev/nvidia0") + field(2, b"/dev/nvidia0") + field(3, b"rw"))
CDI = field(5, field(1, b"nvidia.com/gpu=0"))


def checkpoint(registered: Sequence[str] = (UUID,), answer: bytes = ENV) -> str:
    """The kubelet's file: what its plugin has registered, and how a container was given its GPU."""
    given = {
        "PodUID": "0f5c",
        "ContainerName": "c",
        "ResourceName": "nvidia.com/gpu",
        "DeviceIDs": {"0": [UUID]},
        "AllocResp": base64.b64encode(answer).decode(),
    }
    data = {"PodDeviceEntries": [given], "RegisteredDevices": {"nvidia.com/gpu": list(registered)}}
    return json.dumps({"Data": data, "Checksum": 1353318690})


def node(**changed: Any) -> dict[str, Any]:
    """A node's looks; changed may be `argv`, `registered`, `answer`, `policy`, `held`, `root`, and who listens."""
    root = changed.get("root", "/var/lib/kubelet")
    peers = {REGISTRATION: changed.get("registration", 1000), PLUGIN: changed.get("plugin", 1100)}
    return {
        "files": {
            "/proc/1000/comm": changed.get("comm", "kubelet\n"),
            "/proc/1000/cmdline": "\0".join(changed.get("argv", ("/usr/bin/kubelet", f"--root-dir={root}"))) + "\0",
            f"{PLUGINS}/{CHECKPOINT}": checkpoint(changed.get("registered", (UUID,)), changed.get("answer", ENV)),
            f"{root}/cpu_manager_state": json.dumps({"policyName": changed.get("policy", "none"), "checksum": 1}),
        },
        "stats": {path: SOCKET for path, pid in peers.items() if pid is not None},
        "peers": {f"unix://{path}": pid for path, pid in peers.items() if pid is not None},
        "calls": {f"{LIST} ({POD_RESOURCES})": pod_resources(changed.get("held", [UUID])).decode("latin-1")},
    }
