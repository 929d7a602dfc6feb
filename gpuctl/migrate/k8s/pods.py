"""The pods of Kubernetes manifests, wherever a document has one, and what their containers mount from a node.

Any mapping with a list of containers is a pod's specification: that of a Pod, or in the template of a workload, also
of a kind that gpuctl does not know (https://kubernetes.io/docs/concepts/workloads/pods/#pod-templates).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuctl.compat.knowledge.driver_parts import DriverPart, driver_part
from gpuctl.engines.yaml.places import NotAccepted, YamlKind, YamlNode, walk
from gpuctl.frozen import dataclass
from gpuctl.migrate.by_hand import mounted_part
from gpuctl.migrate.draft import Draft
from gpuctl.migrate.tree import Place, YamlFile

CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_OF_NODES = re.compile(r"/var/lib/kubelet/(?:device-plugins|pod-resources|plugins)(?:/.*)?|/etc/cdi|/var/run/cdi")
_TEMPLATE = re.compile(
    r"\{\s?\{-?\s*(?:\.Values|\.Release|\.Chart|\.Capabilities|\.Files|include\s|template\s|define\s|toYaml\s"
    r"|if\s|range\s|with\s|end\s*-?\}\s?\}|\$\.Values)"
)
"""What Helm's templates hold and no manifest does (https://helm.sh/docs/chart_template_guide/)."""
_TEMPLATED = ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job")
_SPECS = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(_TEMPLATED, ("spec", "template", "spec")),
}
"""Where Kubernetes' own kinds have their pod's specification."""
_KUSTOMIZE = ("Kustomization", "Component")


@dataclass(frozen=True)
class PodMount:
    """A container's mount of a folder or file of the node; `part` is what of a driver that is."""

    place: Place
    volume: str
    source: str
    target: str
    part: DriverPart | None


@dataclass(frozen=True)
class Volume:
    """A pod's volume that lies on the node."""

    place: Place
    name: str
    path: str


@dataclass(frozen=True)
class PodTemplate:
    """A pod's specification. `is_whole`: it is one by itself, and takes a pod's other fields."""

    spec: YamlNode
    containers: tuple[YamlNode, ...]
    volumes: tuple[Volume, ...]
    is_whole: bool = True

    @property
    def is_of_nodes(self) -> bool:
        """Whether it serves a node's GPUs, as a device plugin does, and so has to see the node's own driver."""
        return any(_OF_NODES.fullmatch(volume.path.rstrip("/")) for volume in self.volumes)


def check_manifest(text: str) -> None:
    """Raises NotAccepted for a template, which becomes a manifest only when it is filled in."""
    found = _TEMPLATE.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        advice = "rewrite what `helm template` makes of it, or the chart by that pattern"
        raise NotAccepted(f"it is a Helm template: {advice}", line)


def check_documents(draft: Draft) -> None:
    """Raises NotAccepted where no document is a manifest."""
    tree, documents = draft.tree, draft.source.documents
    for root in documents:
        kind, version = (tree.field(root, key) for key in ("kind", "apiVersion"))
        is_kustomize = version and version.text.startswith("kustomize.config.k8s.io/")
        if (
            is_kustomize
            or (kind and kind.text in _KUSTOMIZE)
            or (not kind and tree.field(root, "patchesStrategicMerge"))
        ):
            raise NotAccepted(
                "it is a Kustomization: rewrite the manifests and patches that it names", draft.line(root)
            )
        _check_pod(draft, root)
    if any(tree.field(root, "kind") for root in documents) or any(True for root in documents for _ in pods(tree, root)):
        return
    if any(tree.field(root, "services") for root in documents):
        raise NotAccepted("it is a Compose file: gpuctl migrate compose rewrites it", 1)
    raise NotAccepted("it is no Kubernetes manifest: no document has a kind", 1)


def _check_pod(draft: Draft, root: YamlNode) -> None:
    """Raises NotAccepted where something else stands where a known kind has its pod. A patch may leave it out."""
    kind = draft.tree.field(root, "kind")
    path = _SPECS.get(kind.text, ()) if kind else ()
    mappings = [(path[:number], YamlKind.MAPPING) for number in range(1, len(path) + 1)]
    lists = [((*path, key), YamlKind.SEQUENCE) for key in CONTAINERS if path]
    for keys, wanted in (*mappings, *lists):
        place = draft.tree.field(root, *keys)
        if place and place.value.kind is not wanted and not place.value.is_null:
            what = f"{'.'.join(keys)} is {place.value.kind.value}, and has to be {wanted.value}"
            raise NotAccepted(what, draft.line(place.written))


def pods(tree: YamlFile, root: YamlNode) -> Iterator[PodTemplate]:
    """Yields the pods of a document."""
    for node in walk(root):
        if node.kind is YamlKind.MAPPING:
            containers = tuple(_containers(tree, node))
            if containers:
                yield PodTemplate(node, containers, tuple(_volumes(tree, node)))
            steps = tuple(_steps(tree, node))
            if steps:
                yield PodTemplate(node, steps, tuple(_volumes(tree, node)), is_whole=False)


def _containers(tree: YamlFile, node: YamlNode) -> Iterator[YamlNode]:
    for key in CONTAINERS:
        if not any(name.value == key for name in node.keys):
            continue
        for place in tree.entries(tree.field(node, key)):
            if tree.field(place.value, "name") or tree.field(place.value, "image"):
                yield place.value


def _steps(tree: YamlFile, node: YamlNode) -> Iterator[YamlNode]:
    """The containers of an Argo workflow's templates, which have the workflow's volumes.

    https://argo-workflows.readthedocs.io/en/latest/fields/#workflowspec
    """
    for template in tree.entries(tree.field(node, "templates")):
        for place in (tree.field(template.value, key) for key in ("container", "script")):
            if place and tree.field(place.value, "image"):
                yield place.value


def _volumes(tree: YamlFile, spec: YamlNode) -> Iterator[Volume]:
    for place in tree.entries(tree.field(spec, "volumes")):
        name, path = tree.field(place.value, "name"), tree.field(place.value, "hostPath", "path")
        if name and path:
            yield Volume(place, name.text, path.text)


def mounts(tree: YamlFile, pod: PodTemplate, container: YamlNode) -> Iterator[PodMount]:
    """Yields what a container mounts from the node."""
    by_name = {volume.name: volume for volume in pod.volumes}
    for place in tree.entries(tree.field(container, "volumeMounts")):
        said = {key: field.text for key in ("name", "mountPath", "subPath") if (field := tree.field(place.value, key))}
        volume = by_name.get(said.get("name", ""))
        if volume is None:
            continue
        target, inner = said.get("mountPath", ""), said.get("subPath", "")
        source = f"{volume.path.rstrip('/')}/{inner}" if inner else volume.path
        yield PodMount(place, volume.name, source, target, mounted_part(source, target))


def is_driver(volume: Volume) -> bool:
    """Returns whether a volume is a part of a driver, and nothing else."""
    return driver_part(volume.path) is not None
