"""Plays a node's kubelet and its device plugin, by the real gRPC library, while a command runs; then ends as it did.

kubelet_side.py CALLS --root-dir /var/lib/kubelet [--plugin PATH]… [--dead PATH]… [--held GPU-…]… [--silent] -- COMMAND…

Which methods were called is written to the file CALLS.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

CALLED: list[str] = []


def field(number: int, value: bytes) -> bytes:
    """A field of Protocol Buffers that holds bytes."""
    size, length = len(value), b""
    while size > 127:
        length, size = length + bytes([128 | size & 127]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


def pod_resources(held: list[str]) -> bytes:
    """What List answers: a pod with a container that holds these, and one that holds nothing."""
    devices = field(1, b"nvidia.com/gpu") + b"".join(field(2, one.encode()) for one in held)
    other = field(1, b"example.com/nic") + field(2, b"nic-0")
    container = field(1, b"c") + field(2, devices) + field(2, other)
    pod = field(1, b"train-0") + field(2, b"ml") + field(3, container)
    return field(1, pod) + field(1, field(1, b"idle") + field(2, b"ml"))


def serve(path: str, service: str, answers: dict[str, bytes]) -> grpc.Server:
    """A server at a socket; a method that has no answer here is one that nobody may call."""

    def handler(name: str, answer: bytes) -> grpc.RpcMethodHandler:
        def reply(_request: bytes, _context: grpc.ServicerContext) -> bytes:
            CALLED.append(name)
            return answer

        return grpc.unary_unary_rpc_method_handler(reply)

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    server = grpc.server(ThreadPoolExecutor(2))
    methods = {name: handler(name, answer) for name, answer in answers.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    server.add_insecure_port(f"unix:{path}")
    server.start()
    return server


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("calls")
    options.add_argument("--root-dir", default="/var/lib/kubelet")
    for name in ("--plugin", "--dead", "--held"):
        options.add_argument(name, action="append", default=[])
    options.add_argument("--silent", action="store_true")
    split = sys.argv.index("--")
    asked = options.parse_args(sys.argv[1:split])
    Path("/proc/self/comm").write_text("kubelet")
    listening = "/var/lib/kubelet/device-plugins/kubelet.sock"
    servers = [] if asked.silent else [serve(listening, "v1beta1.Registration", {"Register": b""})]
    answers = {"List": pod_resources(asked.held), "GetAllocatableResources": b""}
    servers.append(serve(f"{asked.root_dir}/pod-resources/kubelet.sock", "v1.PodResourcesLister", answers))
    plugin = {"ListAndWatch": b"", "GetDevicePluginOptions": b"", "Allocate": b""}
    servers += [serve(path, "v1beta1.DevicePlugin", plugin) for path in asked.plugin]
    for path in asked.dead:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
    ended = subprocess.run(sys.argv[split + 1 :], check=False)
    for server in servers:
        server.stop(None)
    Path(asked.calls).write_text("\n".join(CALLED))
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
