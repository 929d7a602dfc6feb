"""From facts to the container that will be run, or to the reason why there cannot be one."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import TypeVar

from gpuctl.checks.engine_here import POD, engine_here, title_of
from gpuctl.checks.select import finding
from gpuctl.command import command
from gpuctl.compat.knowledge.gpus.gpus import gpu_of_nvml
from gpuctl.compat.versions import compare, leading
from gpuctl.facts.containerd.containerd import Containerd
from gpuctl.facts.docker.docker import RUNTIME, Daemon, Docker
from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.system import System
from gpuctl.facts.podman import Podman
from gpuctl.model import ENGINES, CannotTell, Remedy, Report, Status
from gpuctl.smoke.client import PODS, Client, CtrClient, PodmanClient, full_name, local_images
from gpuctl.smoke.compare import Expected, NotOnThisHost, expect
from gpuctl.smoke.container import ContainerSpec, EngineError
from gpuctl.smoke.deep import Program, program_for
from gpuctl.smoke.explain import DOCTOR
from gpuctl.smoke.images import choose_image
from gpuctl.smoke.request import ALL, GpuRequest
from gpuctl.smoke.result import NoPlan, OnHost, SmokePlan, SmokeWish

T = TypeVar("T")

DEVICE_REQUESTS_SINCE = "1.40"
"""The API version of Docker 19.03, from which on a container can ask for GPUs (--gpus)."""
PROGRAM = "nvidia-container-runtime"
_OTHER_ENGINE = Remedy("Test the engine that is here.", (command("gpuctl", "smoke"),))
_REGISTER = Remedy("Register it.", (command("gpuctl", "install-runtime", "--engine", "containerd"),))
_POD = Remedy(
    f"Start {POD} and the program nvidia-smi; the node offers it where it is listed.",
    (command("kubectl", "get", "runtimeclasses"),),
)
_HOST_LAYERS = ("hardware", "kernel", "driver")
_THERE = Remedy("Run it on the host where the daemon is.", (command("gpuctl", "smoke"),))
_WHICH_GPUS = Remedy("See which GPUs there are.", (command("nvidia-smi", "-L"),))
_OWN_IMAGE = Remedy("Name an image of your own.", (command("gpuctl", "smoke", "--image", "NAME"),))


_JETSON = "A Jetson without NVML: gpuctl cannot tell what a container has to see, and so not whether it sees it."
_CHECK = Remedy("Ask which CUDA runs here.", (command("gpuctl", "check", "--cuda", "X.Y"),))


def make_plan(wish: SmokeWish, facts: Facts, report: Report) -> SmokePlan:
    """Returns what to run for the wish on this host; `report` is the doctor's. Raises NoPlan with the reason."""
    engine = wish.engine or engine_here(facts) or "docker"
    return _plan_by_docker(wish, facts, report) if engine == "docker" else _plan_by_client(engine, wish, facts, report)


def _plan_by_docker(wish: SmokeWish, facts: Facts, report: Report) -> SmokePlan:
    endpoint, daemon = _daemon(facts, report)
    expected = _expected(wish.gpus, facts, report)
    image = wish.image or _image(facts, daemon.images, expected)
    has_gpus_flag = compare(leading(daemon.api_version) or "0", DEVICE_REQUESTS_SINCE) >= 0
    runtime = wish.runtime or (None if has_gpus_flag else "nvidia")
    program = _program(wish, facts) if wish.deep else None
    return SmokePlan(
        ENGINES["docker"], daemon.version, ContainerSpec(image, wish.gpus, runtime, program), expected, endpoint
    )


def _plan_by_client(engine: str, wish: SmokeWish, facts: Facts, report: Report) -> SmokePlan:
    client, version = _client(engine, wish, facts, report)
    expected = _expected(wish.gpus, facts, report)
    try:
        local = () if wish.image or wish.dry_run else local_images(client)
    except EngineError as error:
        way = _POD if engine == "containerd" else DOCTOR
        raise NoPlan(None, f"{client.images()[0]} does not answer: {error}.", way) from None
    image = full_name(wish.image or _image(facts, local, expected))
    program = _program(wish, facts) if wish.deep else None
    spec = ContainerSpec(image, wish.gpus, wish.runtime, program)
    return SmokePlan(title_of(engine, facts), version, spec, expected, client=client)


def _client(engine: str, wish: SmokeWish, facts: Facts, report: Report) -> tuple[Client, str]:
    if engine == "podman":
        podman = _described(facts, Podman)
        if podman.program.value is None:
            raise NoPlan(False, "Podman is not installed here.", _OTHER_ENGINE)
        return PodmanClient(), podman.version.value or ""
    if engine == "containerd":
        return _client_of_containerd(wish, facts, report)
    raise NoPlan(None, "CRI-O starts containers for Kubernetes alone: a pod that asks for the runtime shows it.", _POD)


def _client_of_containerd(wish: SmokeWish, facts: Facts, report: Report) -> tuple[Client, str]:
    containerd = _described(facts, Containerd)
    if containerd.process.value is None:
        raise NoPlan(False, "containerd does not run here.", _OTHER_ENGINE)
    cri = containerd.cri.value
    name = wish.runtime or RUNTIME
    if cri is None or name not in cri.runtimes:
        found = finding(report, ("registration.containerd",))
        why = containerd.cri.unknown
        if why and not found:
            raise NoPlan(None, f"{containerd.title} could not be asked: {why}.", DOCTOR)
        cause = found.message if found else f"{containerd.title} has no runtime called {name}."
        raise NoPlan(False, cause, found.remedy if found else _REGISTER)
    ctr = _ctr(containerd)
    words = (ctr, "--address", containerd.socket.value or "", "--namespace", PODS)
    return CtrClient(words, cri.runtimes[name] or PROGRAM), containerd.version.value or ""


def _ctr(containerd: Containerd) -> str:
    """containerd's own program for tests, which lies beside it."""
    return posixpath.join(posixpath.dirname(containerd.program.value or ""), "ctr")


def plan_on_host(wish: SmokeWish, facts: Facts, report: Report) -> OnHost:
    """Returns what to run on the host itself; `report` is the doctor's. Raises NoPlan with the reason."""
    expected = _expected(ALL, facts, report)
    program = _program(wish, facts)
    return OnHost(program.argv(program.file), expected)


def _program(wish: SmokeWish, facts: Facts) -> Program:
    architecture = _described(facts, System).architecture
    program = program_for(architecture.value or "", wish.timeout)
    if program is None:
        known = architecture.value or architecture.reason
        raise NoPlan(None, f"gpuctl has no program for this processor architecture: {known}.", None)
    return program


def _daemon(facts: Facts, report: Report) -> tuple[str, Daemon]:
    docker = _described(facts, Docker)
    endpoint, daemon = docker.endpoint.value, docker.daemon.value
    if endpoint and docker.kind.value == "remote":
        cause = f"Docker's daemon is on another host ({endpoint.url}); gpuctl knows only this one's GPUs."
        raise NoPlan(None, cause, _THERE)
    if endpoint and daemon:
        return endpoint.url, daemon
    found = finding(report, ("docker.installed", "docker.reachable", "docker.kind"))
    if found:
        raise NoPlan(False, found.message, found.remedy)
    raise NoPlan(None, f"Docker could not be asked: {docker.daemon.unknown or 'no daemon'}.", DOCTOR)


def _expected(request: GpuRequest, facts: Facts, report: Report) -> Expected:
    try:
        return expect(request, _described(facts, Driver))
    except NotOnThisHost as missing:
        raise NoPlan(False, str(missing), _WHICH_GPUS) from None
    except CannotTell as reason:
        broken = [one for one in report.findings if one.layer in _HOST_LAYERS and one.status is Status.FAIL]
        if broken:
            raise NoPlan(False, broken[0].message, broken[0].remedy) from None
        tegra = facts.get(Tegra)
        if tegra and tegra.release.value:
            raise NoPlan(None, _JETSON, _CHECK) from None
        raise NoPlan(None, f"There is nothing to compare a container with: {reason}.", DOCTOR) from None


def _image(facts: Facts, local: Sequence[str], expected: Expected) -> str:
    gpus = _described(facts, Driver).gpus.get() or ()
    known = [gpu_of_nvml(gpu.name or "", gpu.compute_capability, gpu.brand) for gpu in gpus]
    image = choose_image(local, expected.driver, known)
    if image is None:
        cause = f"gpuctl knows no nvidia/cuda base image for driver {expected.driver} and these GPUs."
        raise NoPlan(None, cause, _OWN_IMAGE)
    return image


def _described(facts: Facts, subject: type[T]) -> T:
    try:
        return facts.known(subject)
    except CannotTell as reason:
        raise NoPlan(None, f"{subject.__name__} could not be looked at: {reason}.", DOCTOR) from None
