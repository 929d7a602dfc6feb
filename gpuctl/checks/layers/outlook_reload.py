"""Which running containers lose their GPUs when systemd is told to read its units anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpuctl.checks.engine import Judgement, check, passed, warned
from gpuctl.checks.gpus import understood
from gpuctl.checks.layers.docker import at_least
from gpuctl.checks.paths.containers import DockerPaths, Paths
from gpuctl.checks.paths.ways import BEHIND_THE_RUNTIME, GpuPath
from gpuctl.checks.remedies import as_root, generate_cdi
from gpuctl.command import Command, Shell, command, operands
from gpuctl.compat.knowledge.releases import docker_features
from gpuctl.compat.versions import docker_version
from gpuctl.facts.docker.containers import DockerContainers
from gpuctl.facts.docker.docker import Daemon, Docker
from gpuctl.facts.gpu.devices import Devices
from gpuctl.facts.machine.scopes import Scope, Scopes
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.automatic_upgrades import AutomaticUpgrades
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.frozen import dataclass
from gpuctl.model import ENGINES, Disturbs, Evidence, Remedy
from gpuctl.regex import regex

LINKS = command("nvidia-ctk", "system", "create-dev-char-symlinks", "--create-all")
_OPENS = regex(r"(?:/dev/char/195:255|/dev/nvidiactl|char-(?:195|nvidia(?:-frontend)?|\*)) r")
"""An entry of systemd's rules that allows what every program opens first, /dev/nvidiactl (195:255)."""
NAMED = 3
"""Containers that are named where many lose theirs."""
SKIPS_UNLINKED = ("1.1.3", "1.1.7")
"""From the first on runc tells systemd only of devices that have a link in /dev/char, before the second. Source:
https://github.com/opencontainers/runc/blob/v1.1.7/CHANGELOG.md"""


@dataclass(frozen=True)
class Held:
    """A running container with GPUs: its name, the path that gave them where Docker tells, and systemd's rules for it.

    Without rules systemd has none that can be seen: then the path tells what becomes of it.
    """

    engine: str
    name: str
    path: GpuPath | None
    rules: Scope | None


@check("outlook.daemon-reload")
def daemon_reload(
    system: System,
    here: DockerPaths,
    containers: DockerContainers,
    scopes: Scopes,
    devices: Devices,
    upgrades: AutomaticUpgrades,
) -> Judgement | None:
    """A `systemctl daemon-reload` sets the device rules of containers anew, as systemd was told them at their start.

    GPUs that libnvidia-container gave afterwards (--gpus by the hook, --runtime=nvidia in mode legacy) are lost then
    ("Failed to initialize NVML: Unknown Error"), with links in /dev/char or without. Those in a container's own rules
    (CDI, just-in-time CDI, --device) stay; only runc 1.1.3 to 1.1.6 needs links for that. With the cgroup driver
    cgroupfs systemd has no rules. Packages that bring a service reload systemd; `docker update` does the same to one
    container, as Kubernetes' CPU manager did.
    Source: https://github.com/NVIDIA/nvidia-container-toolkit/issues/48
    """
    docker, toolkit = here.docker, here.toolkit
    daemon, nodes = docker.daemon.get(), devices.nodes.get() or ()
    ways, linked = here.paths, _linked(devices, toolkit)
    held = (*_in_docker(docker, containers, scopes, ways), *_elsewhere(scopes))
    if not nodes or (daemon is None and not held):
        return None
    told = [Evidence(one.engine, f"{one.name}: {one.path.value if one.path else _rules(one)}") for one in held]
    losing = [one for one in held if _loses(one, linked)]
    if losing:
        message = f"The next `systemctl daemon-reload` takes the GPUs from {_count(losing, held)}."
        return warned(message + _reloads(upgrades), *told, upgrades.by, remedy=_remedy(system, here, ways, losing))
    if daemon is not None and not held and _by_systemd(docker, daemon):
        return _of_the_next(system, here, daemon, ways, linked)
    return passed("A daemon-reload leaves running containers their GPUs", *told, *_driver(docker))


def _in_docker(docker: Docker, containers: DockerContainers, scopes: Scopes, ways: Paths) -> Iterator[Held]:
    """Docker's containers with GPUs, of which systemd may have rules."""
    daemon = docker.daemon.value
    if daemon is None or not _by_systemd(docker, daemon):
        return
    rules = {one.container: one for one in scopes.containers.value or ()}
    for one in containers.running.value or ():
        path = ways.of(one)
        if path:
            yield Held("Docker", one.name, path, rules.get(one.id))


def _elsewhere(scopes: Scopes) -> Iterator[Held]:
    """Those of other engines, by what is mounted in them."""
    found = (one for one in scopes.containers.value or () if one.gpus and one.engine != "Docker")
    return (Held(one.engine, one.container[:12], None, one) for one in found)


def _by_systemd(docker: Docker, daemon: Daemon) -> bool:
    """Whether systemd keeps its containers' device rules. A rootless Docker sets none: that takes a right of root's."""
    return daemon.cgroup_driver == "systemd" and docker.kind.value not in ("rootless", "podman")


def _linked(devices: Devices, toolkit: Toolkit) -> bool:
    """Whether runc tells systemd of NVIDIA's devices where they are in a container's own rules."""
    told = toolkit.runc.value.version if toolkit.runc.value else ""
    first, mended = map(docker_version, SKIPS_UNLINKED)
    if not told or not first <= understood(docker_version, told) < mended:
        return True
    numbers = {f"{node.major}:{node.minor}" for node in devices.nodes.value or ()}
    return numbers <= {*(devices.numbered.value or ())}


def _loses(one: Held, linked: bool) -> bool:
    """By systemd's own rules where they can be seen, else by what the path makes of them."""
    if one.rules:
        return one.rules.strict and not any(_OPENS.match(entry) for entry in one.rules.allowed)
    return one.path in BEHIND_THE_RUNTIME or not linked


def _rules(one: Held) -> str:
    return f"systemd's rules have {'NVIDIA devices' if not _loses(one, True) else 'no NVIDIA device'}"


def _count(losing: Sequence[Held], held: Sequence[Held]) -> str:
    names = ", ".join(one.name for one in losing[:NAMED]) + (", …" if len(losing) > NAMED else "")
    some = str(len(losing)) if len(losing) == len(held) else f"{len(losing)} of {len(held)}"
    return f"{some} running container{'s' if len(held) > 1 else ''} with GPUs ({names})"


def _reloads(upgrades: AutomaticUpgrades) -> str:
    """What reloads systemd here while nobody looks on: packages that bring a service."""
    return f" {upgrades.by.value} runs one when it upgrades a service." if upgrades.by.value else ""


def _driver(docker: Docker) -> tuple[Evidence, ...]:
    daemon = docker.daemon.value
    return (Evidence(docker.daemon.source, f"cgroup driver {daemon.cgroup_driver}"),) if daemon else ()


def _of_the_next(system: System, here: DockerPaths, daemon: Daemon, ways: Paths, linked: bool) -> Judgement | None:
    """What becomes of containers that are started with GPUs, where none with GPUs is seen to run."""
    path = here.of_the_next(daemon.default_runtime)
    if path is None:
        return None
    would = Held("Docker", "", path, None)
    if not _loses(would, linked):
        return passed(f"A daemon-reload leaves containers their GPUs ({path.value})", *_driver(here.docker))
    message = f"A `systemctl daemon-reload` takes the GPUs from containers that get them so: {path.value}."
    return warned(message, *_driver(here.docker), remedy=_remedy(system, here, ways, [would]))


def _remedy(system: System, here: DockerPaths, ways: Paths, losing: Sequence[Held]) -> Remedy:
    """What keeps the GPUs from the container's next start on; those that run go on as they are."""
    daemon = here.docker.daemon.value
    running = any(one.name for one in losing) or (daemon is not None and daemon.containers_running > 0)
    disturbs = Disturbs.RUNNING_CONTAINERS if running else Disturbs.NEW_CONTAINERS
    if all(one.path and one.path not in BEHIND_THE_RUNTIME for one in losing):
        text = f"Upgrade runc to {SKIPS_UNLINKED[1]} or newer, or make the links at every boot; then start them anew."
        return Remedy(text, as_root(system, LINKS), disturbs)
    text, commands, by_hand = _other_path(here, ways, losing)
    said = f"{text} Or start them anew after each daemon-reload."
    return Remedy(said, as_root(system, *commands), disturbs, as_root(system, *by_hand))


def _other_path(
    here: DockerPaths, ways: Paths, losing: Sequence[Held]
) -> tuple[str, tuple[Command, ...], tuple[Command, ...]]:
    """What puts the GPUs into a container's own rules, or else takes the rules from systemd; what sets that up.

    And what does so by hand, where that is no more than to write a specification.
    """
    docker, toolkit = here.docker, here.toolkit
    spec = () if toolkit.cdi.value else (generate_cdi(here.tegra, "/etc/cdi/nvidia.yaml"),)
    daemon = docker.daemon.value
    if not any(one.path for one in losing) or daemon is None:
        engines = {id for id, title in ENGINES.items() if title in {one.engine for one in losing}}
        own = (command("gpuctl", "install-runtime", "--engine", *engines, "--cdi"),) if len(engines) == 1 else ()
        text = "Have the engine give GPUs by CDI, and start the containers anew."
        return (text, own, spec) if own and spec else (text, spec, ())
    if ways.runtimes["nvidia"] not in BEHIND_THE_RUNTIME:
        return "Start the containers anew with --runtime=nvidia in place of --gpus.", (), ()
    if not at_least(daemon, docker_features()["cdi-opt-in"].since) or toolkit.ctk.value is None:
        text = 'Set "exec-opts": ["native.cgroupdriver=cgroupfs"] in daemon.json, and restart Docker.'
        return text, (command(Shell.EDITOR, *operands(docker.config.source)),), ()
    text = "Start the containers anew with --device nvidia.com/gpu=all in place of --gpus."
    has_switch = not at_least(daemon, docker_features()["cdi-by-default"].since)
    own = (command("gpuctl", "install-runtime", "--cdi"),) if spec or has_switch else ()
    return text, own, () if has_switch else spec
