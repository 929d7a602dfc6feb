"""Do the CDI specifications say what is so, and do the engines here take them?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.gpus import understood
from gpuctl.checks.layers.docker import gpus_by_cdi
from gpuctl.checks.remedies import as_root, install
from gpuctl.command import Shell, command, operands
from gpuctl.compat.knowledge.cdi import CRIO_SINCE, PODMAN_SINCE, DockerCdi, docker_cdi, refusal
from gpuctl.compat.versions import compare, docker_version, leading
from gpuctl.facts.crio import Crio
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.logs import DRIVER
from gpuctl.facts.podman import Podman
from gpuctl.facts.toolkit.cdi import Spec, SpecNode
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.model import ENGINES, CannotTell, Disturbs, Evidence, Remedy

OTHERS_READ = 0o004
HOOK_PROGRAM_SINCE = "1.16.0"
_SINCE = {"podman": PODMAN_SINCE, "crio": CRIO_SINCE}


def _regenerate(system: System, path: str, text: str) -> Remedy:
    return Remedy(text, as_root(system, command("nvidia-ctk", "cdi", "generate", f"--output={path}")))


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
    specs = [spec.get() for spec in cdi.specs]
    broken = next((spec for spec in specs if spec and spec.error), None)
    if broken:
        remedy = Remedy("Write it anew, or move it away.", (command(Shell.EDITOR, *operands(broken.path)),))
        message = f"{broken.path} is no CDI specification: {broken.error}."
        complain = warned if cdi.in_effect() else _complain(docker, podman, toolkit)
        return complain(message, Evidence(broken.path, broken.error or ""), remedy=remedy)
    closed = next((spec for spec in specs if spec and spec.mode is not None and not spec.mode & OTHERS_READ), None)
    if closed and podman.program.value:
        remedy = Remedy("Let all read it.", as_root(system, command("chmod", "0644", *operands(closed.path))))
        seen = Evidence(closed.path, f"mode {closed.mode:o}")
        return warned(f"Only root can read {closed.path}: rootless Podman finds no GPU.", seen, remedy=remedy)
    return passed(f"{len(specs)} CDI specifications can be read", toolkit.cdi)


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
        return passed("No device is named by two CDI specifications of one folder", toolkit.cdi)
    name, paths = next(iter(conflicts.items()))
    move = command("mv", *operands(paths[-1], f"{paths[-1]}.old"))
    remedy = Remedy("Keep one of them, and move the others away.", as_root(system, move))
    message = f"{name} is in {' and in '.join(paths)}: no engine resolves it."
    return _complain(docker, podman, toolkit)(message, Evidence(name, ", ".join(paths)), remedy=remedy)


@check("cdi.stale", follows=DRIVER)
def stale(system: System, docker: Docker, podman: Podman, driver: Driver, toolkit: Toolkit) -> Judgement | None:
    """A specification holds names of libraries and may hold device numbers, which an upgrade or a boot changes.

    Device numbers of nvidia-uvm and nvidia-caps are given out anew at every boot.
    """
    specs = _gpu_specs(toolkit)
    if not specs:
        return None
    spec, fault = stale_spec(specs, driver) or (specs[0], "")
    if not fault:
        return passed("The CDI specifications fit the driver and the device nodes", toolkit.cdi, driver.version)
    remedy = _regenerate(system, spec.path, "Generate it anew.")
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
    if spec.gone:
        return f"it mounts {spec.gone[0]}, which is not there"
    return next(filter(None, map(moved, spec.nodes)), "")


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


@check("cdi.version")
def version(docker: Docker, podman: Podman, crio: Crio, toolkit: Toolkit) -> Judgement | None:
    """Engines refuse a specification whose cdiVersion is newer than they know: toolkit 1.19.1 and later write 0.7.0."""
    specs, engines = _gpu_specs(toolkit), _engines(docker, podman, crio)
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
    remedy = Remedy(f"{upgrade} a toolkit before 1.19.1 generate the file.")
    taker = f"{title} {row.since} is the first" if row.since else "no release is known"
    message = f"This {title} refuses {spec.path}: {taker} to take version {spec.version}."
    ground = f"since {row.since}" if row.since else f"{title} {row.refused_by} refuses it"
    return _complain(docker, podman, toolkit)(message, seen, Evidence(row.source, ground), remedy=remedy)


@check("cdi.feature")
def feature(system: System, docker: Docker, toolkit: Toolkit) -> Judgement | None:
    """Docker 25.0 to 28.1 takes CDI devices only where features.cdi is set: `could not select device driver "cdi"`."""
    daemon = docker.daemon.value
    if daemon is None or docker.kind.value == "podman" or not _gpu_specs(toolkit):
        return None
    seen = Evidence(docker.daemon.source, f"CDI folders: {', '.join(daemon.cdi_spec_dirs) or 'none'}")
    if daemon.cdi_spec_dirs or understood(docker_cdi, daemon.version) is not DockerCdi.OPT_IN:
        return passed("Docker takes CDI devices, or is too old for them", seen)
    switch = command("gpuctl", "install-runtime", "--cdi")
    remedy = Remedy("Switch CDI on, and restart Docker when it suits.", as_root(system, switch))
    return warned("There is a CDI specification, and Docker's CDI is off (features.cdi).", seen, remedy=remedy)


@check("cdi.podman")
def podman_version(podman: Podman, toolkit: Toolkit) -> Judgement | None:
    """Podman before 4.1 takes `--device nvidia.com/gpu=all` for the path of a device."""
    told = podman.version.get()
    if told is None or not _gpu_specs(toolkit):
        return None
    if understood(docker_version, told) >= docker_version(PODMAN_SINCE):
        return passed(f"Podman {told} takes CDI devices", podman.version)
    remedy = Remedy(f"Upgrade Podman to {PODMAN_SINCE} or later.")
    return warned(f"Podman {told} does not take CDI devices.", podman.version, remedy=remedy)


@check("cdi.hook-program")
def hook_program(system: System, toolkit: Toolkit) -> Judgement | None:
    """Specifications of toolkit 1.16 and later call nvidia-cdi-hook, which some distributions' packages lack."""
    ctk = toolkit.ctk.get()
    if ctk is None or not leading(ctk.version) or not _gpu_specs(toolkit):
        return None
    if compare(leading(ctk.version), HOOK_PROGRAM_SINCE) < 0 or toolkit.cdi_hook.get():
        return passed("The program that the specifications call is there", toolkit.cdi_hook)
    remedy = install("toolkit", "Install NVIDIA's own packages of the toolkit.", system, Disturbs.NOTHING)
    message = "nvidia-cdi-hook, which CDI specifications call, is missing."
    return warned(message, toolkit.cdi_hook, remedy=remedy)


def _engines(docker: Docker, podman: Podman, crio: Crio) -> tuple[tuple[str, str, str], ...]:
    """The engines here that read CDI specifications: name, title and version."""
    daemon = docker.daemon.value if docker.kind.value != "podman" else None
    found = {
        "docker": daemon.version if daemon else None,
        "podman": podman.version.value,
        "crio": crio.version.value,
    }
    return tuple(
        (name, ENGINES[name], version) for name, version in found.items() if version and _reads_cdi(name, version)
    )


def _reads_cdi(engine: str, version: str) -> bool:
    try:
        if engine == "docker":
            return docker_cdi(version) is not DockerCdi.IMPOSSIBLE
        return docker_version(version) >= docker_version(_SINCE[engine])
    except ValueError:  # a build of somebody's own
        return False
