"""Is there a Docker that can run GPU containers, and may this person use it?"""

from __future__ import annotations

from typing import Any

from gpuctl.checks.engine import Judgement, check, failed, passed, undetermined, warned
from gpuctl.checks.engine_here import other_engine, within_container
from gpuctl.checks.gpus import understood
from gpuctl.checks.remedies import as_root, install, service, start
from gpuctl.command import Shell, command, operands
from gpuctl.compat.knowledge.cdi import DockerCdi, docker_cdi
from gpuctl.compat.knowledge.daemon_keys import refusal, release_of, spelt, unknown_keys
from gpuctl.compat.versions import docker_version
from gpuctl.facts.containerd.containerd import Containerd
from gpuctl.facts.crio import Crio
from gpuctl.facts.docker.daemon_json import ConfigFile
from gpuctl.facts.docker.docker import RUNTIME, Daemon, Docker, Endpoint, State
from gpuctl.facts.docker.flags import MERGED
from gpuctl.facts.job_runtimes import JobRuntimes
from gpuctl.facts.machine.system import System
from gpuctl.facts.podman import Podman
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.model import Disturbs, Evidence, Fact, Remedy

MERGED_SINCE = "18.09"
"""The Docker that began to take runtimes from flags and file together (moby pull request 37871)."""
GPUS_FLAG_SINCE = "19.03"
"""Docker 19.03 brought `docker run --gpus` (API 1.40); before it, --runtime=nvidia."""
CDI_FIRST_SINCE = "29.2"
"""From Docker 29.2 on, --gpus is served through CDI where a specification exists, and does without the hook then.

It has to find nvidia-cdi-hook on its PATH when it starts: moby, daemon/devices_nvidia_linux.go."""


def daemon_of(docker: Docker) -> Daemon | None:
    """Returns what the daemon says of itself; Podman that answers as Docker is none. Raises CannotTell."""
    return None if docker.kind.value == "podman" else docker.daemon.get()


def at_least(daemon: Daemon, version: str) -> bool:
    """Returns whether this Docker is that version or newer. Raises CannotTell when its own is no version."""
    return understood(docker_version, daemon.version) >= docker_version(version)


def has_cdi_gpus(docker: Docker, toolkit: Toolkit) -> bool:
    """Returns whether this daemon has a CDI specification to give GPUs by: to --device, and to --gpus as it can."""
    daemon, cdi = docker.daemon.value, toolkit.cdi.value
    if daemon is None or not at_least(daemon, CDI_FIRST_SINCE):
        return False
    return bool(cdi and cdi.for_gpus) or any(one.startswith("nvidia.com/gpu=") for one in daemon.cdi_devices)


def gpus_by_cdi(docker: Docker, toolkit: Toolkit) -> bool:
    """Returns whether this daemon serves --gpus through a CDI specification, and needs no hook for it.

    Where dockerd's own PATH cannot be seen, ours tells whether there is nvidia-cdi-hook.
    """
    found: Fact[Any] = toolkit.cdi_hook if docker.cdi_hook_file.unknown else docker.cdi_hook_file
    return found.value is not None and has_cdi_gpus(docker, toolkit)


def only_cdi_devices(docker: Docker, toolkit: Toolkit) -> bool:
    """Returns whether CDI devices (--device nvidia.com/gpu=all) are all by which this daemon can give GPUs.

    So it is where a specification is there, and neither the hook nor the runtime: the toolkit's base package has none.
    """
    daemon, cdi = docker.daemon.value, toolkit.cdi.value
    if daemon is None or toolkit.hook.get() or RUNTIME in daemon.runtimes or has_cdi_gpus(docker, toolkit):
        return False
    return bool(cdi and cdi.in_effect()) and understood(docker_cdi, daemon.version) is not DockerCdi.IMPOSSIBLE


def none_starts(docker: Docker) -> tuple[str, str]:
    """Returns what to add to a finding and to its remedy where every container of this Docker is started by NVIDIA's
    runtime, whose program is not there; "" and "" elsewhere.

    A default runtime that is written out counts from the next reload on; one that is taken out, after a restart.
    """
    daemon, program = docker.daemon.value, docker.runtime_file
    if daemon is None or daemon.default_runtime != RUNTIME or program.value is not None or program.unknown is not None:
        return "", ""
    way = ' Without GPUs they start again once daemon.json says "default-runtime": "runc" and Docker is reloaded.'
    return " No container of this Docker starts until then: nvidia is its default runtime.", way


@check("docker.installed", explains=("docker.reachable",))
def installed(
    system: System, docker: Docker, containerd: Containerd, crio: Crio, podman: Podman, jobs: JobRuntimes
) -> Judgement | None:
    """Something has to run containers: Docker, of which a client alone runs nothing, or another engine.

    Within a container that is its host's part.
    """
    if docker.kind.value == "podman":
        return passed("Podman plays Docker's part", docker.kind)
    if docker.installed:
        return passed("Docker is installed", docker.server if docker.daemon.value is None else docker.daemon)
    if docker.state.value is not State.ABSENT:
        return None
    instead = _instead(system, docker, containerd, crio, podman, jobs)
    if instead:
        return passed(f"No Docker here: {instead.text}", instead)
    message = "Only Docker's client is installed, no daemon." if docker.client.get() else "Docker is not installed."
    remedy = install("docker", "Install Docker.", system, Disturbs.NOTHING)
    return failed(message, docker.client, docker.server, docker.daemon, docker.endpoint, remedy=remedy)


def _instead(
    system: System, docker: Docker, containerd: Containerd, crio: Crio, podman: Podman, jobs: JobRuntimes
) -> Evidence | None:
    """What runs containers in Docker's place. Raises CannotTell."""
    engine = other_engine(containerd, crio, podman)
    if not engine and docker.users.value:
        return Evidence(docker.users.source, f"a user's own is: DOCKER_HOST={docker.users.value[0]}")
    if not engine and jobs.programs.value:
        return Evidence(jobs.programs.source, f"jobs run containers by {', '.join(jobs.programs.value)}")
    if not engine and within_container(system):
        return Evidence(system.machine.source, "this is a container, whose host has the engine")
    seen = {
        "crio": Evidence(crio.process.source, "CRI-O runs"),
        "containerd": Evidence(containerd.process.source, f"{containerd.title} runs"),
        "podman": Evidence(podman.program.source, "Podman is there"),
    }
    return seen.get(engine)


@check("docker.reachable", explains=("docker.kind", "docker.version.gpus-flag"))
def reachable(system: System, docker: Docker) -> Judgement | None:
    """The daemon answers on its socket, to this user. Root and the group docker may ask it.

    One that systemd keeps ready, to be started by the first request, is left asleep.
    """
    if docker.daemon.value:
        return passed("Docker answers", docker.daemon)
    if docker.kind.value == "podman" or (docker.state.value is State.ABSENT and not docker.installed):
        return None
    seen, known = (docker.daemon, docker.endpoint), fault(system, docker)
    if known:
        return failed(known[0], *seen, remedy=known[1])
    return undetermined(docker.daemon.reason, *seen, remedy=_unasked(system, docker))


def fault(system: System, docker: Docker) -> tuple[str, Remedy] | None:
    """Returns why an installed Docker surely does not answer, and what mends it; None where that is not known."""
    endpoint = docker.endpoint.value
    if docker.state.value is State.DENIED:
        commands = as_root(system, command("usermod", "-aG", "docker", Shell.USER))
        text = "Run gpuctl as root, or join the group docker and log in again."
        return "You may not talk to Docker.", Remedy(text, commands)
    if docker.state.value not in (State.ABSENT, State.STOPPED):
        return None
    if endpoint and endpoint.chosen:
        message = f"There is no Docker at {endpoint.url}, where {endpoint.origin} points."
        return message, _other_endpoint(endpoint, "Choose this host's own Docker.")
    if docker.users.value:
        message = "The system's Docker is not running, and a user's own is."
        own = command(f"DOCKER_HOST={docker.users.value[0]}", "gpuctl", "doctor")
        return message, Remedy("Look at the user's own, if that is meant.", (own,), Disturbs.NOTHING)
    text = "Start Docker; its log says why if it does not stay up."
    return "Docker is not running.", Remedy(text, start(system, docker))


def _unasked(system: System, docker: Docker) -> Remedy:
    """What may be done about a daemon that could not be asked, for no fault that is known."""
    endpoint = docker.endpoint.value
    if endpoint is None:
        return Remedy("Choose a context that there is.", (command("docker", "context", "use", "default"),))
    if docker.state.value is State.ASLEEP:
        return Remedy("Start it, so that gpuctl can ask it.", service(system, docker, "start"))
    if docker.state.value is State.ELSEWHERE:
        return _other_endpoint(endpoint, "Run gpuctl there, or choose this host's own Docker.")
    process = docker.process.value
    look = (command("ps", "-o", "pid,stat,wchan,args", "-p", str(process.pid)),) if process else ()
    return Remedy("See what it does.", (*look, *service(system, docker, "status")))


def _other_endpoint(endpoint: Endpoint, text: str) -> Remedy:
    variable = next((name for name in ("DOCKER_HOST", "DOCKER_CONTEXT") if name in endpoint.origin), None)
    return Remedy(text, (command("unset", variable) if variable else command("docker", "context", "use", "default"),))


@check("docker.kind", explains=("registration.runtime", "registration.hook-visible", "outlook.daemon-reload"))
def kind(system: System, docker: Docker, toolkit: Toolkit) -> Judgement | None:
    """Of the ways to have Docker on Linux, Docker Desktop and a snap of before September 2024 do not reach the GPUs.

    On WSL 2 Docker Desktop does, by a toolkit of its own: https://docs.docker.com/desktop/features/gpu/
    """
    found, endpoint = docker.kind.get(), docker.endpoint.value
    if found is None or found == "remote" or endpoint is None:
        return None
    if found == "desktop" and sets_up_itself(docker, system):
        return passed("Docker is Docker Desktop, which gives this machine's GPUs by its own toolkit", docker.kind)
    if found == "desktop":
        message = "Docker Desktop runs containers in a virtual machine that has no GPU."
        remedy = _other_endpoint(endpoint, "Use this host's engine.")
        return failed(message, docker.kind, docker.endpoint, remedy=remedy)
    if found == "snap":
        return _snap(system, docker, toolkit)
    if found == "podman":
        return passed("Docker here is Podman, which takes GPUs by CDI: --device nvidia.com/gpu=all", docker.kind)
    return passed(f"Docker is the {found if found == 'rootless' else 'plain'} engine", docker.kind)


def _snap(system: System, docker: Docker, toolkit: Toolkit) -> Judgement:
    """The snap sees no program of the host's: it brings a toolkit, and registers that as `nvidia` when it starts.

    That it does where it finds the driver's libcuda.so as Ubuntu's packages link it. From 29.2 on a toolkit of the
    host's is in its way. Source: https://github.com/canonical/docker-snap (README, nvidia/lib, issue 357)
    """
    engine = install("docker", "", system, Disturbs.NOTHING).commands
    instead = (*as_root(system, command("snap", "remove", "docker")), *engine)
    if not sets_up_itself(docker, system):
        text = (
            "Use the engine from packages. Or keep the snap and refresh it: from September 2024 on it sets up GPUs by"
            " itself, where the driver is one of Ubuntu's packages."
        )
        remedy = Remedy(text, instead, Disturbs.RUNNING_CONTAINERS)
        message = "Docker is the snap, and has not set up GPUs: it sees no toolkit of the host's."
        return failed(message, docker.kind, docker.endpoint, remedy=remedy)
    daemon, beside = docker.daemon.value, toolkit.ctk.get()
    if daemon and beside and at_least(daemon, CDI_FIRST_SINCE):
        text = "Use the engine from packages. Or remove the toolkit's packages, and reboot; or ask for GPUs by"
        remedy = Remedy(f"{text} --gpus=all,driver=nvidia.runtime-hook.", instead, Disturbs.RUNNING_CONTAINERS)
        message = (
            f"Docker {daemon.version} is the snap, which starts no GPU container where the host has a toolkit too."
        )
        return failed(message, docker.kind, Evidence(toolkit.ctk.source, beside.path), remedy=remedy)
    return passed("Docker is the snap, which has set up GPUs by its own toolkit: --runtime=nvidia", docker.kind)


def sets_up_itself(docker: Docker, system: System) -> bool:
    """Returns whether this Docker brings a toolkit: the snap that has its runtime nvidia, Docker Desktop on WSL 2."""
    daemon = docker.daemon.value
    if docker.kind.value == "desktop":
        return daemon is not None and system.machine.value == "wsl2"
    return docker.kind.value == "snap" and daemon is not None and "nvidia" in daemon.runtimes


@check("docker.version.gpus-flag")
def gpus_flag(docker: Docker) -> Judgement | None:
    """Docker 19.03 brought --gpus. An older one runs GPU containers too, with --runtime=nvidia."""
    daemon = daemon_of(docker)
    if daemon is None:
        return None
    if at_least(daemon, GPUS_FLAG_SINCE):
        return passed(f"Docker {daemon.version} has --gpus", docker.daemon)
    text = "Use `docker run --runtime=nvidia` until Docker is upgraded to 19.03 or newer."
    message = f"Docker {daemon.version} is older than 19.03: no --gpus, use --runtime=nvidia."
    return warned(message, docker.daemon, remedy=Remedy(text, (), Disturbs.NOTHING))


@check("docker.client")
def client(system: System, docker: Docker) -> Judgement | None:
    """People and scripts need the docker program; gpuctl itself talks to the daemon directly."""
    if docker.daemon.value is None:
        return None
    if docker.client.get():
        return passed("The docker program is there", docker.client)
    remedy = install("docker-client", "Install Docker's client.", system, Disturbs.NOTHING)
    return warned("The docker program is not on PATH.", docker.client, remedy=remedy)


@check("docker.config-valid", explains=("docker.log", "docker.reachable"))
def config_valid(system: System, docker: Docker) -> Judgement | None:
    """A broken daemon.json leaves a running daemon on its old settings, and keeps it from starting the next time.

    dockerd refuses broken JSON, keys that it does not know, values of the wrong kind, and a default runtime that is
    not registered. It takes the file whoever wrote it, and runs as root what that names.
    """
    if docker.config_open.value:
        place = docker.config_open.value
        commands = as_root(system, command("chmod", "o-w", *operands(place)))
        remedy = Remedy("Close it to others, and see what stands in it.", commands)
        message = f"Every user may write to {place}, and so name what dockerd runs."
        return failed(message, docker.config_open, remedy=remedy)
    config, daemon = docker.config.get(), docker.daemon.value
    release = release_of(daemon.version) if daemon else None
    if docker.kind.value == "podman":
        return None
    if config is None:
        return passed("There is no daemon.json; Docker runs on its defaults", docker.config)
    remedy = Remedy("Mend the file.", (command(Shell.EDITOR, *operands(config.path)),))
    broken = config.error or refusal(config.kinds, release) or _no_such_default(config, docker)
    if broken:
        return failed(f"{config.path} is broken: {broken}.", Evidence(config.path, broken), remedy=remedy)
    doubtful = _doubtful(config, release)
    if doubtful:
        return warned(f"{config.path} is doubtful: {doubtful}.", Evidence(config.path, doubtful), remedy=remedy)
    return passed(f"{config.path} is valid", Evidence(config.path, ", ".join(sorted(config.keys)) or "empty"))


def _no_such_default(config: ConfigFile, docker: Docker) -> str | None:
    """What keeps dockerd from starting, though --validate accepts it. A shim's name or path needs no registration."""
    default, daemon = config.default_runtime or "runc", docker.daemon.value
    registered = {"runc", *config.runtimes, *(daemon.runtimes if daemon else ())}
    if default in registered or default.startswith(("io.containerd.", "/")) or "runtimes" in (docker.flags.value or ()):
        return None
    return f"its default runtime `{default}` is not registered"


def _doubtful(config: ConfigFile, release: str | None) -> str | None:
    """What dockerd may refuse, or ignores, or reads in another way than a person does."""
    unknown = unknown_keys(config.kinds, release)
    if unknown:
        whom = f"Docker {release}" if release else "Docker"
        return f"{whom} may not know `{unknown[0]}`{spelt(unknown[0])}"
    if config.duplicates:
        return (
            f"`{config.duplicates[0]}` stands in it twice: Docker takes the last, `gpuctl install-runtime` refuses it"
        )
    return None


@check("docker.flag-conflict", explains=("docker.log", "docker.reachable"))
def flag_conflict(system: System, docker: Docker) -> Judgement | None:
    """dockerd refuses to start when a setting is both a flag on its command line and a key of daemon.json.

    From 18.09 on it merges the runtimes of both places.
    """
    config, daemon = docker.config.get(), docker.daemon.value
    if config is None or (daemon is None and docker.flags.value is None):
        return None
    merged = MERGED if daemon is None or at_least(daemon, MERGED_SINCE) else frozenset()
    twice = sorted((docker.flags.get() or frozenset()) & config.keys - merged)
    if not twice:
        return passed("No setting is both a flag and in daemon.json", docker.flags)
    text = "Keep the setting in one place, best in daemon.json: take the flag off dockerd's command line."
    remedy = Remedy(text, service(system, docker, "edit", "--full") if docker.unit.value else ())
    message = f"`{twice[0]}` is both a dockerd flag and in {config.path}: Docker will not start again."
    return failed(message, docker.flags, Evidence(config.path, ", ".join(twice)), remedy=remedy)
