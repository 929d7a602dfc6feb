"""Which nodes have GPUs, and what each of them says of itself by its labels.

Sources: https://github.com/NVIDIA/k8s-device-plugin/tree/main/docs/gpu-feature-discovery (labels nvidia.com/…),
https://kubernetes-sigs.github.io/node-feature-discovery (feature.node.kubernetes.io/…)
"""

from __future__ import annotations

from itertools import pairwise

from gpuctl.frozen import dataclass
from gpuctl.k8s.host_reports import HostReport
from gpuctl.k8s.objects import ClusterNode, Taint
from gpuctl.k8s.quantity import amount
from gpuctl.k8s.requests import gpus_in, is_foreign, is_gpu
from gpuctl.k8s.scene import Scene

PCI = "feature.node.kubernetes.io/pci-10de.present"
PCI_WITH_CLASS = (
    "feature.node.kubernetes.io/pci-0302_10de.present",
    "feature.node.kubernetes.io/pci-0300_10de.present",
)
ACCELERATORS = ("cloud.google.com/gke-accelerator", "k8s.amazonaws.com/accelerator", "kubernetes.azure.com/accelerator")
"""Labels with which clouds say which accelerator a node has been made with."""
WORKLOAD = "nvidia.com/gpu.workload.config"
UNKNOWN = "?"


def labelled(node: ClusterNode) -> bool:
    """Returns whether the node's labels say that it has GPUs of NVIDIA's."""
    flags = ("nvidia.com/gpu.present", PCI, *PCI_WITH_CLASS)
    made_with = any(node.labels.get(name, "").startswith("nvidia") for name in ACCELERATORS)
    return made_with or any(node.labels.get(name) == "true" for name in flags) or bool(count_label(node))


def given_to_machines(node: ClusterNode) -> str:
    """Returns the label by which the operator gives a node's GPUs to virtual machines, "" where it does not.

    Source: https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/gpu-operator-kubevirt.html
    """
    use = node.labels.get(WORKLOAD, "")
    return f"{WORKLOAD}={use}" if use.startswith("vm-") else ""


def offers_expected(node: ClusterNode) -> bool:
    """Returns whether a node has GPUs by its labels, and they are meant for containers."""
    return labelled(node) and not given_to_machines(node)


def offers(node: ClusterNode, scene: Scene) -> bool:
    """Returns whether a node has a GPU to give, by its own count or to claims."""
    return bool(scene.devices.get(node.name)) or any(gpus_in(node.allocatable).values())


def has_gpus(node: ClusterNode, scene: Scene) -> bool:
    """Returns whether a node has GPUs: by its labels, its resources or what a DRA driver offers there."""
    return labelled(node) or any(is_gpu(one) for one in node.capacity) or bool(scene.devices.get(node.name))


def count_label(node: ClusterNode) -> int | None:
    """Returns how many GPUs GFD found on a node by NVML; None where it does not say."""
    text = node.labels.get("nvidia.com/gpu.count", "")
    return int(text) if text.isdecimal() and len(text) < 6 else None


def replicas_label(node: ClusterNode) -> int:
    """Returns into how many each GPU is shared; 1: it is not."""
    text = node.labels.get("nvidia.com/gpu.replicas", "")
    return int(text) if text.isdecimal() and 0 < len(text) < 6 and int(text) else 1


def product(node: ClusterNode) -> str:
    """Returns the GPUs' name as GFD or the cloud has it, without what is put behind it for shared and divided ones."""
    return _product_label(node).removesuffix("-SHARED").partition("-MIG-")[0]


def _product_label(node: ClusterNode) -> str:
    names = ("nvidia.com/gpu.product", *ACCELERATORS)
    return next((node.labels[name] for name in names if node.labels.get(name)), "")


def driver(node: ClusterNode) -> str | None:
    """Returns the driver's version by GFD's labels: whole from 0.14 on, in parts before."""
    whole = node.labels.get("nvidia.com/cuda.driver-version.full")
    if whole:
        return whole
    names = ("major", "minor", "rev", "revision")
    for prefix in ("nvidia.com/cuda.driver-version.", "nvidia.com/cuda.driver."):
        parts = [node.labels[prefix + name] for name in names if node.labels.get(prefix + name)]
        if parts:
            return ".".join(parts)
    return None


def capability(node: ClusterNode) -> str:
    """Returns the compute capability by GFD's labels, "" where these do not say."""
    major, minor = (node.labels.get(f"nvidia.com/gpu.compute.{name}", "") for name in ("major", "minor"))
    return f"{major}.{minor}" if major and minor else ""


@dataclass(frozen=True)
class Link:
    """One link from the bus to the scheduler, and how many GPUs are left there; "?": the API cannot tell."""

    name: str
    number: str


def chain(node: ClusterNode, scene: Scene, report: HostReport | None = None) -> tuple[Link, ...]:
    """Returns how many GPUs of a node there are at each link, all names of them together.

    The first two, and how many its kubelet has as healthy, the node's own report tells; without one, GFD's label tells
    what it found by NVML.
    """
    capacity, allocatable = gpus_in(node.capacity), gpus_in(node.allocatable)
    names = {*capacity, *allocatable}
    requested = {name: scene.requested.get(node.name, {}).get(name, 0) for name in names}
    free = sum(max(allocatable.get(name, 0) - requested[name], 0) for name in names)
    healthy = [Link("healthy", str(report.healthy))] if report and report.healthy is not None else []
    return (
        Link("on the bus", _shown(report.on_bus if report else None)),
        Link("in NVML", _shown(in_nvml(node, report))),
        Link("registered", amount("", sum(capacity.values()))),
        *healthy,
        Link("allocatable", amount("", sum(allocatable.values()))),
        Link("requested", amount("", sum(requested.values()))),
        Link("free", amount("", free)),
    )


def in_nvml(node: ClusterNode, report: HostReport | None) -> int | None:
    """Returns how many GPUs NVML has: by the node's own report, else by GFD's label; None where neither tells."""
    return count_label(node) if report is None or report.in_nvml is None else report.in_nvml


def _shown(number: int | None) -> str:
    return UNKNOWN if number is None else str(number)


def dropped(node: ClusterNode, links: tuple[Link, ...]) -> str:
    """Returns the first link at which the number drops, "" where it does nowhere or that cannot be told.

    Parts of GPUs and shared ones are not as many as GPUs: with those only the first two links are compared.
    """
    whole = set(gpus_in(node.capacity)) <= {"nvidia.com/gpu"} and replicas_label(node) == 1
    last = [link.name for link in links].index("allocatable" if whole else "in NVML")
    known = [(link.name, float(link.number)) for link in links[: last + 1] if link.number != UNKNOWN]
    for (before, most), (name, number) in pairwise(known):
        if number < most:
            return f"{most:g} {before}, {number:g} {name}"
    return ""


@dataclass(frozen=True)
class NodeClass:
    """Nodes that are equal in what is judged: what they are, their names, and their GPUs all together.

    `resources` are (name, capacity, allocatable) of each node, `devices` what all of them offer to claims.
    `foreign` are names of others' that may be GPUs: they are listed, and not judged.
    """

    product: str
    driver: str | None
    resources: tuple[tuple[str, str, str], ...]
    ready: bool
    cordoned: bool
    taints: tuple[Taint, ...]
    nodes: tuple[str, ...]
    requested: str
    free: str
    devices: int
    free_devices: int
    foreign: tuple[str, ...]


def classes(nodes: tuple[ClusterNode, ...], scene: Scene) -> tuple[NodeClass, ...]:
    """Returns the classes of the nodes that have GPUs, the largest first."""
    by_kind: dict[tuple[object, ...], list[ClusterNode]] = {}
    for node in nodes:
        if has_gpus(node, scene):
            by_kind.setdefault(_kind(node), []).append(node)
    return tuple(_class(group, scene) for group in sorted(by_kind.values(), key=lambda group: -len(group)))


def _resources(node: ClusterNode) -> tuple[tuple[str, str, str], ...]:
    names = sorted({*gpus_in(node.capacity), *gpus_in(node.allocatable)})
    return tuple(
        (name, amount(name, node.capacity.get(name, 0)), amount(name, node.allocatable.get(name, 0))) for name in names
    )


def _kind(node: ClusterNode) -> tuple[object, ...]:
    ready = node.ready == "True"
    others = tuple(filter(is_foreign, node.capacity))
    return _product_label(node), driver(node), _resources(node), ready, node.cordoned, node.taints, others


def _class(group: list[ClusterNode], scene: Scene) -> NodeClass:
    first = group[0]
    last = [chain(node, scene)[-2:] for node in group]
    requested, free = (sum(float(links[place].number) for links in last) for place in (0, 1))
    return NodeClass(
        _product_label(first),
        driver(first),
        _resources(first),
        first.ready == "True",
        first.cordoned,
        first.taints,
        tuple(node.name for node in group),
        f"{requested:g}",
        f"{free:g}",
        sum(len(scene.devices.get(node.name, ())) for node in group),
        sum(scene.free_devices(node) for node in group),
        tuple(filter(is_foreign, first.capacity)),
    )


def chosen_nodes(scene: Scene, node: str | None, every: bool) -> tuple[ClusterNode, ...]:
    """Returns the nodes that get a pod: the one that is named, all with GPUs, or one of each class of equal nodes."""
    nodes = tuple(one for one in scene.cluster.nodes if has_gpus(one, scene))
    if node is not None:
        return tuple(one for one in scene.cluster.nodes if one.name == node)
    if every:
        return nodes
    by_name = {one.name: one for one in nodes}
    return tuple(
        max((by_name[name] for name in kind.nodes), key=lambda one: _most_free(one, scene))
        for kind in classes(nodes, scene)
    )


def _most_free(node: ClusterNode, scene: Scene) -> int:
    return max((scene.free(node, name) for name in gpus_in(node.allocatable)), default=0)
