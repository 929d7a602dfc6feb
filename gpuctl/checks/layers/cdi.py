"""Do the CDI specifications say what is so, and do the engines here take them?"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.gpus import understood
from gpuctl.checks.layers.docker import gpus_by_cdi, only_cdi_devices
from gpuctl.checks.remedies import as_root, generate_cdi, install, install_runtime
from gpuctl.command import Command, Shell, command, operands
from gpuctl.compat.knowledge.cdi import (
    CONTAINERD_SINCE,
    CRIO_SINCE,
    PODMAN_ETC_ONLY,
    PODMAN_SINCE,
    TOOLKIT,
    TOOLKIT_SINCE,
    DockerCdi,
    docker_cdi,
    refusal,
)
from gpuctl.compat.versions import compare, docker_version, leading
from gpuctl.facts.containerd.containerd import Containerd
from gpuctl.facts.crio import Crio
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.nvml import NvmlGpu
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.logs import DRIVER
from gpuctl.facts.podman import Podman
from gpuctl.facts.toolkit.cdi import FOLDERS, SUFFIXES, Cdi, Spec, SpecFile, SpecNode
from gpuctl.facts.toolkit.cdi_document import Device
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.model import ENGINES, GPU_KIND, CannotTell, Disturbs, Evidence, Remedy
from gpuctl.regex import regex

OTHERS_READ = 0o004
EXECUTABLE = 0o111
GROUPS_SINCE = "1.19.1"
"""From here on the toolkit writes 0.7.0, for the groups of devices: data/toolkit_releases.jsonl."""
NO_GROUPS = "no-additional-gids-for-device-nodes"
"""The switch by which it does not, and writes a lower version."""
_WRITTEN_BY_HAND = "/etc/cdi/"
_REFRESHED = ("/var/run/cdi/nvidia.yaml", "/run/cdi/nvidia.yaml")
_REFRESH_SETTINGS = "/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env"
"""What the toolkit's service nvidia-cdi-refresh writes, and goes by."""
TOOLKIT_TITLE = "NVIDIA Container Toolkit"
_ALMOST = (*SUFFIXES, ".yml")
"""What the name of a specification ends in where somebody did not know that engines look for two endings, in small."""
_SINCE = {"podman": PODMAN_SINCE, "crio": CRIO_SINCE, "containerd": CONTAINERD_SINCE, TOOLKIT: TOOLKIT_SINCE}
_WHOLE = regex(r"(?:gpu)?\d+|GPU-.+")
_MIG = (regex(r"\d+:\d+"), regex(r"mig\d+:\d+"), regex(r"MIG-.+"))
_GPU_NODE = regex(r"/dev/nvidia\d+")


def _regenerate(system: System, tegra: Tegra, path: str, text: str) -> Remedy:
    return Remedy(text, as_root(system, generate_cdi(tegra, path)))


def _complain(docker: Docker, podman: Podman, toolkit: Toolkit) -> Callable[..., Judgement]:
    """A fault in what --gpus, or Podman alone, is served by stops GPU containers; else only those of CDI devices."""
    if podman.program.value and not podman.hooks.value and (not docker.installed or docker.kind.value == "podman"):
        return failed
    try:
        return failed if gpus_by_cdi(docker, toolkit) else warned
    except CannotTell:
        return warned


def _gpu_specs(toolkit: Toolkit) -> tuple[Spec, ...]:
    cdi = toolkit.cdi.get()
    return cdi.in_effect() if cdi else ()


@check("cdi.readable", explains=("cdi.conflict", "cdi.stale", "cdi.version"))
def readable(system: System, docker: Docker, podman: Podman, toolkit: Toolkit) -> Judgement | None:
    """Engines pass over a specification that they cannot read or do not understand: its devices are not found then.

    Rootless Podman reads as the user: a specification that is closed to others is none for it
    (https://github.com/containers/podman/issues/17539).
    """
    cdi = toolkit.cdi.get()
    if cdi is None:
        return None
    overlooked = next(filter(_is_meant, cdi.passed_over), None)
    if overlooked and not cdi.in_effect():
        return _overlooked(system, overlooked)
    if not cdi.specs:
        return None
    specs = [spec.get() for spec in cdi.specs]
    broken = next((spec for spec in specs if spec and spec.error), None)
    if broken:
        remedy = Remedy("Write it anew, or move it away.", (command(Shell.EDITOR, *operands(broken.path)),))
        message = f"{broken.path} is no CDI specification: {broken.error}."
        is_others = broken.kind not in ("", GPU_KIND)
        complain = warned if is_others or cdi.in_effect() else _complain(docker, podman, toolkit)
        return complain(message, Evidence(broken.path, broken.error or ""), remedy=remedy)
    closed = next((spec for spec in specs if spec and spec.mode is not None and not spec.mode & OTHERS_READ), None)
    if closed and podman.program.value:
        remedy = Remedy("Let all read it.", as_root(system, command("chmod", "0644", *operands(closed.path))))
        seen = Evidence(closed.path, f"mode {closed.mode:o}")
        return warned(f"Only root can read {closed.path}: rootless Podman finds no GPU.", seen, remedy=remedy)
    return passed(f"{len(specs)} CDI specifications can be read", toolkit.cdi)


def _is_meant(path: str) -> bool:
    """Whether somebody meant it for a specification, or for the folder of some: not a backup."""
    return path.lower().endswith(_ALMOST) or "." not in posixpath.basename(path)


def _overlooked(system: System, path: str) -> Judgement:
    """Go's filepath.Walk does not follow a link where it begins, and CDI's scan takes two endings."""
    if path in FOLDERS:
        remedy = Remedy("Make it a folder, and put the specifications into it.")
        message = f"{path} is a link: no engine follows it, and what it leads to is not read."
        return warned(message, Evidence(path, "a link"), remedy=remedy)
    proper = f"{posixpath.splitext(path)[0]}.yaml"
    remedy = Remedy("Give it that ending.", as_root(system, command("mv", *operands(path, proper))))
    message = f"{path} is not read: engines look at names that end in .json or .yaml."
    return warned(message, Evidence(path, "in a folder of CDI specifications"), remedy=remedy)


@check("cdi.conflict")
def conflict(system: System, docker: Docker, podman: Podman, toolkit: Toolkit) -> Judgement | None:
    """Where two specifications of one folder name one device, CDI resolves neither: `unresolvable CDI devices`.

    https://github.com/cncf-tags/container-device-interface, pkg/cdi/cache.go. In two folders there is no conflict: the
    one in /var/run/cdi counts, by pkg/cdi/doc.go.
    """
    cdi = toolkit.cdi.get()
    if cdi is None:
        return None
    conflicts = cdi.conflicts
    if not conflicts:
        return passed(f"No device is named by two CDI specifications of one folder{_counting(cdi)}", toolkit.cdi)
    name, paths = next(iter(conflicts.items()))
    move = command("mv", *operands(paths[-1], f"{paths[-1]}.old"))
    remedy = Remedy("Keep one of them, and move the others away.", as_root(system, move))
    message = f"{name} is in {' and in '.join(paths)}: no engine resolves it."
    return _complain(docker, podman, toolkit)(message, Evidence(name, ", ".join(paths)), remedy=remedy)


def _counting(cdi: Cdi) -> str:
    """Which of several counts, where a later folder's specification takes the place of an earlier one's."""
    counts = cdi.in_effect()
    hidden = [one.value.path for one in cdi.for_gpus if one.value and not one.value.error and one.value not in counts]
    return f": {counts[-1].path} counts before {' and '.join(hidden)}" if hidden and counts else ""


@check("cdi.stale", follows=DRIVER)
def stale(
    system: System, docker: Docker, podman: Podman, driver: Driver, toolkit: Toolkit, tegra: Tegra
) -> Judgement | None:
    """A specification holds names of libraries and may hold device numbers, which an upgrade or a boot changes.

    Device numbers of nvidia-uvm and nvidia-caps are given out anew at every boot. No container starts where a file is
    to be mounted that is gone, the socket of a service that does not run among them: `failed to fulfil mount request`.
    """
    specs = _gpu_specs(toolkit)
    if not specs:
        return None
    spec, fault = stale_spec(specs, driver) or (specs[0], "")
    if not fault:
        return passed("The CDI specifications fit the driver and the device nodes", toolkit.cdi, driver.version)
    remedy = _regenerate(system, tegra, spec.path, "Generate it anew.")
    return _complain(docker, podman, toolkit)(
        f"{spec.path} is out of date: {fault}.", Evidence(spec.path, fault), remedy=remedy
    )


def stale_spec(specs: Sequence[Spec], driver: Driver) -> tuple[Spec, str] | None:
    """Returns the first of the specifications that is out of date, and in which way; None where none is."""
    faults = ((spec, _stale(spec, driver)) for spec in specs)
    return next(((spec, fault) for spec, fault in faults if fault), None)


def _stale(spec: Spec, driver: Driver) -> str:
    running = driver.version.value
    old = [version for version in spec.drivers if running and compare(version, running) != 0]
    if old:
        return f"it mounts the libraries of driver {old[0]}, and {running} is running"
    return unfit(spec)


def unfit(spec: Spec) -> str:
    """Returns which device node or file of a specification the host does not have as it says, "" for none.

    Where none of the files is there, gpuctl looks from somewhere else than the engine: out of a container.
    """
    gone = (f"it mounts {file.path}, which is not there" for file in spec.mounts if is_gone(file))
    is_host = any(file.there.value for file in spec.mounts)
    return next(filter(None, map(moved, spec.nodes)), next(gone, "") if is_host else "")


def is_gone(file: SpecFile) -> bool:
    """Returns whether the host does not have it; where that could not be seen, it may."""
    return file.there.value is None and file.there.unknown is None


def moved(node: SpecNode) -> str:
    """Returns in which way the host's device node is another than the specification says, "" where it is not."""
    if node.there.unknown is not None:
        return ""
    if node.there.value is None:
        return f"{node.path} is not there"
    major, minor = node.there.value
    if not node.major or (node.major, node.minor or 0) == (major, minor):  # without a number engines take the host's
        return ""
    return f"{node.path} is {major}:{minor} now, not {node.major}:{node.minor or 0}"


@check("cdi.gpus")
def gpus(
    system: System, docker: Docker, podman: Podman, driver: Driver, toolkit: Toolkit, tegra: Tegra
) -> Judgement | None:
    """A specification names the GPUs of the day on which it was made: a card that came, went or moved is not in it.

    A GPU that is missing in it is given to nobody, `all` included; one that got another device node is given in place
    of another; MIG devices that were made anew are not found. A GPU with MIG devices is in it by those alone
    (https://github.com/NVIDIA/nvidia-container-toolkit, pkg/nvcdi/lib-nvml.go).
    """
    specs, here = _gpu_specs(toolkit), driver.gpus.get()
    if not specs or here is None or any(gpu.error for gpu in here):
        return None
    devices = {device.name: device for spec in specs for device in spec.devices}
    changed, missing = changed_gpus(devices, here), missing_gpus(devices, here)
    if not changed and not missing:
        return passed("The CDI specifications name the GPUs that are here", toolkit.cdi, driver.gpus)
    path, fault = specs[-1].path, changed or missing
    complain = _complain(docker, podman, toolkit) if changed else warned
    remedy = _regenerate(system, tegra, path, "Generate it anew.")
    return complain(f"{path} does not fit the GPUs: {fault}.", Evidence(path, fault), driver.gpus, remedy=remedy)


def changed_gpus(devices: Mapping[str, Device], here: Sequence[NvmlGpu]) -> str:
    """Returns what a specification says of GPUs that is not so, "" where all is: one went, moved or was divided."""
    by_name = {name: gpu for gpu in here for name in _names_of(gpu)}
    gone = next((name for name in devices if name.startswith("GPU-") and name not in by_name), "")
    if gone:
        return f"it names {gone}, which is not here"
    for name, gpu in by_name.items():
        nodes = _gpu_nodes(devices[name]) if name in devices else []
        if nodes and gpu.mig:
            return f"it gives {name} as a whole, on which MIG is on"
        if nodes and gpu.minor is not None and f"/dev/nvidia{gpu.minor}" not in nodes:
            return f"{name} is /dev/nvidia{gpu.minor} now, not {nodes[0]}"
    named, made = _mig_devices(devices), sum(gpu.mig_devices or 0 for gpu in here if gpu.mig)
    return f"it names {named} MIG devices, and there are {made}" if named != made else ""


def missing_gpus(devices: Mapping[str, Device], here: Sequence[NvmlGpu]) -> str:
    """Returns which GPU no device of a specification gives, "" where none is missing, or that cannot be told."""
    nodes = {node for device in devices.values() for node in _gpu_nodes(device)}
    by_name = any(_WHOLE.fullmatch(name) for name in devices)
    if not by_name and not nodes:  # WSL's /dev/dxg, or Tegra's nodes, are those of all GPUs
        return ""
    for gpu in (one for one in here if not one.mig):
        given = _names_of(gpu) & devices.keys() if by_name else gpu.minor is None or f"/dev/nvidia{gpu.minor}" in nodes
        if not given:
            return f"GPU {gpu.index} ({gpu.uuid or gpu.name}) is missing in it"
    return ""


def _names_of(gpu: NvmlGpu) -> set[str]:
    """What nvidia-ctk calls a whole GPU (--device-name-strategy index, type-index and uuid)."""
    return {str(gpu.index), f"gpu{gpu.index}", *((gpu.uuid,) if gpu.uuid else ())}


def _gpu_nodes(device: Device) -> list[str]:
    return [node for node in device.nodes if _GPU_NODE.fullmatch(node)]


def _mig_devices(devices: Mapping[str, Device]) -> int:
    """How many a specification names; each may have a name of several kinds."""
    return max(Counter(kind.pattern for name in devices for kind in _MIG if kind.fullmatch(name)).values(), default=0)


@check("cdi.version")
def version(
    system: System,
    docker: Docker,
    podman: Podman,
    crio: Crio,
    containerd: Containerd,
    toolkit: Toolkit,
    tegra: Tegra,
) -> Judgement | None:
    """Engines refuse a specification whose cdiVersion is newer than they know: toolkit 1.19.1 and later write 0.7.0.

    So does the toolkit itself, where its runtime goes by specifications, and `nvidia-ctk cdi list` shows none.
    """
    specs, engines = _gpu_specs(toolkit), _engines(docker, podman, crio, containerd, toolkit)
    if not specs or not engines:
        return None
    refused = ((spec, title, refusal(name, found, spec.version)) for spec in specs for name, title, found in engines)
    spec, title, row = next((one for one in refused if one[2]), (specs[0], "", None))
    if row is None:
        return passed(
            f"The version of the CDI specifications fits {' and '.join(one[1] for one in engines)}", toolkit.cdi
        )
    seen = Evidence(spec.path, f"cdiVersion {spec.version}")
    upgrade = f"Upgrade {title} to {row.since} or later, or have" if row.since else "Have"
    text, commands = _lower_version(system, toolkit, tegra, spec.path)
    remedy = Remedy(f"{upgrade} {text}", commands, Disturbs.NOTHING)
    taker = f"{title} {row.since} is the first" if row.since else "no release is known"
    message = f"This {title} refuses {spec.path}: {taker} to take version {spec.version}."
    ground = f"since {row.since}" if row.since else f"{title} {row.refused_by} refuses it"
    complain = warned if row.engine == TOOLKIT else _complain(docker, podman, toolkit)
    return complain(message, seen, Evidence(row.source, ground), remedy=remedy)


def _lower_version(system: System, toolkit: Toolkit, tegra: Tegra, path: str) -> tuple[str, tuple[Command, ...]]:
    """How the toolkit writes the file in the lowest version that does: by a switch, once it names devices' groups.

    Source: https://github.com/NVIDIA/nvidia-container-toolkit/issues/1940, NVIDIA/cloud-native-docs#419
    """
    ctk = toolkit.ctk.value
    if ctk is None or not leading(ctk.version) or compare(leading(ctk.version), GROUPS_SINCE) < 0:
        return "the toolkit generate the file, which takes the lowest version that does.", ()
    text = "the toolkit leave out the devices' groups, by which users other than root reach video and rendering."
    if path.startswith(_WRITTEN_BY_HAND):
        return text, as_root(system, generate_cdi(tegra, path, f"--feature-flag={NO_GROUPS}"))
    if path not in _REFRESHED:
        return text, ()
    setting = f"NVIDIA_CTK_CDI_GENERATE_FEATURE_FLAGS={NO_GROUPS}"
    write = command("echo", setting, Shell.PIPE, Shell.SUDO, "tee", "-a", _REFRESH_SETTINGS)
    return text, as_root(system, write, command("systemctl", "restart", "nvidia-cdi-refresh.service"))


@check("cdi.folder")
def folder(docker: Docker, podman: Podman, toolkit: Toolkit) -> Judgement | None:
    """Engines read the folders that they are told to: a specification in another is not there for them.

    dockerd's are those of cdi-spec-dirs; Podman 5.5 leaves /var/run/cdi out
    (https://github.com/containers/podman/issues/26569).
    """
    paths = [spec.path for spec in _gpu_specs(toolkit)]
    readers = _readers(docker, podman)
    if not paths or not readers:
        return None
    for title, folders in readers.items():
        if not any(_real(posixpath.dirname(path)) in map(_real, folders) for path in paths):
            seen = Evidence(paths[0], f"{title} reads {', '.join(folders)}")
            remedy = Remedy(f"Write the specification into {folders[0]}.")
            return warned(f"{title} does not read {paths[0]}: it looks into {folders[0]}.", seen, remedy=remedy)
    return passed(f"The CDI specifications lie where {' and '.join(readers)} looks", toolkit.cdi)


def _readers(docker: Docker, podman: Podman) -> dict[str, tuple[str, ...]]:
    """The engines of which it is known into which folders they look."""
    daemon = docker.daemon.value if docker.kind.value != "podman" else None
    told = podman.version.value
    found = {ENGINES["docker"]: tuple(daemon.cdi_spec_dirs)} if daemon and daemon.cdi_spec_dirs else {}
    if told and _reads_cdi("podman", told):
        since, before = map(docker_version, PODMAN_ETC_ONLY)
        found[ENGINES["podman"]] = FOLDERS[:1] if since <= docker_version(told) < before else FOLDERS
    return found


def _real(folder: str) -> str:
    """/var/run is a link to /run."""
    return folder.rstrip("/").replace("/var/run/", "/run/", 1)


@check("cdi.feature")
def feature(system: System, docker: Docker, toolkit: Toolkit) -> Judgement | None:
    """Docker 25.0 to 28.1 takes CDI devices only where features.cdi is set: `could not select device driver "cdi"`."""
    daemon = docker.daemon.value
    if daemon is None or docker.kind.value == "podman" or not _gpu_specs(toolkit):
        return None
    seen = Evidence(docker.daemon.source, f"CDI folders: {', '.join(daemon.cdi_spec_dirs) or 'none'}")
    if daemon.cdi_spec_dirs or understood(docker_cdi, daemon.version) is not DockerCdi.OPT_IN:
        return passed("Docker takes CDI devices, or is too old for them", seen)
    remedy = install_runtime(system, "Switch CDI on, and restart Docker when it suits.", "--cdi")
    message = "There is a CDI specification, and Docker's CDI is off (features.cdi)"
    if only_cdi_devices(docker, toolkit):
        return failed(f"{message}: it has no other way to give GPUs.", seen, remedy=remedy)
    return warned(f"{message}.", seen, remedy=remedy)


@check("cdi.podman", explains=("registration.podman",))
def podman_version(docker: Docker, podman: Podman, toolkit: Toolkit) -> Judgement | None:
    """Podman before 4.1 takes `--device nvidia.com/gpu=all` for the path of a device."""
    told = podman.version.get()
    if told is None or not _gpu_specs(toolkit):
        return None
    if understood(docker_version, told) >= docker_version(PODMAN_SINCE):
        return passed(f"Podman {told} takes CDI devices", podman.version)
    text = f"Upgrade Podman to {PODMAN_SINCE} or later, with a newer release of the distribution where this has none."
    complain = _complain(docker, podman, toolkit)
    return complain(f"Podman {told} does not take CDI devices.", podman.version, remedy=Remedy(text))


@check("cdi.hook-program")
def hook_program(system: System, docker: Docker, podman: Podman, toolkit: Toolkit, tegra: Tegra) -> Judgement | None:
    """No container starts where a program is gone that a specification calls: `no such file or directory` of a hook.

    The toolkit's own is nvidia-cdi-hook from 1.16 on, and was `nvidia-ctk hook` before; some distributions' packages
    lack it, and other ones put it elsewhere.
    """
    specs = _gpu_specs(toolkit)
    if not specs:
        return None
    spec, fault = next(((spec, fault) for spec in specs for fault in map(lost, spec.hooks) if fault), (specs[0], ""))
    if fault:
        message = f"{spec.path} calls {fault}."
        remedy = _with_hook(system, spec, toolkit, tegra)
        return _complain(docker, podman, toolkit)(message, Evidence(spec.path, fault), remedy=remedy)
    for program in (hook for spec in specs for hook in spec.hooks):
        program.there.get()  # a program that could not be looked at may be gone
    return passed("The programs that the specifications call are there", toolkit.cdi)


def lost(program: SpecFile) -> str:
    """Returns why a program is not run, "" where nothing is known against it."""
    found = program.there.value
    if is_gone(program):
        return f"{program.path}, which is not there"
    if found and (found.kind != "file" or not found.mode & EXECUTABLE):
        return f"{program.path}, which is not executable"
    return ""


def _with_hook(system: System, spec: Spec, toolkit: Toolkit, tegra: Tegra) -> Remedy:
    if toolkit.ctk.value and toolkit.cdi_hook.value:
        return _regenerate(system, tegra, spec.path, "Generate it anew: the toolkit knows where its program is.")
    return install("toolkit", "Install NVIDIA's own packages of the toolkit.", system, Disturbs.NOTHING)


def _engines(
    docker: Docker, podman: Podman, crio: Crio, containerd: Containerd, toolkit: Toolkit
) -> tuple[tuple[str, str, str], ...]:
    """What reads CDI specifications here: name, title and version. Docker's own containerd does not."""
    daemon = docker.daemon.value if docker.kind.value != "podman" else None
    ctk = toolkit.ctk.value
    found = {
        "docker": daemon.version if daemon else None,
        "podman": podman.version.value,
        "crio": crio.version.value,
        "containerd": leading(containerd.version.value or "") if containerd.cri.value else None,
        TOOLKIT: leading(ctk.version) if ctk else None,
    }
    titles = {**ENGINES, TOOLKIT: TOOLKIT_TITLE}
    return tuple((name, titles[name], told) for name, told in found.items() if told and _reads_cdi(name, told))


def _reads_cdi(engine: str, version: str) -> bool:
    try:
        if engine == "docker":
            return docker_cdi(version) is not DockerCdi.IMPOSSIBLE
        return docker_version(version) >= docker_version(_SINCE[engine])
    except ValueError:  # a build of somebody's own
        return False
