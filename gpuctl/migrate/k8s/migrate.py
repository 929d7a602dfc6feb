"""Kubernetes manifests, rewritten."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from gpuctl.compat.knowledge.driver_parts import ALL_CAPABILITIES, PartKind, gpu_of
from gpuctl.engines.yaml.places import YamlKind, YamlNode, walk
from gpuctl.frozen import dataclass
from gpuctl.migrate.by_hand import LIBRARY_FOLDERS, PATHS, WHY_ALL, wider, without_driver
from gpuctl.migrate.draft import Draft, FileText, naming
from gpuctl.migrate.gpus import NO_GPU, parse_visible
from gpuctl.migrate.k8s.amounts import NEW, OLD, add_limit, amounts, rewrite_amounts
from gpuctl.migrate.k8s.pods import PodMount, PodTemplate, check_documents, is_driver, mounts, pods
from gpuctl.migrate.migration import ALL, Migration
from gpuctl.migrate.survey import CAPABILITIES, VISIBLE
from gpuctl.migrate.tree import Place
from gpuctl.migrate.wsl import DEVICE, KEEP_UNSURE

_OLD_LABEL = "alpha.kubernetes.io/nvidia-gpu-name"
_NVIDIA = "nvidia.com/"
"""What the names of all resources of NVIDIA's device plugin begin with: GPUs, shared ones, MIG devices."""
_BOUNDS = (
    ((f"requests.{OLD}",), f"requests.{NEW}"),
    *(((key, OLD), NEW) for key in ("max", "min", "default", "defaultRequest")),
)
"""Where a ResourceQuota and a LimitRange name the resource, and what they are to call it."""
_WHY_DRIVER = "the toolkit brings the driver of the node; one that is mounted by hand fits one version"
_WHY_VOLUME = "no container mounts it any more"
_WHY_LIBRARIES = "it led to the driver that was mounted by hand"
_WHY_PRIVILEGED = "it was there for the GPUs: nothing else in this container asks for it"
_WHY_DEVICES = "as many GPUs as device files were mounted; which ones, Kubernetes chooses"
_WHY_NAMED = "as many GPUs as it names; which ones, Kubernetes chooses"
_WHY_PLUGIN = "the device plugin names the GPUs that the limit stands for"
_WHY_CAPABILITIES = "what was mounted shows which capabilities of the driver it needs"
_WHY_CLASS = "its containers ask for GPUs"
_WHY_QUOTA = "the resource that containers ask for now"
_KEEP_NUMBER = (
    "it asks for no number of GPUs: give it a limit of nvidia.com/gpu, unless it serves the node's GPUs itself"
)
_KEEP_PAST = (
    "it gives the container GPUs past the device plugin, and the scheduler counts none of them: give it a limit of"
    f" {NEW} in its place, unless it watches the node's GPUs itself"
)
_KEEP_FOLDER = "it is a folder of all libraries: if only the driver was meant, take it away"
_KEEP_PRIVILEGED = "GPUs that the device plugin gives do not need it: what it is for, gpuctl cannot tell"
_KEEP_LABEL = "nodes have no such label any more; nvidia.com/gpu.product is GPU feature discovery's"
_KEEP_WATCHED = (
    "it watches the node's GPUs, and a limit would take them from other pods: runtimeClassName: nvidia and"
    " NVIDIA_VISIBLE_DEVICES=all show them without"
)
_GONE = {
    **dict.fromkeys(("extensions/v1beta1", "apps/v1beta1", "apps/v1beta2"), ("1.16", "apps/v1")),
    "batch/v2alpha1": ("1.21", "batch/v1"),
    "batch/v1beta1": ("1.25", "batch/v1"),
}
"""Versions of workloads that Kubernetes no longer serves, since when, and what it serves instead
(https://kubernetes.io/docs/reference/using-api/deprecation-guide/, https://github.com/kubernetes/kubernetes/pull/96987)."""
_WATCHES = re.compile(r"(?:^|[/_-])dcgm(?:[:_-]|$)|exporter(?:[:@]|$)")
"""What images are called that only watch GPUs: dcgm-exporter, nvidia_gpu_prometheus_exporter."""
_NODE_FOLDERS = re.compile(r"/(?:dev|sys|proc|run|var/run|var/lib/docker|lib/modules|etc)?(?:/.*)?")


def migrated(read: FileText, runtime_class: str | None = None) -> Migration:
    """Returns a file of manifests with GPUs asked for by limits of nvidia.com/gpu. Raises NotAccepted.

    `runtime_class` is the runtimeClassName of pods that ask for GPUs and have none, None to leave that open.
    """
    with naming(read.path):
        return _migrated(read, runtime_class)


def _migrated(read: FileText, runtime_class: str | None) -> Migration:
    draft = Draft(read)
    check_documents(draft)
    for root in read.documents:
        in_pods: set[int] = set()
        named: list[_Visible] = []
        for pod in pods(draft.tree, root):
            in_pods |= {id(container) for container in pod.containers}
            named += _rewrite_pod(draft, pod, runtime_class)
        _rewrite_visible(draft, named)
        _rewrite_others(draft, root, in_pods)
        _name_old_versions(draft, root)
    return draft.migration()


def _rewrite_pod(draft: Draft, pod: PodTemplate, runtime_class: str | None) -> list[_Visible]:
    """Rewrites a pod but for what its containers' variables say of GPUs, which it returns."""
    named = [_visible(draft, container) for container in pod.containers]
    _name_gpus_of_wsl(draft, pod)
    if pod.is_of_nodes:
        return [replace(one, needs=True) for one in named if one]
    mounted = {id(container): tuple(mounts(draft.tree, pod, container)) for container in pod.containers}
    by_hand = [mount for each in mounted.values() for mount in each if mount.part]
    watched = [mount for container in pod.containers if _watches(draft, container) for mount in mounted[id(container)]]
    seen = next((mount for mount in watched if mount.part and gpu_of(mount.source)), None)
    if seen:
        draft.leave(seen.place.written, _KEEP_WATCHED)
        return [replace(one, needs=True) for one in named if one]
    asking = [
        _asks(draft, container, mounted[id(container)], visible)
        for container, visible in zip(pod.containers, named, strict=True)
    ]
    visible = [replace(one, asks=asks) for one, asks in zip(named, asking, strict=True) if one]
    undecided = [
        mount
        for container, asks in zip(pod.containers, asking, strict=True)
        for mount in mounted[id(container)]
        if mount.part and not asks
    ]
    if undecided:  # what one container keeps of the driver, the others may need as well
        draft.leave(undecided[0].place.written, _KEEP_NUMBER)
    else:
        for container in pod.containers:
            _without_driver(draft, pod, container, mounted[id(container)])
    kept = {mount.volume for each in mounted.values() for mount in each if not draft.is_removed(mount.place)}
    gone = {mount.volume for mount in by_hand} - kept
    for volume in pod.volumes:
        unused = any(asking) and not undecided and is_driver(volume) and volume.name not in kept
        if volume.name in gone or unused:
            draft.remove(volume.place, _WHY_VOLUME)
    if not any(asking):
        return visible
    label = draft.tree.field(pod.spec, "nodeSelector", _OLD_LABEL)
    if label:
        draft.leave(label.written, _KEEP_LABEL, _OLD_LABEL)
    if runtime_class and pod.is_whole and not draft.tree.field(pod.spec, "runtimeClassName"):
        draft.add(pod.spec, "runtimeClassName", runtime_class, _WHY_CLASS)
    return visible


def _name_gpus_of_wsl(draft: Draft, pod: PodTemplate) -> None:
    """Says of WSL's device that it is no number of GPUs, unless a container that mounts it asks for some."""
    for container in pod.containers:
        resources = draft.tree.field(container, "resources")
        if resources and amounts(draft, resources.value).first:
            continue
        for mount in mounts(draft.tree, pod, container):
            if mount.source == DEVICE:
                draft.leave(mount.place.written, KEEP_UNSURE)


def _watches(draft: Draft, container: YamlNode) -> bool:
    """Whether a container is one that watches a node's GPUs, of which a limit would take them from others."""
    image = draft.tree.field(container, "image")
    resources = draft.tree.field(container, "resources")
    said = amounts(draft, resources.value) if resources else None
    return bool(image and _WATCHES.search(image.text)) and not (said and said.first)


def _asks(draft: Draft, container: YamlNode, mounted: Sequence[PodMount], visible: _Visible | None) -> bool:
    """Has a container ask for its GPUs by a limit. Returns whether it does then."""
    devices = {gpu for mount in mounted if mount.part and (gpu := gpu_of(mount.source))}
    resources = draft.tree.field(container, "resources")
    said = amounts(draft, resources.value) if resources else None
    if resources and said and said.first:
        privileged = _privileged(draft, container)
        if privileged and (said.old_limit or said.old_request) and not any(mount.part for mount in mounted):
            draft.leave(privileged.written, _KEEP_PRIVILEGED, "privileged: true")
        return rewrite_amounts(draft, resources.value, said)
    if devices:
        add_limit(draft, container, len(devices), _WHY_DEVICES)
        return True
    return _asks_by_name(draft, container, visible)


@dataclass(frozen=True)
class _Visible:
    """NVIDIA_VISIBLE_DEVICES of a container: its item, and its value, "" for one that comes from elsewhere.

    `asks`: the container asks for GPUs beside it. `needs`: it serves the node's GPUs.
    """

    item: Place
    value: str
    asks: bool = False
    needs: bool = False


def _rewrite_visible(draft: Draft, named: Sequence[_Visible]) -> None:
    """Takes the variable away where a limit stands for it, in all containers that have it: an alias may share it."""
    stay = {_place(one) for one in named if one.needs or not (one.asks and one.value)}
    for one in named:
        if one.needs or (one.value and one.value in NO_GPU):
            continue
        if _place(one) not in stay:
            draft.remove(one.item, _WHY_PLUGIN)
        elif not one.asks or not one.value:
            draft.leave(one.item.written, _KEEP_PAST, f"{VISIBLE}: {one.value or 'a value from elsewhere'}")


def _place(one: _Visible) -> tuple[int, int]:
    return id(one.item.holder), one.item.index


def _visible(draft: Draft, container: YamlNode) -> _Visible | None:
    """What a container's variable says, None where there is none, or it is empty, which gives nothing."""
    for item in draft.tree.entries(draft.tree.field(container, "env")):
        name, value = (draft.tree.field(item.value, key) for key in ("name", "value"))
        if name and name.text == VISIBLE:
            if draft.tree.field(item.value, "valueFrom") or (value and "$(" in value.text):
                return _Visible(item, "")
            return _Visible(item, value.text) if value and value.text else None
    return None


def _asks_by_name(draft: Draft, container: YamlNode, visible: _Visible | None) -> bool:
    """Has a container whose variable names GPUs one by one ask for so many. Returns whether it asks for any."""
    limits = draft.tree.field(container, "resources", "limits")
    if limits and any(key.startswith(_NVIDIA) for key in draft.tree.fields(limits.value)):
        return visible is not None
    gpus = parse_visible(visible.value) if visible else None
    if gpus is None or gpus.ids == (ALL,) or any(one.startswith("MIG-") or ":" in one for one in gpus.ids):
        return False
    add_limit(draft, container, len(set(gpus.ids)), _WHY_NAMED)
    return True


def _without_driver(draft: Draft, pod: PodTemplate, container: YamlNode, mounted: Sequence[PodMount]) -> None:
    """Takes away what of the driver is mounted into a container, and what only served that."""
    driver = [mount for mount in mounted if mount.part]
    for mount in driver:
        draft.remove(mount.place, _WHY_DRIVER)
    if driver:
        for mount in mounted:
            if mount.source.rstrip("/") in LIBRARY_FOLDERS and not mount.part:
                draft.leave(mount.place.written, _KEEP_FOLDER)
        _rewrite_libraries(draft, container, driver)
        _rewrite_capabilities(draft, container, driver)
        _rewrite_privileged(draft, pod, container, mounted)


def _rewrite_libraries(draft: Draft, container: YamlNode, driver: Sequence[PodMount]) -> None:
    targets = tuple(mount.target for mount in driver if mount.part and mount.part.kind is not PartKind.DEVICE)
    for item in draft.tree.entries(draft.tree.field(container, "env")):
        name, value = (draft.tree.field(item.value, key) for key in ("name", "value"))
        if name is None or value is None or name.text not in PATHS:
            continue
        search = without_driver(value.text, targets)
        if search.folders and "$(" in value.text:
            draft.leave(value.written, "its value comes from a variable")
        elif search.folders and search.rest is None:
            draft.remove(item, _WHY_LIBRARIES)
        elif search.folders:
            draft.replace(value, "value", search.rest, _WHY_LIBRARIES)


def _rewrite_capabilities(draft: Draft, container: YamlNode, driver: Sequence[PodMount]) -> None:
    """Has a container name the capabilities of the driver that mounted parts show."""
    env = draft.tree.field(container, "env")
    said: Place | None = None
    for item in draft.tree.entries(env):
        name = draft.tree.field(item.value, "name")
        if name and name.text == CAPABILITIES:
            said = draft.tree.field(item.value, "value")
            if said is None:  # it comes from elsewhere
                return
    parts = frozenset(mount.part.capability for mount in driver if mount.part and mount.part.capability)
    words = ",".join(wider(parts, said.text if said else ""))
    if not words:
        return
    why = WHY_ALL if words == ALL_CAPABILITIES else _WHY_CAPABILITIES
    variable = {"name": CAPABILITIES, "value": words}
    if said:
        draft.replace(said, "value", words, why)
    elif env and env.value.kind is YamlKind.SEQUENCE:
        draft.add(env.value, None, variable, why)
    elif env:
        draft.replace(env, "env", [variable], why)
    else:
        draft.add(container, "env", [variable], why)


def _rewrite_privileged(draft: Draft, pod: PodTemplate, container: YamlNode, mounted: Sequence[PodMount]) -> None:
    place = _privileged(draft, container)
    if place is None:
        return
    tree = draft.tree
    needs = [key for key in ("hostPID", "hostIPC", "hostNetwork") if _is_true(tree.field(pod.spec, key))]
    needs += ["capabilities"] if tree.field(container, "securityContext", "capabilities", "add") else []
    needs += ["volumeDevices"] if tree.field(container, "volumeDevices") else []
    needs += [one.source for one in mounted if not one.part and _NODE_FOLDERS.fullmatch(one.source)]
    if needs:
        draft.leave(place.written, f"{', '.join(needs)} may need it; GPUs do not", "privileged: true")
    else:
        draft.remove(place, _WHY_PRIVILEGED)


def _privileged(draft: Draft, container: YamlNode) -> Place | None:
    place = draft.tree.field(container, "securityContext", "privileged")
    return place if _is_true(place) else None


def _is_true(place: Place | None) -> bool:
    return place is not None and place.text.lower() == "true"


def _name_old_versions(draft: Draft, root: YamlNode) -> None:
    """Names the versions of workloads with GPUs that no cluster of today takes; to rewrite them is not gpuctl's."""
    for node in walk(root):
        version = draft.tree.field(node, "apiVersion") if node.kind is YamlKind.MAPPING else None
        if version and version.text in _GONE and any(_is_for_gpus(draft, pod) for pod in pods(draft.tree, node)):
            since, instead = _GONE[version.text]
            why = (
                f"Kubernetes {since} took this version away, and {instead} has the workload: kubectl-convert writes it"
            )
            draft.leave(version.written, why, f"apiVersion: {version.text}")


def _is_for_gpus(draft: Draft, pod: PodTemplate) -> bool:
    for container in pod.containers:
        resources = draft.tree.field(container, "resources")
        if _visible(draft, container) or any(mount.part for mount in mounts(draft.tree, pod, container)):
            return True
        if resources and amounts(draft, resources.value).first:
            return True
    return False


def _rewrite_others(draft: Draft, root: YamlNode, in_pods: set[int]) -> None:
    """Amounts that stand outside a pod's containers: in custom resources, quotas and ranges."""
    seen = {
        id(place.value) for node in walk(root) if id(node) in in_pods and (place := draft.tree.field(node, "resources"))
    }
    for node in walk(root):
        if node.kind is not YamlKind.MAPPING or id(node) in seen:
            continue
        if draft.tree.field(node, "limits") or draft.tree.field(node, "requests"):
            rewrite_amounts(draft, node, amounts(draft, node))
        for keys, name in _BOUNDS:
            bound = draft.tree.field(node, *keys)
            if bound:
                value = int(bound.text) if bound.value.is_plain and bound.text.isdecimal() else bound.text
                draft.replace(bound, name, value, _WHY_QUOTA)
