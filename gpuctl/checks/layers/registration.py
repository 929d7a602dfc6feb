"""Does Docker know the NVIDIA runtime, and does --gpus work in the daemon that runs now?"""

from __future__ import annotations

from collections.abc import Sequence

from gpuctl.checks.compare.dates import changed_at
from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.engine_here import is_outside
from gpuctl.checks.layers.docker import (
    CDI_FIRST_SINCE,
    GPUS_FLAG_SINCE,
    at_least,
    daemon_of,
    gpus_by_cdi,
    has_cdi_gpus,
    none_starts,
    only_cdi_devices,
)
from gpuctl.checks.paths.containers import DockerPaths, asks_by_flag
from gpuctl.checks.remedies import as_root, generate_cdi, install_runtime, install_toolkit, service
from gpuctl.command import Shell, command, operands
from gpuctl.facts.docker.containers import DockerContainers
from gpuctl.facts.docker.docker import Daemon, Docker, Process
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.history import PackageHistory
from gpuctl.facts.packages.logs import TOOLKIT
from gpuctl.facts.toolkit.toolkit import CDI_HOOK, HOOK, Toolkit
from gpuctl.model import Action, CannotTell, Disturbs, Evidence, Remedy

HOOK_VISIBLE, RESTART_NEEDED = "registration.hook-visible", "registration.restart-needed"
CLOCKS_AGREE = 0.02
"""Seconds within which two times count as one: a process's start is cut to ticks of a hundredth, and a file's time may
lag by a tick too. dockerd looks for the hook no sooner than that after its start."""
HOOK_PACKAGES = ("nvidia-container-toolkit", "nvidia-container-runtime-hook")
"""What brings nvidia-container-runtime-hook: the second up to toolkit 1.0."""
CDI_HOOK_PACKAGES = ("nvidia-container-toolkit-base",)
"""What brings nvidia-cdi-hook."""
_BY_DEVICE = (
    "Use --device nvidia.com/gpu=all, which the specification serves; --gpus works once one of the programs is on"
    " dockerd's PATH and Docker has been restarted."
)
MINUTE = 60.0
"""Seconds: the logs of packages tell times to the minute."""


@check("registration.runtime", explains=("registration.default-runtime",))
def runtime(system: System, docker: Docker, toolkit: Toolkit) -> Judgement | None:
    """`runtimes.nvidia` in daemon.json makes `docker run --runtime=nvidia` work, from the next reload (SIGHUP) on."""
    daemon = daemon_of(docker)
    if daemon is None:
        return None
    seen = Evidence(docker.daemon.source, f"runtimes: {', '.join(sorted(daemon.runtimes))}")
    if "nvidia" in daemon.runtimes:
        return passed("Docker has the runtime nvidia", seen)
    if docker.kind.value == "desktop":  # by which way it gives them it does not tell
        return passed("Docker Desktop gives GPUs without a runtime of that name", seen)
    if has_cdi_gpus(docker, toolkit) or only_cdi_devices(docker, toolkit):
        return passed("Docker goes by the CDI specification, without the runtime nvidia", toolkit.cdi)
    remedy = _register(system, docker, "Register the runtime; no container is stopped.")
    return failed("Docker has no runtime called nvidia.", seen, remedy=remedy)


def _register(system: System, docker: Docker, text: str, *options: str) -> Remedy:
    """By this person alone where the Docker is the person's own: root's gpuctl would set up the system's."""
    if docker.kind.value == "rootless":
        return Remedy(text, (command("gpuctl", "install-runtime", *options),), Disturbs.NOTHING)
    return install_runtime(system, text, *options)


@check("registration.config-applied", explains=("registration.runtime",))
def config_applied(system: System, docker: Docker) -> Judgement | None:
    """An edit of daemon.json counts once Docker was told: the file may name a runtime that the daemon does not know."""
    daemon, config = daemon_of(docker), docker.config.get()
    if daemon is None or config is None or "nvidia" not in config.runtimes:
        return None
    seen = Evidence(config.path, f"runtimes.nvidia = {config.runtimes['nvidia']}")
    if "nvidia" in daemon.runtimes:
        return passed("Docker has taken up daemon.json's runtimes", seen)
    remedy = _register(system, docker, "Have Docker reload its file.")
    return failed(f"{config.path} names the runtime nvidia, and Docker has not taken it up.", seen, remedy=remedy)


@check("registration.runtime-path")
def runtime_path(system: System, docker: Docker) -> Judgement | None:
    """Docker accepts a runtime whose program does not exist, and fails only when a container starts."""
    daemon = daemon_of(docker)
    if daemon is None or "nvidia" not in daemon.runtimes or is_outside(docker, system):
        return None
    path = daemon.runtimes["nvidia"] or "nvidia-container-runtime"
    if docker.runtime_file.get():
        return passed(f"The registered runtime is there: {docker.runtime_file.value}", docker.runtime_file)
    also, way = none_starts(docker)
    remedy = _register(system, docker, f"Register the program that is there.{way}", "--force")
    message = f"The registered runtime {path} is not an executable program.{also}"
    return failed(message, docker.runtime_file, remedy=remedy)


@check("registration.default-runtime")
def default_runtime(system: System, docker: Docker) -> Judgement | None:
    """With nvidia as the default runtime, images that ask for GPUs get them without --gpus, as Kubernetes may need.

    It is a choice: both ways are good. A default that names no known runtime is not.
    """
    daemon = daemon_of(docker)
    if daemon is None:
        return None
    name = daemon.default_runtime
    seen = Evidence(docker.daemon.source, f"default runtime: {name}")
    if name in daemon.runtimes:
        return passed(f"The default runtime is {name}", seen)
    commands = (command(Shell.EDITOR, *operands(docker.config.source)), *service(system, docker, "reload"))
    remedy = Remedy("Name a registered runtime in daemon.json's default-runtime, then reload Docker.", commands)
    return failed(f"The default runtime {name} is not registered.", seen, remedy=remedy)


@check(HOOK_VISIBLE)
def hook_visible(system: System, here: DockerPaths) -> Judgement | None:
    """dockerd looks for nvidia-container-runtime-hook on its own PATH, which is not the one of a login shell.

    Docker 29.2 and later looks for nvidia-cdi-hook too; a specification without either of them serves --device alone.
    """
    docker, toolkit = here.docker, here.toolkit
    daemon = daemon_of(docker)
    if daemon is None or not at_least(daemon, GPUS_FLAG_SINCE) or is_outside(docker, system):
        return None
    if docker.process.get() is None or here.hook_refuses:
        return None
    if docker.hook_file.get():
        return passed("dockerd finds the hook on its PATH", docker.hook_file)
    if here.tegra.by_csv or gpus_by_cdi(docker, toolkit):
        return None
    return _hook_out_of_sight(system, docker, daemon, toolkit)


def _hook_out_of_sight(system: System, docker: Docker, daemon: Daemon, toolkit: Toolkit) -> Judgement:
    """How containers get GPUs all the same, or what lets dockerd find the hook."""
    if has_cdi_gpus(docker, toolkit):
        message = f"dockerd finds neither {CDI_HOOK} nor {HOOK} on its PATH: --gpus will not work."
        return warned(message, docker.cdi_hook_file, remedy=Remedy(_BY_DEVICE, disturbs=Disturbs.NOTHING))
    hook = toolkit.hook.get()
    if only_cdi_devices(docker, toolkit):
        remedy = install_toolkit(system, "Use --device nvidia.com/gpu=all, or install the whole toolkit for --gpus.")
        return warned("--gpus will not work: containers get GPUs as CDI devices here.", toolkit.cdi, remedy=remedy)
    if hook is None:
        remedy = install_toolkit(system, "Install the whole toolkit.")
        return failed(f"{HOOK} is missing: --gpus will not work.", docker.hook_file, remedy=remedy)
    link = command("ln", "-s", *operands(hook.path, f"{_on_path_of(docker)}/{HOOK}"))
    remedy = Remedy(
        "Link the hook to where dockerd looks, then restart Docker.",
        (*as_root(system, link), *service(system, docker, "restart")),
        Disturbs.NOTHING if daemon.live_restore else Disturbs.RUNNING_CONTAINERS,
    )
    return failed(f"dockerd does not find {HOOK} on its PATH.", docker.hook_file, remedy=remedy)


def _on_path_of(docker: Docker) -> str:
    """A folder in which dockerd looks for programs: the usual one, where it is among them."""
    folders = (docker.process.value.path or "").split(":") if docker.process.value else []
    return "/usr/bin" if "/usr/bin" in folders or not folders else folders[0]


@check(RESTART_NEEDED, follows=TOOLKIT)
def restart_needed(
    system: System, here: DockerPaths, containers: DockerContainers, history: PackageHistory
) -> Judgement | None:
    """dockerd looks for the hook once, at its start: installed later, --gpus works after a restart, not a reload.

    Docker 29.2 and later looks for nvidia-cdi-hook too, and does with that where a CDI specification names the GPUs;
    where it has found neither, it says "AMD CDI spec not found", or that it knows no GPU vendor. A hook that was there
    at the start may be replaced: dockerd calls it by its name. With live-restore on, or no container running, the
    restart stops nothing.
    """
    docker, toolkit = here.docker, here.toolkit
    daemon, process = daemon_of(docker), None if is_outside(docker, system) else docker.process.get()
    if daemon is None or process is None or here.tegra.by_csv or not at_least(daemon, GPUS_FLAG_SINCE):
        return None
    by_cdi = gpus_by_cdi(docker, toolkit)
    times = {toolkit.hook_changed.source: toolkit.hook_changed.get()}
    if by_cdi:
        times[toolkit.cdi_hook_changed.source] = toolkit.cdi_hook_changed.get()
    first = min(((at, source) for source, at in times.items() if at is not None), default=None)
    if first is None:
        return None
    changed, source = first
    seen = Evidence(source, f"hook changed {changed - process.started:+.0f} s after dockerd started")
    if changed <= process.started + CLOCKS_AGREE:
        return passed("dockerd has started since the hook was installed", seen)
    packages = (HOOK_PACKAGES, CDI_HOOK_PACKAGES) if by_cdi else (HOOK_PACKAGES,)
    replaced = (_replaced_since(process, history, one) for one in packages)
    known = _known_by(process, containers) or next(filter(None, replaced), None)
    if known:
        return passed("dockerd knows the hook, which was replaced since", seen, known)
    stops = 0 if daemon.live_restore else daemon.containers_running
    meanwhile = "--runtime=nvidia" if "nvidia" in daemon.runtimes or not by_cdi else "--device nvidia.com/gpu=all"
    text = f"Restart Docker when it suits (stops {stops} running containers); until then use {meanwhile}."
    disturbs = Disturbs.RUNNING_CONTAINERS if stops else Disturbs.NOTHING
    remedy = Remedy(text, service(system, docker, "restart"), disturbs)
    message = "The toolkit is newer than the running dockerd: --gpus may not work yet."
    return warned(message, seen, remedy=remedy, action=Action.RESTART if stops else Action.MEND)


def _known_by(process: Process, containers: DockerContainers) -> Evidence | None:
    """A container that this very dockerd has started with --gpus: without a hook it refuses to."""
    started = (one for one in containers.running.value or () if one.started > process.started)
    shown = next(filter(asks_by_flag, started), None)
    return Evidence(containers.running.source, f"{shown.name} has started with --gpus") if shown else None


def _replaced_since(process: Process, history: PackageHistory, packages: Sequence[str]) -> Evidence | None:
    """The first change of a hook's packages since dockerd started, where that did not bring it."""
    changes = (one for one in history.changes.value or () if one.package in packages)
    try:
        first = next((one for one in changes if changed_at(one, history) + MINUTE > process.started), None)
    except CannotTell:
        return None
    if first is None or first.action == "installed":
        return None
    return Evidence(history.changes.source, f"{first.at} {first.package} {first.action}")


@check("registration.cdi", explains=(HOOK_VISIBLE,))
def cdi(system: System, docker: Docker, toolkit: Toolkit, tegra: Tegra) -> Judgement | None:
    """From Docker 29.2 on, --gpus is served through CDI where a specification exists, else by the hook.

    By CDI only where dockerd finds nvidia-cdi-hook, too: moby, daemon/devices_nvidia_linux.go.
    """
    daemon = daemon_of(docker)
    if daemon is None or not at_least(daemon, CDI_FIRST_SINCE):
        return None
    specs = toolkit.cdi.get()
    if gpus_by_cdi(docker, toolkit) or docker.hook_file.value:
        return passed("--gpus has a CDI specification or the hook", toolkit.cdi)
    if docker.cdi_hook_file.get() is None:
        return None  # a specification alone would not help: dockerd lacks both programs
    commands = as_root(system, generate_cdi(tegra, "/etc/cdi/nvidia.yaml"))
    lacks = "no specification names a GPU" if specs else "there is no specification"
    message = f"Docker {daemon.version} serves --gpus through CDI, and {lacks}."
    return failed(message, toolkit.cdi, remedy=Remedy("Write the specification.", commands))
