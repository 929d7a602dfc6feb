"""What of a `docker run` gives a container GPUs: by hand, by nvidia-docker and its runtime, or as engines do today."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from itertools import chain

from gpuctl.compat.knowledge.driver_parts import DriverPart, PartKind, driver_part, gpu_of
from gpuctl.frozen import dataclass
from gpuctl.migrate.by_hand import WHOLES, mounted_part
from gpuctl.migrate.gpus import NO_GPU, docker_refuses, parse_cdi, parse_gpus, parse_visible, together
from gpuctl.migrate.migration import ALL, Gpus
from gpuctl.migrate.run_command import NVIDIA_DOCKER, Option, RunCommand
from gpuctl.migrate.wsl import DEVICE, doubt_of, is_of_wsl
from gpuctl.model import GPU_KIND
from gpuctl.regex import regex
from gpuctl.shell import HOLE

VISIBLE, CAPABILITIES, NV_GPU = "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "NV_GPU"
RUNTIME = "nvidia"
WITH_COMPOSE = "nvidia-docker-compose"
SIGNS = regex(
    r"(?<!-[bcefrw] )(?<!-[bcefrw] [\"'])/dev/nvidia|nvidia-docker2?[ \t]+(?:run|create)\b|nvidia_driver_"
    rf"|{WITH_COMPOSE}[ \t]+[-a-z]"
    r"|--device[ =]/dev/dxg\b|--runtime[ =]+nvidia\b|\bNV_GPU=|--volume-driver[ =]nvidia|:3476/(?:v1\.0/)?docker/cli"
    r"|/lib(?:32|64)?/nvidia[^\s:]*:/"
    r"|/lib(?:cuda|nvidia)[^\s:/]*:/|=[^\s:]*/lib(?:cuda|nvidia-[a-z]+)\.so|\bls [^|;&)]*/lib(?:cuda|nvidia)"
)
"""Signs of the old way, wherever they stand: not a device that a test looks for. :3476 is nvidia-docker 1's plugin,
and its answer the mounts behind; the last two are a variable that holds a library for a mount, and a list of them."""
_MIG = "/dev/nvidia-caps"
_JETSON = ("l4t", "jetson", "jetpack", "tegra")
_JETSON_NODES = ("/dev/nvhost", "/dev/nvmap")
_NVIDIA_MAJOR = "c 195:"


@dataclass(frozen=True)
class DriverMount:
    """A mount of a part of the driver; `target` is where it lies in the container."""

    option: Option
    part: DriverPart
    target: str


@dataclass(frozen=True)
class Survey:
    """The options of a command that have to do with GPUs, by what they do."""

    nodes: tuple[Option, ...]
    """Devices of the driver, mapped one by one."""
    by_hand: tuple[str, ...]
    """The indexes of the GPUs among them, or all by WSL's one device."""
    mounts: tuple[DriverMount, ...]
    leftovers: tuple[Option, ...]
    """What only served the others: --volume-driver nvidia-docker, a rule for NVIDIA's devices."""
    runtime: tuple[Option, ...]
    visible: tuple[Option, ...]
    flags: tuple[Option, ...]
    """--gpus."""
    cdi: tuple[Option, ...]
    wholes: tuple[Option, ...]
    """Mounts of folders that hold more than a driver."""
    beside: tuple[Option, ...]
    """Mounts of files among a driver's that the toolkit does not bring: /usr/lib/nvidia-375/libGL.so.1."""
    unsure: tuple[Option, ...]
    """What is mapped of WSL and may serve something else than CUDA; `why_unsure` says what."""
    why_unsure: str
    doubt: str
    """Why nobody can tell which GPUs are asked for, "" where it can be told."""

    @property
    def is_by_hand(self) -> bool:
        return bool(self.nodes or self.mounts or self.leftovers)

    @property
    def capabilities(self) -> frozenset[str]:
        """The words of NVIDIA_DRIVER_CAPABILITIES that the mapped libraries show."""
        return frozenset(mount.part.capability for mount in self.mounts if mount.part.capability)


def survey(run: RunCommand) -> Survey:
    """Returns what there is of GPUs in a command."""
    devices = run.given("--device")
    sources = [(option, source) for option in devices if (source := option.value.partition(":")[0])]
    binds = [bind for option in (*run.given("--volume"), *run.given("--mount")) if (bind := bind_of(option))]
    sources += [(option, source) for option, source, _ in binds]
    cdi = tuple(option for option in devices if option.value.startswith(f"{GPU_KIND}="))
    of_wsl = [] if cdi or run.given("--gpus") else [bind for bind in sources if is_of_wsl(bind[1])]
    why_unsure = doubt_of(" ".join(word.value for word in run.words)) if of_wsl else ""
    by_wsl = [] if why_unsure else of_wsl
    nodes = [bind for bind in sources if is_node(bind[1]) or (bind in by_wsl and bind[1] == DEVICE)]
    runtime = tuple(one for one in run.given("--runtime") if posixpath.basename(one.value) in _RUNTIMES)
    runtime += tuple(one for one in run.given("--hooks-dir") if one.value.rstrip("/").endswith(_HOOKS))
    rules = tuple(one for one in run.given("--device-cgroup-rule") if one.value.startswith(_NVIDIA_MAJOR))
    mounts = tuple(_mounts(binds, tuple(option for option, _ in by_wsl)))
    known = {*(mount.option for mount in mounts), *(option for option, _ in nodes)}
    drivers = tuple(one for one in run.given("--volume-driver") if one.value.startswith(NVIDIA_DOCKER))
    visible = run.variables(VISIBLE)
    return Survey(
        nodes=tuple(option for option, _ in nodes),
        by_hand=_by_hand([source for _, source in nodes]),
        mounts=mounts,
        leftovers=(*rules, *drivers),
        runtime=runtime,
        visible=visible,
        flags=run.given("--gpus"),
        cdi=cdi,
        wholes=tuple(option for option, source, _ in binds if (source.rstrip("/") or "/") in WHOLES),
        beside=tuple(option for option, source, _ in binds if option not in known and _lies_in_driver(source)),
        unsure=tuple(option for option, _ in of_wsl) if why_unsure else (),
        why_unsure=why_unsure,
        doubt=next(
            chain(
                _doubts_of_nodes(nodes),
                _doubts_of_google(source for _, source, _ in binds),
                _doubts_of_flags(run),
                _doubts_of_runtime(run, sources, runtime, visible),
            ),
            "",
        ),
    )


_RUNTIMES = (RUNTIME, "nvidia-container-runtime")
_HOOKS = "oci/hooks.d"
"""The folder of hooks by which Podman gave GPUs before it read CDI specifications."""
_WITH_VARIABLE = "what it holds, a list or all, can stand behind --gpus as '\"device='\"$…\"'\"'"
_COS = "/var/lib/nvidia"
_SEVERAL = regex(rf"/dev/nvidia(?:{HOLE}|[\w-]*[{{\[*?])")
"""Devices that a variable, braces or a pattern of the shell name: /dev/nvidia{0,1}."""
_ANY = "000"
"""Stands for a version that comes from a variable."""


def is_node(source: str) -> bool:
    """Returns whether a path is a device of the driver, or several, or would be whatever a variable in it says."""
    part = driver_part(source)
    return bool(part and part.kind is PartKind.DEVICE) or _SEVERAL.match(source) is not None


def gpu_of_node(option: Option) -> str | None:
    """Returns the index of the GPU whose device an option maps, None for a device of them all."""
    bind = bind_of(option) if option.name != "--device" else None
    return gpu_of(bind[1] if bind else option.value.partition(":")[0])


def bind_of(option: Option) -> tuple[Option, str, str] | None:
    """Returns what a --volume or --mount maps, and to where; None where it maps nothing of the host's.

    /usr/lib/nvidia-384:/usr/local/nvidia:ro
    type=bind,source=/usr/bin/nvidia-smi,target=/usr/bin/nvidia-smi,readonly
    """
    if option.name == "--volume":
        source, colon, rest = option.value.partition(":")
        return (option, source, rest.partition(":")[0]) if colon else None
    fields = dict(field.strip('"').partition("=")[::2] for field in option.value.split(","))
    source = fields.get("source") or fields.get("src") or ""
    target = fields.get("target") or fields.get("destination") or fields.get("dst") or ""
    return (option, source, target) if source else None


def _by_hand(nodes: list[str]) -> tuple[str, ...]:
    gpus = {gpu for source in nodes if (gpu := gpu_of(source))}
    return (ALL,) if DEVICE in nodes else tuple(sorted(gpus, key=int))


def _mounts(binds: list[tuple[Option, str, str]], by_wsl: tuple[Option, ...]) -> Iterator[DriverMount]:
    for option, source, target in binds:
        if option in by_wsl and source != DEVICE:
            yield DriverMount(option, driver_part(source) or DriverPart(PartKind.FOLDER), target)
            continue
        # A program or library that the shell finds, as $(which nvidia-smi) does, is what it becomes in the container.
        part = driver_part(target) if source.startswith(HOLE) else mounted_part(source.replace(HOLE, _ANY), target)
        if part and part.kind is not PartKind.DEVICE:
            yield DriverMount(option, part, target)


def _lies_in_driver(source: str) -> bool:
    part = driver_part(posixpath.dirname(source))
    return bool(part and part.kind is PartKind.FOLDER)


def _doubts_of_nodes(nodes: list[tuple[Option, str]]) -> Iterator[str]:
    for _, source in nodes:
        if source.startswith(_MIG):
            yield f"{source} is a file of a MIG device, and does not tell which one it is"
        if HOLE in source:
            yield "which GPU it is comes from a variable"
        elif _SEVERAL.match(source):
            yield "which GPUs they are only the shell tells"


def _doubts_of_google(mounted: Iterable[str]) -> Iterator[str]:
    """Source: https://docs.cloud.google.com/container-optimized-os/docs/how-to/run-gpus"""
    if any(f"{source}/".startswith(f"{_COS}/") for source in mounted):
        yield (
            f"{_COS} is where Container-Optimized OS keeps its driver, which Google's documents map into containers "
            "so: --gpus takes its place where NVIDIA's toolkit is"
        )


def _doubts_of_flags(run: RunCommand) -> Iterator[str]:
    for option in run.given("--gpus") if run.engine == "docker" else ():
        if HOLE not in option.value and docker_refuses(option.value):
            yield f"Docker refuses --gpus {option.value}"


def _doubts_of_runtime(
    run: RunCommand, sources: list[tuple[Option, str]], runtime: tuple[Option, ...], visible: tuple[Option, ...]
) -> Iterator[str]:
    asks = runtime or run.name == NVIDIA_DOCKER
    image = run.words[run.image].value if run.image is not None else ""
    if asks and (
        any(word in image.lower() for word in _JETSON) or any(source.startswith(_JETSON_NODES) for _, source in sources)
    ):
        yield "this is for a Jetson, where the toolkit gives GPUs by its runtime"
    if not asks or run.given("--gpus"):
        return
    for option in visible:
        value = option.value.partition("=")[2]
        if "=" not in option.value or HOLE in value:
            yield f"which GPUs {VISIBLE} names comes from a variable: {_WITH_VARIABLE}"
        elif value in NO_GPU and value:
            yield f"{VISIBLE}={value} asks for no GPU, for which --gpus and CDI have no word"
        elif parse_visible(value) is None:
            yield f"{VISIBLE}={value} names nothing that gpuctl knows as a GPU"


def assigned(run: RunCommand) -> tuple[int, str] | None:
    """Returns the number of the word NV_GPU=… in front of the program, and its value."""
    for number in range(run.program - 1, -1, -1):
        name, equals, value = run.words[number].value.partition("=")
        if equals and name == NV_GPU:
            return number, value
    return None


def native(run: RunCommand, found: Survey) -> Gpus | None:
    """Returns what --gpus or CDI devices ask for. Raises ValueError for a value of --gpus that gpuctl cannot read.

    Podman's --gpus takes the names of CDI devices: 2 is the third GPU, and not two of any.
    """
    parse = parse_visible if run.engine == "podman" else parse_gpus
    gpus = parse(found.flags[-1].value) if found.flags else None
    if found.flags and gpus is None:
        raise ValueError(f"gpuctl cannot read --gpus {found.flags[-1].value.replace(HOLE, '…')}")
    return together(gpus, parse_cdi(option.value for option in found.cdi) if found.cdi else None)


def by_runtime(run: RunCommand, found: Survey) -> Gpus | None:
    """Returns what nvidia-docker or the runtime nvidia gives; where nothing says which, all, as NVIDIA's images do.

    None where it does not count: what --gpus asks for does.
    """
    if found.flags:  # Docker puts what --gpus asks for behind all other variables of the container
        return None
    if run.name == NVIDIA_DOCKER and (named := assigned(run)):
        gpus = parse_visible(named[1])
        if gpus is None:
            raise ValueError(f"which GPUs {NV_GPU} names comes from a variable" if HOLE in named[1] else _NO_GPU)
        return gpus
    if run.name != NVIDIA_DOCKER and not found.runtime:
        return None
    return parse_visible(found.visible[-1].value.partition("=")[2]) if found.visible else Gpus()


_NO_GPU = f"{NV_GPU} names nothing that gpuctl knows as a GPU"


def asked(run: RunCommand, found: Survey) -> Gpus | None:
    """Returns the GPUs that the command gives its container, None where it names none.

    Raises ValueError with the reason where that cannot be told.
    """
    if found.doubt:
        raise ValueError(found.doubt)
    gpus = together(
        together(native(run, found), by_runtime(run, found)), Gpus(found.by_hand) if found.by_hand else None
    )
    if gpus is None and (found.by_hand or found.flags):
        raise ValueError("it asks for a number of any GPUs, and names others beside it")
    if gpus is None and any(map(_gives_all, run.given("--privileged"))) and found.mounts:
        return Gpus((ALL,))
    return gpus


def _gives_all(privileged: Option) -> bool:
    return not privileged.is_false
