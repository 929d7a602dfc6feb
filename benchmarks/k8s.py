"""Times `gpuctl k8s` against an API server of its own that serves a made-up cluster, and reads its memory.

python benchmarks/k8s.py [--nodes N] [--pods N]

Pages come over TLS, packed by gzip, as those of a real server. --by kubectl leaves out the extra, and has kubectl ask.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from k8s_server import TOKEN, Certificates, Server, kubeconfig, lists_in, serving

Object = dict[str, Any]
NODE, POD = 25_000, 7_000
"""Bytes of an object, most of it in fields that nobody reads, as in a real cluster."""
HELD = 30
"""Of so many pods, one holds GPUs."""
WITHOUT_EXTRA = (
    "import sys; sys.modules.update(kubernetes=None, msgspec=None); from gpuctl.__main__ import main; main()"
)


def node(number: int) -> Object:
    """Returns a node; one in two has eight GPUs. Its images take most of it."""
    random = Random(number)  # noqa: S311  # the same cluster each time
    gpus = {"nvidia.com/gpu": "8"} if number % 2 else {}
    resources = {"cpu": "128", "ephemeral-storage": "3700Gi", "memory": "1Ti", "pods": "250", **gpus}
    labels = {"kubernetes.io/hostname": f"n{number}", "topology.kubernetes.io/zone": f"z{number % 3}"}
    if gpus:
        labels |= {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.count": "8"}
        labels |= {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.family": "hopper"}
        labels |= {
            f"feature.node.kubernetes.io/cpu-cpuid.{word}": "true" for word in ("AVX512F", "AMXTILE", "SHA", "VAES")
        }
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    made = {
        "metadata": {
            "name": f"n{number}",
            "uid": _hex(random, 32),
            "labels": labels,
            "annotations": {"a": _hex(random, 400)},
        },
        "spec": {"podCIDR": f"10.{number % 256}.0.0/24", "providerID": f"cloud:///{_hex(random, 16)}"},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [
                {
                    "type": kind,
                    "status": "True" if kind == "Ready" else "False",
                    "lastHeartbeatTime": "2026-11-29T15:00:00Z",
                    "lastTransitionTime": "2026-11-20T15:00:00Z",
                    "reason": f"KubeletHas{kind}",
                    "message": "kubelet is posting ready status",
                }
                for kind in kinds
            ],
            "nodeInfo": {"kubeletVersion": "v1.36.1", "kernelVersion": "6.8.0-60-generic", "bootID": _hex(random, 32)},
            "images": [],
        },
    }
    while len(json.dumps(made)) < NODE - 200:
        for _ in range(10):
            name = f"registry.example.com/team/app-{random.randrange(10**6)}"
            made["status"]["images"].append(
                {"names": [f"{name}@sha256:{_hex(random, 64)}", f"{name}:v1"], "sizeBytes": random.randrange(10**9)}
            )
    return made


def pod(number: int, of: int, on: int, plain: bool = False) -> Object:
    """Returns a pod; one in thirty holds two GPUs, unless all are `plain`, and the last waits for eight together."""
    random = Random(number)  # noqa: S311  # the same cluster each time
    waits, holds = number == of - 1 and not plain, number % HELD == 1 and not plain
    gpus = {"nvidia.com/gpu": "8" if waits else "2"} if waits or holds else {}
    app, place = f"app-{number % 400}", _place(number, on, holds)
    environment = [{"name": f"SETTING_{one}", "value": _hex(random, 24)} for one in range(16)]
    mount = {"name": f"kube-api-access-{_hex(random, 5)}", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    container = {
        "name": "main",
        "image": f"registry.example.com/team/{app}:v{number % 7}",
        "args": ["--serve", f"--port={8000 + number % 400}"],
        "env": environment,
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi", **gpus}, "limits": {"memory": "2Gi", **gpus}},
        "volumeMounts": [mount],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
    }
    proxy = {
        "name": "proxy",
        "image": "docker.io/istio/proxyv2:1.29.0",
        "env": environment[:8],
        "resources": {},
        "volumeMounts": [mount],
    }
    keys = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    since = f"2026-11-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:{number * 7 % 60:02}Z"
    made = {
        "metadata": {
            "name": f"{app}-{_hex(random, 10)}-{_hex(random, 5)}",
            "namespace": f"team-{number % 40}",
            "uid": _hex(random, 32),
            "creationTimestamp": since,
            "labels": {"app": app, "pod-template-hash": f"{number % 400:010x}", "version": f"v{number % 7}"},
            "annotations": {"checksum/config": _hex(random, 64), "prometheus.io/scrape": "true"},
            "ownerReferences": [
                {"kind": "ReplicaSet", "name": f"{app}-x", "uid": _hex(random, 32), "controller": True}
            ],
            "managedFields": [{"manager": "kubelet", "fieldsV1": _managed(random)}],
        },
        "spec": {
            **({} if waits else {"nodeName": f"n{place}"}),
            "containers": [container, proxy],
            "schedulerName": "default-scheduler",
            "priority": 0,
            "preemptionPolicy": "PreemptLowerPriority",
            "serviceAccountName": "default",
            "tolerations": [{"key": key, "operator": "Exists", "effect": "NoExecute"} for key in keys],
            "volumes": [{"name": mount["name"], "projected": {"sources": [{"serviceAccountToken": {}}]}}],
        },
        "status": {
            "phase": "Pending" if waits else "Running",
            "startTime": since,
            "podIP": f"10.{number % 256}.{number // 256 % 256}.7",
            "qosClass": "Burstable",
            "conditions": [
                {"type": one, "status": "True", "lastTransitionTime": since} for one in conditions if not waits
            ],
            "containerStatuses": [] if waits else [
                {
                    "name": name,
                    "ready": True,
                    "restartCount": 0,
                    "containerID": f"containerd://{_hex(random, 64)}",
                    "imageID": f"registry.example.com/team/{app}@sha256:{_hex(random, 64)}",
                    "state": {"running": {"startedAt": since}},
                }
                for name in ("main", "proxy")
            ],
        },
    }  # fmt: skip
    made["metadata"]["annotations"]["notes"] = "x" * max(0, POD - len(json.dumps(made)) - 12)
    return made


def _place(number: int, on: int, holds: bool) -> int:
    """The number of a pod's node: those that hold GPUs lie on the nodes that have some, alike on each."""
    return (number // HELD * 2 + 1) % on if holds else number % on


def _managed(random: Random) -> Object:
    fields = ("f:containerStatuses", "f:podIP", "f:podIPs", "f:startTime", "f:conditions", "f:hostIP", "f:phase")
    return {"f:status": {name: {".": {}, f'k:{{"type":"{_hex(random, 8)}"}}': {"f:status": {}}} for name in fields}}


def _hex(random: Random, letters: int) -> str:
    return f"{random.getrandbits(letters * 4):0{letters}x}"


class MadeUp(Server):
    """Serves a cluster that is made page by page as it is asked for."""

    def __init__(self, nodes: int, pods: int, plain: bool) -> None:
        super().__init__(lists_in(""))
        self.sizes = {"Node": nodes, "Pod": pods}
        self.plain = plain
        self.page_of = lru_cache(maxsize=None)(self._page)
        self.packed = lru_cache(maxsize=None)(super().packed)  # type: ignore[method-assign]

    def listed(self, kind: str, query: Mapping[str, str]) -> bytes | tuple[int, bytes]:
        """Returns a page, or what is chosen by a field."""
        selector = query.get("fieldSelector", "")
        if kind not in self.sizes or "=" in selector.replace("!=", ""):
            return self._chosen(kind, selector) if kind in self.sizes else super().listed(kind, query)
        return self.page_of(kind, int(query.get("continue") or 0))

    def _page(self, kind: str, begin: int) -> bytes:
        end = min(begin + 500, self.sizes[kind])
        more = {"continue": str(end)} if end < self.sizes[kind] else {}
        items = [self._made(kind, number) for number in range(begin, end)]
        return json.dumps({"kind": f"{kind}List", "apiVersion": "v1", "metadata": more, "items": items}).encode()

    def _chosen(self, kind: str, selector: str) -> bytes:
        value = selector.partition("=")[2].partition(",")[0]
        numbers = [int(value[1:])] if kind == "Node" else range(self.sizes["Pod"]) if value else [self.sizes["Pod"] - 1]
        made = (
            self._made(kind, number) for number in numbers if kind == "Node" or not value or self._on(number) == value
        )
        return json.dumps({"kind": f"{kind}List", "metadata": {}, "items": list(made)}).encode()

    def _on(self, number: int) -> str:
        nodes = self.sizes["Node"]
        return f"n{_place(number, nodes, number % HELD == 1 and not self.plain)}"

    def _made(self, kind: str, number: int) -> Object:
        return node(number) if kind == "Node" else pod(number, self.sizes["Pod"], self.sizes["Node"], self.plain)


def cost(environment: Mapping[str, str], *argv: str) -> tuple[float, int]:
    """Returns the processor time of a command in seconds and its peak memory in MB."""
    code = (
        "import json, resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss])); sys.exit(done.returncode > 1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    seconds, kilobytes = json.loads(done.stdout)
    return seconds, kilobytes * 1024 // 1_000_000


def asked(server: MadeUp, environment: Mapping[str, str], program: list[str], *argv: str) -> str:
    """Returns the cells of a row for a command, run twice: the server makes its pages in the first."""
    runs = []
    for _ in range(2):
        server.asked.clear()
        runs.append(cost(environment, *program, "k8s", *argv))
    return f"{len(server.asked)} | {runs[-1][0]:.1f} s | {runs[-1][1]} MB"


def measured(
    nodes: int, pods: int, plain: bool, program: list[str], rows: Callable[[MadeUp, Mapping[str, str]], None]
) -> None:
    """Serves a cluster, and has rows printed of it."""
    with tempfile.TemporaryDirectory() as folder:
        certificates = Certificates(Path(folder) / "certificates")
        server = MadeUp(nodes, pods, plain)
        with serving(server, certificates) as address:
            cluster = {"server": address, "certificate-authority": certificates.path("ca.crt")}
            path = kubeconfig(Path(folder) / "config", cluster, {"token": TOKEN})
            rows(server, {**os.environ, "KUBECONFIG": str(path), "TMPDIR": folder})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=1_000, help="nodes of the cluster (default: %(default)s)")
    parser.add_argument("--pods", type=int, default=30_000, help="pods of the cluster (default: %(default)s)")
    parser.add_argument("--by", choices=("client", "kubectl"), default="client", help="who asks (default: %(default)s)")
    given = parser.parse_args()
    program = [sys.executable, *(("-m", "gpuctl") if given.by == "client" else ("-c", WITHOUT_EXTRA))]
    print("| command | requests | processor time | memory | promised |\n| --- | --- | --- | --- | --- |")

    def rows(server: MadeUp, environment: Mapping[str, str]) -> None:
        last = server._made("Pod", given.pods - 1)["metadata"]
        commands = {
            "doctor": (("doctor",), "70 requests, 3 s, 130 MB"),
            "doctor --node": (("doctor", "--node", "n1"), "10 requests, 1 s"),
            "why": (("why", "-n", last["namespace"], last["name"]), "4 s"),
        }
        for name, (argv, promised) in commands.items():
            print(f"| `gpuctl k8s {name}` | {asked(server, environment, program, *argv)} | {promised} |", flush=True)
        file = Path(environment["TMPDIR"]) / "cluster.gz"
        cells = asked(server, environment, program, "collect", "-o", str(file))
        print(f"| `gpuctl k8s collect`: {file.stat().st_size / 1e6:.1f} MB | {cells} | 5 MB |", flush=True)
        seconds, memory = cost(environment, *program, "k8s", "doctor", "--from", str(file))
        print(f"| `gpuctl k8s doctor --from` that | 0 | {seconds:.1f} s | {memory} MB | |", flush=True)

    measured(given.nodes, given.pods, False, program, rows)
    for pods in (10_000, 100_000):

        def row(server: MadeUp, environment: Mapping[str, str], pods: int = pods) -> None:
            cells = asked(server, environment, program, "doctor")
            print(f"| `gpuctl k8s doctor`, {pods:,} pods without GPUs | {cells} | flat |", flush=True)

        measured(given.nodes, pods, True, program, row)


if __name__ == "__main__":
    main()
