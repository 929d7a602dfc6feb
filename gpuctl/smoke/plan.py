"""From facts to the container that will be run, or to the reason why there cannot be one."""

from __future__ import annotations

from typing import TypeVar

from gpuctl.checks import finding
from gpuctl.command import command
from gpuctl.compat.knowledge.gpus.gpus import gpu_of_nvml
from gpuctl.compat.versions import compare, leading
from gpuctl.facts.docker.docker import Daemon, Docker
from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.machine.system import System
from gpuctl.model import CannotTell, Remedy, Report, Status
from gpuctl.smoke.compare import Expected, NotOnThisHost, expect
from gpuctl.smoke.container import Spec
from gpuctl.smoke.deep import Program, program_for
from gpuctl.smoke.explain import DOCTOR
from gpuctl.smoke.images import choose_image
from gpuctl.smoke.request import ALL, GpuRequest
from gpuctl.smoke.result import NoPlan, OnHost, Plan, Wish

T = TypeVar("T")

DEVICE_REQUESTS_SINCE = "1.40"
"""The API version of Docker 19.03, from which on a container can ask for GPUs (--gpus)."""
_HOST_LAYERS = ("hardware", "kernel", "driver")
_THERE = Remedy("Run it on the host where the daemon is.", (command("gpuctl", "smoke"),))
_WHICH_GPUS = Remedy("See which GPUs there are.", (command("nvidia-smi", "-L"),))
_OWN_IMAGE = Remedy("Name an image of your own.", (command("gpuctl", "smoke", "--image", "NAME"),))


def make_plan(wish: Wish, facts: Facts, report: Report) -> Plan:
    """Returns what to run for the wish on this host; `report` is the doctor's. Raises NoPlan with the reason."""
    endpoint, daemon = _daemon(facts, report)
    expected = _expected(wish.gpus, facts, report)
    image = wish.image or _image(facts, daemon, expected)
    has_gpus_flag = compare(leading(daemon.api_version) or "0", DEVICE_REQUESTS_SINCE) >= 0
    runtime = wish.runtime or (None if has_gpus_flag else "nvidia")
    program = _program(wish, facts) if wish.deep else None
    return Plan(endpoint, daemon.version, Spec(image, wish.gpus, runtime, program), expected)


def plan_on_host(wish: Wish, facts: Facts, report: Report) -> OnHost:
    """Returns what to run on the host itself; `report` is the doctor's. Raises NoPlan with the reason."""
    expected = _expected(ALL, facts, report)
    program = _program(wish, facts)
    return OnHost(program.argv(program.file), expected)


def _program(wish: Wish, facts: Facts) -> Program:
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
        raise NoPlan(None, f"There is nothing to compare a container with: {reason}.", DOCTOR) from None


def _image(facts: Facts, daemon: Daemon, expected: Expected) -> str:
    gpus = _described(facts, Driver).gpus.get() or ()
    known = [gpu_of_nvml(gpu.name or "", gpu.compute_capability, gpu.brand) for gpu in gpus]
    image = choose_image(daemon.images, expected.driver, known)
    if image is None:
        cause = f"gpuctl knows no nvidia/cuda base image for driver {expected.driver} and these GPUs."
        raise NoPlan(None, cause, _OWN_IMAGE)
    return image


def _described(facts: Facts, subject: type[T]) -> T:
    try:
        return facts.known(subject)
    except CannotTell as reason:
        raise NoPlan(None, f"{subject.__name__} could not be looked at: {reason}.", DOCTOR) from None
