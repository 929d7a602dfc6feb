"""Does this host's toolkit evaluate what images require before it lets them start?"""

from __future__ import annotations

from typing import Any

from gpuctl.compat.judge.gate.gate import NOT_KNOWN, Enforcement
from gpuctl.compat.knowledge.releases import docker_features
from gpuctl.compat.versions import docker_version
from gpuctl.documents import load_toml
from gpuctl.facts.docker.docker import Daemon, Docker
from gpuctl.facts.gather import Facts
from gpuctl.facts.toolkit.toolkit import SETTINGS, Toolkit
from gpuctl.model import CannotTell, Fact

_JIT_CDI_SINCE = "1.18.0"
"""From here on the mode auto is just-in-time CDI: https://github.com/NVIDIA/nvidia-container-toolkit/pull/910"""
_CDI_MODES = ("cdi", "jit-cdi")


def enforcement(facts: Facts) -> Enforcement:
    """Returns whether what images require is evaluated here, for a container that is started the usual way.

    That is --gpus, and --runtime=nvidia before Docker 19.03. NOT_KNOWN where a fact that decides is not known.
    """
    try:
        toolkit, docker = facts.known(Toolkit), facts.known(Docker)
        settings = _settings(toolkit.settings)
        if settings.get("disable-require") is True:
            return Enforcement(False, f"disable-require is set in {SETTINGS}")
        return _by_mode(_mode(settings), toolkit, docker.daemon.get())
    except (CannotTell, ValueError):
        return NOT_KNOWN


def _settings(text: Fact[str]) -> dict[str, Any]:
    """Returns the toolkit's settings. Raises CannotTell and ValueError."""
    return load_toml(text.get() or "")


def _mode(settings: dict[str, Any]) -> str:
    section = settings.get("nvidia-container-runtime")
    mode = section.get("mode") if isinstance(section, dict) else None
    return mode if isinstance(mode, str) else "auto"


def _by_mode(mode: str, toolkit: Toolkit, daemon: Daemon | None) -> Enforcement:
    if mode in _CDI_MODES:
        return Enforcement(False, f"the toolkit's mode here is {mode}, which evaluates nothing")
    if daemon is None:
        return NOT_KNOWN
    return _by_flag(mode, toolkit, daemon) if _is_since(daemon, "gpus-flag") else _by_runtime(mode, toolkit)


def _by_flag(mode: str, toolkit: Toolkit, daemon: Daemon) -> Enforcement:
    if _is_since(daemon, "gpus-through-cdi") and (daemon.cdi_devices or toolkit.cdi.get()):
        return Enforcement(False, f"Docker {daemon.version} serves --gpus through CDI, which evaluates nothing")
    if toolkit.hook.get() is None:
        return NOT_KNOWN
    jit = " (with --runtime=nvidia nobody does: it is just-in-time CDI)" if _runtime_is_jit(mode, toolkit) else ""
    return Enforcement(True, f"the hook that Docker {daemon.version} calls for --gpus evaluates it here{jit}")


def _by_runtime(mode: str, toolkit: Toolkit) -> Enforcement:
    if _runtime_is_jit(mode, toolkit):
        return Enforcement(False, "nvidia-container-runtime here is just-in-time CDI, which evaluates nothing")
    return Enforcement(True, f"nvidia-container-runtime evaluates it here, in mode {mode}")


def _is_since(daemon: Daemon, feature: str) -> bool:
    return docker_version(daemon.version) >= docker_version(docker_features()[feature].since)


def _runtime_is_jit(mode: str, toolkit: Toolkit) -> bool:
    runtime = toolkit.runtime.get()
    version = runtime.version if runtime else ""
    return mode == "auto" and bool(version) and docker_version(version) >= docker_version(_JIT_CDI_SINCE)
