"""A smoke pod: which nodes get one, what it is made of, and what its container's words mean.

It asks for one GPU and has the rights of Pod Security's strictest level:
https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any

from gpuctl.compat.knowledge.gpus.gpus import gpu_described
from gpuctl.compat.knowledge.images import newest_base_images
from gpuctl.frozen import dataclass
from gpuctl.k8s.gpu_nodes import capability, driver, has_gpus, product
from gpuctl.k8s.objects import ClusterNode
from gpuctl.k8s.plugin import excluded, is_plugin
from gpuctl.k8s.requests import gpus_in
from gpuctl.k8s.scene import Scene
from gpuctl.k8s.selectors import UNSCHEDULABLE
from gpuctl.smoke.compare import QUERY
from gpuctl.smoke.container import program_code
from gpuctl.smoke.deep import Program, program_for

LABEL = "gpuctl.dev/smoke"
CONTAINER = "smoke"
_USER = 65532
"""Not root, as the strictest level of Pod Security wants it; `nobody` of images that have no such user."""
_ASSIGNED = "gpuctl-assigned="
_ID = re.compile(r"(?:GPU|MIG)-[0-9a-fA-F-]{8,64}(?:/\d{1,3}/\d{1,3})?")
_SHARE = re.compile(r"::\d{1,4}$")
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
_PLACE = "/gpuctl-smoke"
_SMI = f'echo "{_ASSIGNED}$NVIDIA_VISIBLE_DEVICES"; nvidia-smi -L; exec nvidia-smi {" ".join(QUERY)}'
_DEEP = (
    f'echo "{_ASSIGNED}$NVIDIA_VISIBLE_DEVICES"; printf %s "$1" | base64 -d > {_PLACE}/smoke;'
    f' shift; loader=$1; shift; exec "$loader" {_PLACE}/smoke "$@"'
)


class NoSmokePod(ValueError):
    """No pod can be made for a node; the message is a sentence."""


@dataclass(frozen=True)
class SmokePod:
    """A pod for a node: its name, what it asks for, and its manifest."""

    node: str
    name: str
    resource: str
    image: str
    deep: bool
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class PodWish:
    """What is asked of each pod: an image or None, whether CUDA is tested, where, under which label, for how long."""

    image: str | None
    deep: bool
    namespace: str
    run: str
    seconds: int


def smoke_pod(node: ClusterNode, scene: Scene, wish: PodWish, number: int) -> SmokePod:
    """Returns the pod for a node. Raises NoSmokePod where nothing there is to be asked for, or no image is known."""
    offered = [name for name, count in gpus_in(node.allocatable).items() if count]
    resource = max(offered, key=lambda name: scene.free(node, name), default=None)
    if resource is None:
        look = f"`gpuctl k8s doctor --node {node.name}` says why" if has_gpus(node, scene) else "it has none"
        raise NoSmokePod(f"{node.name} offers no GPU by a device plugin: {look}.")
    image = wish.image or _image(node)
    name = f"gpuctl-smoke-{wish.run}-{number}"
    program = _program(node, wish.seconds) if wish.deep else None
    manifest = _manifest(node, scene, wish, name, resource, image, program)
    return SmokePod(node.name, name, resource, image, wish.deep, manifest)


def _image(node: ClusterNode) -> str:
    version, name, compute = driver(node), product(node), capability(node)
    try:
        gpus = [gpu_described(name.replace("-", " "), compute)] if version else []
        known = next(newest_base_images(version or "", gpus), None)
    except ValueError:  # labels that somebody wrote by hand
        known = None
    if known is None:
        raise NoSmokePod(f"The labels of {node.name} do not tell which image its driver runs: name one with --image.")
    return known


def _program(node: ClusterNode, seconds: int) -> Program:
    architecture = node.labels.get("kubernetes.io/arch", "amd64")
    program = program_for(_ARCHITECTURES.get(architecture, ""), seconds)
    if program is None:
        raise NoSmokePod(f"gpuctl has no program for the processors of {node.name} ({architecture}).")
    return program


def _manifest(
    node: ClusterNode,
    scene: Scene,
    wish: PodWish,
    name: str,
    resource: str,
    image: str,
    program: Program | None,
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": image,
        "command": ["/bin/sh", "-c", _DEEP if program else _SMI],
        "env": [{"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "compute,utility"}],
        "resources": {"limits": {resource: "1"}, "requests": {resource: "1"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    spec: dict[str, Any] = {
        "activeDeadlineSeconds": wish.seconds,
        "affinity": {"nodeAffinity": _only(node)},
        "automountServiceAccountToken": False,
        "containers": [container],
        "preemptionPolicy": "Never",
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "tolerations": [*map(_tolerated, node.taints), *([_tolerated(UNSCHEDULABLE)] if node.cordoned else [])],
    }
    if program:
        code = base64.b64encode(program_code(program)).decode()
        container["args"] = ["smoke", code, program.loader, str(program.seconds)]
        container["volumeMounts"] = [{"name": "program", "mountPath": _PLACE}]
        spec["volumes"] = [{"name": "program", "emptyDir": {"sizeLimit": "1Mi"}}]
    runtime = _runtime_class(node, scene)
    if runtime:
        spec["runtimeClassName"] = runtime
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": wish.namespace, "labels": {LABEL: wish.run}},
        "spec": spec,
    }


def _only(node: ClusterNode) -> dict[str, Any]:
    """By the scheduler, and not past it: a pod that names its node is refused where no GPU is free."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node.name]}]}
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}


def _tolerated(taint: Any) -> dict[str, str]:
    return {"key": taint.key, "operator": "Exists", "effect": taint.effect}


def _runtime_class(node: ClusterNode, scene: Scene) -> str:
    """The class under which the device plugin itself runs there: where that takes one, so does whoever uses a GPU."""
    there = {one.name for one in scene.cluster.runtime_classes}
    sets = (one for one in scene.cluster.daemon_sets if is_plugin(one) and not excluded(one, node))
    return next((one.runtime_class for one in sets if one.runtime_class in there), "")


@dataclass(frozen=True)
class PodWords:
    """What a smoke container printed: the devices that it was assigned, as far as it knows, those that it saw, and all.

    `assigned` is empty where they are given in another way than by a variable.
    """

    assigned: tuple[str, ...]
    seen: tuple[str, ...]
    text: str


def read_words(log: str) -> PodWords:
    """Returns what a container of nvidia-smi's printed; of GPUs in parts it sees the parts.

    gpuctl-assigned=GPU-5a1c3e6b-…
    GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5a1c3e6b-…)
      MIG 1g.5gb      Device  0: (UUID: MIG-0b2f6e0c-…)
    GPU-5a1c3e6b-…, 550.90.07, NVIDIA A100-SXM4-40GB
    """
    first, _, rest = log.partition("\n")
    assigned = _ID.findall(first) if first.startswith(_ASSIGNED) else []
    lines = rest.splitlines()
    parts = [id for line in lines if "UUID: MIG-" in line for id in _ID.findall(line)]
    whole = [id for line in lines if line.startswith("GPU-") for id in _ID.findall(line)[:1]]
    return PodWords(tuple(dict.fromkeys(assigned)), tuple(dict.fromkeys(parts or whole)), log)


def devices(ids: Iterable[str]) -> tuple[str, ...]:
    """Returns those that name a GPU or a part of one, without the number of a share: GKE calls its devices nvidia0."""
    return tuple(dict.fromkeys(plain for one in ids if _ID.fullmatch(plain := _SHARE.sub("", one))))


def difference(assigned: Iterable[str], seen: Iterable[str]) -> str | None:
    """Returns in a sentence how what was seen differs from what was assigned, None where it does not.

    Where nobody tells which was assigned, it has to be one.
    """
    wanted, there = set(assigned), set(seen)
    if not there:
        return "The container saw no GPU."
    if not wanted:
        return None if len(there) == 1 else f"The container saw {len(there)} GPUs, and was assigned 1."
    more, less = sorted(there - wanted), sorted(wanted - there)
    if more:
        return f"The container saw {', '.join(more[:3])}, which it was not assigned."
    return f"The container was assigned {', '.join(less)}, and did not see it." if less else None
