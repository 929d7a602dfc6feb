"""Does this host's toolkit evaluate what images require before it lets them start?"""

from __future__ import annotations

from gpuctl.checks.paths.ways import InForce, Way, docker_ways, in_force
from gpuctl.compat.judge.gate.gate import NOT_KNOWN, Enforcement
from gpuctl.facts.docker.docker import RUNTIME, Docker
from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.toolkit.settings import MODE, ToolkitSettings
from gpuctl.facts.toolkit.toolkit import SETTINGS, Toolkit
from gpuctl.model import CannotTell

_CDI_MODES = ("cdi", "jit-cdi")
_ACCEPT, _REQUIRE = "accept-nvidia-visible-devices-envvar-when-unprivileged", "disable-require"


def enforcement(facts: Facts) -> Enforcement:
    """Returns whether what images require is evaluated here, for a container that is started the usual way.

    That is --gpus, and --runtime=nvidia before Docker 19.03. NOT_KNOWN where a fact that decides is not known.
    """
    try:
        toolkit, docker = facts.known(Toolkit), facts.known(Docker)
        here = in_force(toolkit, facts.known(ToolkitSettings), facts.known(Tegra))
        if here.value(MODE) in _CDI_MODES:
            return Enforcement(False, f"the toolkit's mode here is {here.value(MODE)}, which evaluates nothing")
        way = next(docker_ways(docker, toolkit), None)
        return _on_way(way, here, toolkit, docker) if way else NOT_KNOWN
    except CannotTell:
        return NOT_KNOWN


def _on_way(way: Way, here: InForce, toolkit: Toolkit, docker: Docker) -> Enforcement:
    version = docker.daemon.value.version if docker.daemon.value else ""
    if not way.start:
        return Enforcement(False, f"Docker {version} serves --gpus through CDI, which evaluates nothing")
    path = here.paths(way)[-1]
    row = here.row(_REQUIRE, path, way)
    if here.fault(_ACCEPT, way):
        return Enforcement(False, f"{_ACCEPT} is false in {SETTINGS}, so that it is given no GPU and is not looked at")
    if row and row.gets == "unchecked":
        return Enforcement(False, f"{_REQUIRE} is set in {SETTINGS}")
    return _by_hook(version, here, toolkit) if path == "hook" else _by_runtime(path, here)


def _by_hook(version: str, here: InForce, toolkit: Toolkit) -> Enforcement:
    if toolkit.hook.get() is None:
        return NOT_KNOWN
    jit = here.paths(Way(RUNTIME, "runtime"))[-1] == "jit-cdi"
    beside = " (with --runtime=nvidia nobody does: it is just-in-time CDI)" if jit else ""
    return Enforcement(True, f"the hook that Docker {version} calls for --gpus evaluates it here{beside}")


def _by_runtime(path: str, here: InForce) -> Enforcement:
    if path == "jit-cdi":
        return Enforcement(False, "nvidia-container-runtime here is just-in-time CDI, which evaluates nothing")
    return Enforcement(True, f"nvidia-container-runtime evaluates it here, in mode {here.value(MODE)}")
