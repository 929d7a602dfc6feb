"""What a service says of GPUs in the ways of old: the nvidia runtime, and a driver that is mapped by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gpuctl.compat.knowledge.driver_parts import ALL_CAPABILITIES, DriverPart, PartKind, driver_part, gpu_of
from gpuctl.engines.yaml.places import YamlKind, YamlNode
from gpuctl.frozen import dataclass
from gpuctl.migrate.by_hand import LIBRARY_FOLDERS, PATHS, mounted_part, without_driver
from gpuctl.migrate.compose.requests import requests
from gpuctl.migrate.compose.services import VARIABLE, Body
from gpuctl.migrate.gpus import NO_GPU
from gpuctl.migrate.migration import ALL
from gpuctl.migrate.tree import Place
from gpuctl.migrate.wsl import DEVICE, doubt_of, is_of_wsl

VISIBLE, CAPABILITIES = "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"
_TEGRA = re.compile(r"l4t|jetson|tegra|jetpack", re.IGNORECASE)
_ENDS = re.compile(r"(?:\$\{[^}]{0,200}\}|[^:])+")
_ASKS_PRIVILEGES = re.compile(
    r"/(?:dev|sys|proc|lib/modules|run/udev|var/run/docker\.sock|run/docker\.sock)?(?:/|$)"
    r"|/.*lib(?:ibverbs|rdmacm|mlx[45])|/etc/rdma"
)
"""What drives hardware, or the host; libraries of InfiniBand need its devices."""
_NVIDIA_MAJOR = re.compile(r"c 195:.*")
_WHY_RUNTIME = "a request for GPUs needs no runtime of its own"
_WHY_VISIBLE = "the request names the GPUs"
_WHY_DEVICE = "the toolkit brings the GPU's device files"
_WHY_DRIVER = "the toolkit brings the host's driver; one that is mapped by hand fits one version"
_WHY_LIBRARIES = "it led to the driver that was mapped by hand"
_WHY_PRIVILEGED = "it was there for the GPUs: nothing else in this service asks for it"
_WHY_CGROUP = "the toolkit allows the GPU's devices"
_KEEP_FOLDER = "it is a folder of all libraries: if only the driver was meant, take it away"
_KEEP_VARIABLE = "its value comes from a variable"
_KEEP_TEGRA = "a Jetson's images take GPUs by this runtime"
_KEEP_NONE = "it asks for no GPU: is the runtime needed at all?"
_KEEP_MIG = "which MIG device this is depends on the host: name it by its UUID"


@dataclass(frozen=True)
class Piece:
    """An entry that goes with the old ways, or with `rest` becomes that."""

    place: Place
    why: str
    rest: str | None = None


@dataclass(frozen=True)
class Kept:
    """What stays, and why; `blocks`: then the service's GPUs cannot be told, and all of it stays."""

    node: YamlNode
    why: str
    blocks: bool = False


@dataclass(frozen=True)
class LegacySigns:
    """What a service's body says. `runtime` is None where it names none; `visible` what NVIDIA_VISIBLE_DEVICES is."""

    pieces: tuple[Piece, ...] = ()
    kept: tuple[Kept, ...] = ()
    runtime: str | None = None
    visible: str | None = None
    gpus: tuple[str, ...] = ()
    by_hand: bool = False
    capabilities: frozenset[str] = frozenset()
    widened: str = ""
    """What NVIDIA_DRIVER_CAPABILITIES is already."""
    unsure: tuple[Kept, ...] = ()
    """What may serve other makers' GPUs, too."""

    @property
    def blocks(self) -> bool:
        """Whether something that stays keeps all of the service."""
        return any(one.blocks for one in self.kept)


@dataclass(frozen=True)
class ServiceVolume:
    """A volume of a service: what is mounted where."""

    place: Place
    source: str
    target: str


def evidence(body: Body, driver_volumes: Mapping[str, YamlNode]) -> LegacySigns:
    """Returns what a service's body says of GPUs. `driver_volumes` are the file's volumes that hold a driver."""
    return _Reading(body, driver_volumes).evidence()


def driver_volumes(draft_tree: Body) -> dict[str, Place]:
    """Returns the top-level volumes of a file, of which this is the root, that hold a driver."""
    tree, root = draft_tree.draft.tree, draft_tree.node
    volumes = tree.field(root, "volumes")
    found = tree.fields(volumes.value) if volumes else {}
    return {name: place for name, place in found.items() if _is_of_driver(draft_tree, name, place)}


def _is_of_driver(root: Body, name: str, place: Place) -> bool:
    tree = root.draft.tree
    paths = (("driver",), ("name",), ("external", "name"), ("driver_opts", "device"))
    said = [field.text for field in (tree.field(place.value, *path) for path in paths) if field]
    return any(text == "nvidia-docker" or _is_folder(text) for text in (name, *said))


def _is_folder(text: str) -> bool:
    part = driver_part(text)
    return bool(part and part.kind is PartKind.FOLDER)


def mounts(body: Body) -> Iterator[ServiceVolume]:
    """Yields the volumes of a service, in the short form and the long one."""
    tree = body.draft.tree
    for place in tree.entries(tree.field(body.node, "volumes")):
        if place.value.kind is YamlKind.MAPPING:
            ends = (tree.field(place.value, key) for key in ("source", "target"))
            yield ServiceVolume(place, *(end.text if end else "" for end in ends))
        else:
            source, target = _split(place.text)
            yield ServiceVolume(place, source, target)


def _split(text: str) -> tuple[str, str]:
    """The two ends of `source:target:mode`, where a variable may hold colons of its own (`${A:-b}`)."""
    parts = _ENDS.findall(text)
    return (parts[0], parts[1]) if len(parts) > 1 else ("", text)


def variables(body: Body) -> dict[str, tuple[Place, str | None]]:
    """Returns a service's environment: where each variable is set and to what, None for what the caller has."""
    tree = body.draft.tree
    place = tree.field(body.node, "environment")
    if place is None:
        return {}
    if place.value.kind is YamlKind.MAPPING:
        return {
            name: (each, None if each.value.is_null else each.text) for name, each in tree.fields(place.value).items()
        }
    found: dict[str, tuple[Place, str | None]] = {}
    for item in tree.entries(place):
        name, equals, value = item.text.partition("=")
        found[name] = (item, value if equals else None)
    return found


class _Reading:
    """Reads a body once, subject by subject."""

    def __init__(self, body: Body, driver_volumes: Mapping[str, YamlNode]) -> None:
        self.body, self.tree, self.volumes = body, body.draft.tree, driver_volumes
        self.pieces: list[Piece] = []
        self.kept: list[Kept] = []
        self.unsure: list[Kept] = []
        self.gpus: list[str] = []
        self.capabilities: set[str] = set()
        self.targets: list[str] = []
        self.by_hand = False
        self.others: list[str] = []
        """What else may need a privileged container."""
        self.is_modern = any(True for _ in requests(body))
        self.why_of_wsl = doubt_of(body.draft.source.text[body.node.start : body.node.end])

    def evidence(self) -> LegacySigns:
        runtime = self._runtime()
        self._devices()
        self._mounts()
        self._cgroup_rules()
        environment = variables(self.body)
        visible = self._visible(environment, runtime)
        for name in PATHS:
            self._path(*environment.get(name, (None, None)))
        self._privileged()
        widened = environment.get(CAPABILITIES, (None, ""))[1] or ""
        return LegacySigns(
            tuple(self.pieces),
            tuple(self.kept),
            runtime,
            visible,
            tuple(dict.fromkeys(self.gpus)),
            self.by_hand,
            frozenset(self.capabilities),
            widened,
            tuple(self.unsure),
        )

    def _field(self, key: str) -> Place | None:
        return self.tree.field(self.body.node, key)

    def _runtime(self) -> str | None:
        place = self._field("runtime")
        if place is None:
            return None
        if VARIABLE.search(place.text):
            if "nvidia" in place.text:
                self.kept.append(Kept(entry(place), _KEEP_VARIABLE, blocks=True))
                return "nvidia"
        elif place.text == "nvidia":
            image = self._field("image")
            if image and _TEGRA.search(image.text):
                self.kept.append(Kept(entry(place), _KEEP_TEGRA, blocks=True))
            self.pieces.append(Piece(place, _WHY_RUNTIME))
        return place.text

    def _devices(self) -> None:
        for place in self.tree.entries(self._field("devices")):
            source = self.tree.field(place.value, "source") if place.value.kind is YamlKind.MAPPING else place
            path = _split(source.text)[0] or source.text if source else ""
            part = driver_part(path)
            if VARIABLE.search(path):
                if "nvidia" in place.text.lower() or "nvidia" in path.lower():
                    self.by_hand = True
                    self.kept.append(Kept(place.written, _KEEP_VARIABLE, blocks=True))
                else:
                    self.others.append(path)
            elif part:
                self._device(place, path)
            elif is_of_wsl(path):
                self._of_wsl(place, path, path)
            elif not path.startswith("nvidia.com/"):
                self.others.append(path)

    def _device(self, place: Place, path: str) -> None:
        self.by_hand = True
        if path.startswith("/dev/nvidia-caps/"):
            self.kept.append(Kept(place.written, _KEEP_MIG, blocks=True))
        number = gpu_of(path)
        self.gpus += [number] if number else []
        self.pieces.append(Piece(place, _WHY_DEVICE))

    def _mounts(self) -> None:
        for mount in mounts(self.body):
            is_variable = VARIABLE.search(mount.source) is not None
            part = driver_part(mount.target) if is_variable else self._part(mount)
            if is_of_wsl(mount.source):
                self._of_wsl(mount.place, mount.source, mount.target)
            elif part is None:
                self._other_mount(mount)
            elif is_variable:
                self.kept.append(Kept(mount.place.written, _KEEP_VARIABLE))
            elif part.kind is PartKind.DEVICE:
                self._device(mount.place, mount.source or mount.target)
            else:
                self.by_hand = True
                self.capabilities |= {part.capability} if part.capability else set()
                self.targets.append(mount.target)
                self.pieces.append(Piece(mount.place, _WHY_DRIVER))
        place = self._field("volume_driver")
        if place and place.text == "nvidia-docker":
            self.by_hand = True
            self.pieces.append(Piece(place, _WHY_DRIVER))

    def _of_wsl(self, place: Place, source: str, target: str) -> None:
        """What is mapped of WSL: beside a request for GPUs it serves something else."""
        if self.is_modern:
            self.others.append(source)
        elif self.why_of_wsl:
            self.unsure.append(Kept(place.written, self.why_of_wsl))
        else:
            self.by_hand = True
            self.gpus += [ALL] if source == DEVICE else []
            self.targets.append(target)
            self.pieces.append(Piece(place, _WHY_DEVICE if source == DEVICE else _WHY_DRIVER))

    def _part(self, mount: ServiceVolume) -> DriverPart | None:
        if mount.source in self.volumes:
            return DriverPart(PartKind.FOLDER, ALL_CAPABILITIES)
        return mounted_part(mount.source or mount.target, mount.target)

    def _other_mount(self, mount: ServiceVolume) -> None:
        if mount.source.rstrip("/") in LIBRARY_FOLDERS:
            self.kept.append(Kept(mount.place.written, _KEEP_FOLDER))
        if _ASKS_PRIVILEGES.match(mount.source):
            self.others.append(mount.source)

    def _cgroup_rules(self) -> None:
        for place in self.tree.entries(self._field("device_cgroup_rules")):
            if _NVIDIA_MAJOR.fullmatch(place.text):
                self.pieces.append(Piece(place, _WHY_CGROUP))
            else:
                self.others.append(place.text)

    def _visible(self, environment: Mapping[str, tuple[Place, str | None]], runtime: str | None) -> str | None:
        if VISIBLE not in environment:
            return None
        place, value = environment[VISIBLE]
        if value is None or VARIABLE.search(value):
            self.kept.append(Kept(entry(place), _KEEP_VARIABLE, blocks=True))
            return None
        if value in NO_GPU and runtime == "nvidia":
            self.kept.append(Kept(entry(place), _KEEP_NONE, blocks=True))
        self.pieces.append(Piece(place, _WHY_VISIBLE))
        return value

    def _path(self, place: Place | None, value: str | None) -> None:
        if place is None or not value or not self.by_hand:
            return
        search = without_driver(value, tuple(self.targets))
        if search.folders and VARIABLE.search(value):
            self.kept.append(Kept(entry(place), _KEEP_VARIABLE))
        elif search.folders:
            self.pieces.append(Piece(place, _WHY_LIBRARIES, search.rest))

    def _privileged(self) -> None:
        place = self._field("privileged")
        if place is None or place.text.lower() not in ("true", "yes", "on"):
            return
        needs = [
            key
            for key in ("cap_add", "security_opt", "cgroup_parent", "sysctls", "pid", "userns_mode")
            if self._field(key)
        ]
        needs += [*self.others, *(["network_mode: host"] if _is_host(self._field("network_mode")) else [])]
        if self.by_hand and not needs:
            self.pieces.append(Piece(place, _WHY_PRIVILEGED))
        else:
            named = ", ".join(dict.fromkeys(needs)) or "something that gpuctl does not see"
            self.kept.append(Kept(entry(place), f"{named} may need it; GPUs do not"))


def _is_host(place: Place | None) -> bool:
    return place is not None and place.text == "host"


def entry(place: Place) -> YamlNode:
    """Returns a key with its value, or a list's item, as one piece of text."""
    if not place.holder.keys:
        return place.written
    return YamlNode(YamlKind.SCALAR, place.holder.keys[place.index].start, place.written.end)
