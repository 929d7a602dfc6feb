"""Times `gpuctl k8s` over a made-up cluster, and reads how much memory it takes.

python benchmarks/k8s.py [--nodes N] [--pods N]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GPUCTL = str(Path(sys.executable).parent / "gpuctl")
NODE, POD = 25_000, 7_000
"""Bytes of an object, most of it in fields that nobody reads, as in a real cluster."""
PROMISED = {"doctor": "3 s, 130 MB", "doctor --node": "", "why": "4 s"}


def padded(found: dict[str, Any], size: int) -> str:
    """Returns an object as JSON of this many bytes: images on a node, managed fields of a pod take as much."""
    text = json.dumps(found)
    fields = [{"f:metadata": {"f:labels": {"f:app": {}}}, "manager": "kubelet"}] * ((size - len(text)) // 71)
    return json.dumps({**found, "metadata": {**found["metadata"], "managedFields": fields}})


def nodes(count: int) -> Iterator[str]:
    """Yields nodes, of which one in two has eight GPUs."""
    for number in range(count):
        gpus = {"nvidia.com/gpu": "8"} if number % 2 else {}
        resources = {"cpu": "128", "memory": "1Ti", "pods": "250", **gpus}
        labels = {"kubernetes.io/hostname": f"n{number}", "topology.kubernetes.io/zone": f"z{number % 3}"}
        if gpus:
            labels |= {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.count": "8"}
            labels |= {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
        yield padded(
            {
                "metadata": {"name": f"n{number}", "labels": labels},
                "spec": {},
                "status": {
                    "capacity": resources,
                    "allocatable": resources,
                    "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-29T15:00:00Z"}],
                },
            },
            NODE,
        )


def pods(count: int, on: int) -> Iterator[str]:
    """Yields pods, of which one in thirty holds two GPUs; the last waits for eight together."""
    for number in range(count):
        waits, holds = number == count - 1, number % 30 == 1
        gpus = {"nvidia.com/gpu": "8" if waits else "2"} if waits or holds else {}
        container = {"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Gi", **gpus}, "limits": gpus}}
        place = {} if waits else {"nodeName": f"n{number % on}"}
        yield padded(
            {
                "metadata": {"name": f"p{number}", "namespace": "default", "labels": {"app": f"a{number % 50}"}},
                "spec": {"containers": [container, {"name": "proxy", "resources": {}}], **place},
                "status": {"phase": "Pending" if waits else "Running"},
            },
            POD,
        )


def write_cluster(path: Path, of_nodes: int, of_pods: int) -> None:
    """Writes a cluster as the API pages it, in pages of 500."""
    with path.open("w") as file:
        for kind, objects in (("Node", nodes(of_nodes)), ("Pod", pods(of_pods, of_nodes))):
            file.write(f'{{"kind": "{kind}List", "apiVersion": "v1", "items": [')
            for number, one in enumerate(objects):
                file.write(("," if number else "") + one)
            file.write("]}\n")
        for kind in ("Event", "ResourceQuota", "DaemonSet", "RuntimeClass", "DeviceClass", "ResourceSlice"):
            file.write(f'{{"kind": "{kind}List", "apiVersion": "v1", "items": []}}\n')
        file.write('{"kind": "ResourceClaimList", "apiVersion": "v1", "items": []}\n')


def cost(*argv: str) -> tuple[float, int]:
    """Returns the processor time of a command in seconds and its peak memory in MB."""
    code = (
        "import json, resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True)
    seconds, kilobytes = json.loads(done.stdout)
    return seconds, kilobytes * 1024 // 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=1_000, help="nodes of the cluster (default: %(default)s)")
    parser.add_argument("--pods", type=int, default=30_000, help="pods of the cluster (default: %(default)s)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cluster.json"
        write_cluster(path, asked.nodes, asked.pods)
        megabytes = path.stat().st_size // 1_000_000
        print(f"{asked.nodes:,} nodes, {asked.pods:,} pods, {megabytes} MB\n")
        print("| command | processor time | memory | promised |\n| --- | --- | --- | --- |")
        runs = {"doctor": (), "doctor --node": ("--node", "n1"), "why": (f"p{asked.pods - 1}",)}
        for name, further in runs.items():
            seconds, memory = cost(GPUCTL, "k8s", name.partition(" ")[0], "--from", str(path), *further)
            print(f"| `gpuctl k8s {name}` | {seconds:.1f} s | {memory} MB | {PROMISED[name]} |")


if __name__ == "__main__":
    main()
