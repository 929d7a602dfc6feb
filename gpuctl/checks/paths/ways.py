"""The ways in which the engines here give GPUs through the toolkit, and what its settings make of each."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

from gpuctl.checks.engine import together
from gpuctl.checks.layers.docker import GPUS_FLAG_SINCE, at_least, gpus_by_cdi
from gpuctl.compat.knowledge.toolkit_settings import (
    CHOICES,
    SPOILT,
    ToolkitSetting,
    default_of,
    described,
    rows_for,
    setting_row,
)
from gpuctl.compat.versions import compare, leading
from gpuctl.facts.containerd.containerd import Containerd
from gpuctl.facts.crio import Crio
from gpuctl.facts.docker.docker import RUNTIME, Docker
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.toolkit.settings import (
    LDCONFIG,
    MODE,
    NO_CGROUPS,
    PROGRAMS,
    ROOT,
    RUNTIMES,
    Settings,
    ToolkitSettings,
    ldconfigs,
    texts,
)
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.frozen import dataclass
from gpuctl.model import CannotTell

GPUS_FLAG, RUNTIME_FLAG = "docker run --gpus", "docker run --runtime=nvidia"
_PROGRAM = "nvidia-container-runtime"
_BOTH_NAMES_SINCE = "1.15.0"
"""From here on the toolkit takes ldconfig or ldconfig.real, whichever is there (toolkit commit 232df647)."""
_CAPABILITIES = frozenset(("compat32", "compute", "display", "graphics", "ngx", "utility", "video"))
_USUAL = frozenset(("compute", "utility"))
"""What images of nvidia/cuda ask for, and what counts for those that ask for nothing."""


class GpuPath(str, Enum):
    """A path by which a container gets GPUs, in the words of a report."""

    HOOK = "--gpus by the hook"
    LEGACY = "--runtime=nvidia in mode legacy"
    JIT_CDI = "--runtime=nvidia by just-in-time CDI"
    CDI = "CDI"
    CSV = "--runtime=nvidia by csv files"
    DEVICE = "--device"


BEHIND_THE_RUNTIME = (GpuPath.HOOK, GpuPath.LEGACY)
"""By these libnvidia-container opens the devices when runc has told systemd its rules: systemd never learns of them."""
OF_MODE = {"legacy": GpuPath.LEGACY, "jit-cdi": GpuPath.JIT_CDI, "cdi": GpuPath.CDI, "csv": GpuPath.CSV}


@dataclass(frozen=True)
class Way:
    """How a container is given GPUs, as a person says it.

    `start` is what reads the toolkit's settings first: hook or runtime; "" where the engine goes by CDI itself.
    `mode` is what a program is bound to by its name, whatever config.toml says.
    """

    name: str
    start: str
    mode: str | None = None
    is_rootless: bool = False
    takes_mounts: bool = False
    """Whether those who ask for GPUs, as the Kubernetes device plugin, may do so by volume mounts."""


@together
@dataclass(frozen=True)
class ToolkitInUse:
    """The toolkit here, its settings, and the engines that it may serve."""

    toolkit: Toolkit
    found: ToolkitSettings
    tegra: Tegra
    docker: Docker
    containerd: Containerd
    crio: Crio

    @property
    def ways(self) -> tuple[Way, ...]:
        """The ways of all engines here. Raises CannotTell where Docker could not be asked."""
        return (*docker_ways(self.docker, self.toolkit), *kubernetes_ways(self.containerd, self.crio))

    @property
    def settings(self) -> InForce:
        """Its settings as they are in force. Raises CannotTell."""
        return in_force(self.toolkit, self.found, self.tegra)


def docker_ways(docker: Docker, toolkit: Toolkit) -> Iterator[Way]:
    """Yields this Docker's ways. Raises CannotTell where it could not be asked."""
    daemon, kind = docker.daemon.get(), docker.kind.value
    if daemon is None or kind not in ("engine", "rootless", "snap"):
        return
    mode, rootless = bound_mode(daemon.runtimes.get(RUNTIME)), kind == "rootless"
    if at_least(daemon, GPUS_FLAG_SINCE):
        start = "" if gpus_by_cdi(docker, toolkit) else "runtime" if daemon.default_runtime == RUNTIME else "hook"
        yield Way(GPUS_FLAG, start, mode if start == "runtime" else None, rootless)
    if RUNTIME in daemon.runtimes:
        yield Way(RUNTIME_FLAG, "runtime", mode, rootless)


def kubernetes_ways(containerd: Containerd, crio: Crio) -> Iterator[Way]:
    """Yields the ways of the engines that Kubernetes uses, as far as they tell their runtimes."""
    cri, config = containerd.cri.value, crio.daemon.value
    engines: tuple[tuple[str, Iterable[Any]], ...] = (
        ("containerd", cri.runtimes.values() if cri else ()),
        ("CRI-O", (one.get("runtime_path") for one in config.runtimes.values()) if config else ()),
    )
    for engine, programs in engines:
        program = next((one for one in programs if is_nvidias(one)), None)
        if program:
            yield Way(f"{engine}'s runtime nvidia", "runtime", bound_mode(program), takes_mounts=True)


def is_nvidias(program: Any) -> bool:
    """Returns whether a registered program is nvidia-container-runtime, or that bound to a mode."""
    return isinstance(program, str) and posixpath.basename(program).startswith(_PROGRAM)


def bound_mode(program: str | None) -> str | None:
    """Returns the mode to which a program is bound by its name: nvidia-container-runtime.cdi and .legacy are."""
    name = posixpath.basename(program or "")
    return name[len(_PROGRAM) + 1 :] if name in (f"{_PROGRAM}.cdi", f"{_PROGRAM}.legacy") else None


@dataclass(frozen=True)
class InForce:
    """The toolkit's settings as they are in force here: what is set, what is so on the host.

    What depends on its release raises CannotTell where that is not known.
    """

    toolkit: Toolkit
    values: Mapping[str, Any]
    found: ToolkitSettings
    so: frozenset[str]

    @property
    def version(self) -> str:
        """The toolkit's release. Raises CannotTell where none of its programs tells it."""
        return release(self.toolkit)

    def value(self, setting: str) -> Any:
        """Returns what is set, or what counts where it is not."""
        return self.values[setting] if setting in self.values else default_of(setting)

    def row(self, setting: str, path: str, way: Way) -> ToolkitSetting | None:
        """Returns what a setting does on a path of a way."""
        value, so = self._case(setting, way)
        return setting_row(setting, value, so, path, self.version)

    def _case(self, setting: str, way: Way) -> tuple[Any, frozenset[str]]:
        """Returns a setting's value on a way, and what is so there."""
        value = way.mode if setting == MODE and way.mode else self.value(setting)
        so = {*self.so, *self._so_of(setting, value), "rootless" if way.is_rootless else "rootful"}
        if way.takes_mounts and self.value("accept-nvidia-visible-devices-as-volume-mounts") is True:
            so.add("by-mounts")
        return value, frozenset(so)

    def runtime_path(self, program: str | None = None) -> GpuPath | None:
        """Returns the path of nvidia-container-runtime, or of that one bound to a mode; None where it gives no GPUs."""
        return OF_MODE.get(self.paths(Way(_PROGRAM, "runtime", bound_mode(program)))[-1])

    def paths(self, way: Way) -> tuple[str, ...]:
        """Returns the paths that a way takes, in their order; nvidia-container-runtime's choice is the last."""
        chosen = self.row(MODE, "runtime", way) if way.start == "runtime" else None
        taken = (chosen.gets,) if chosen and chosen.gets in CHOICES else ()
        return (way.start, *taken) if way.start else ()

    def fault(self, setting: str, way: Way) -> ToolkitSetting | None:
        """Returns how a setting spoils a way, None where it does not, as where it does on no path in any release."""
        if not any(row.gets in SPOILT for row in rows_for(setting, *self._case(setting, way))):
            return None
        rows = (self.row(setting, path, way) for path in self.paths(way))
        return next((row for row in rows if row and row.gets in SPOILT), None)

    def spoilt(self, ways: Iterable[Way]) -> tuple[str, ...]:
        """Returns the settings that spoil one of the ways."""
        names = dict.fromkeys((*filter(described, self.values), MODE, NO_CGROUPS))
        listed = tuple(ways)
        return tuple(name for name in names if any(self.fault(name, way) for way in listed))

    def _so_of(self, setting: str, value: Any) -> Iterator[str]:
        if setting == MODE and value == "cdi" and not self._has_all():
            yield "no-specification"
        if setting == LDCONFIG and isinstance(value, str) and not value.startswith("@"):
            yield "of-the-image"
        if setting in self.values and self._is_missing(setting, value):
            yield "missing"
        if setting == "supported-driver-capabilities" and isinstance(value, str) and value != "all":
            named = {one.strip() for one in value.split(",") if one.strip()}
            yield from ("unknown-capability",) if named - _CAPABILITIES else ()
            yield from () if named >= _USUAL else ("lacks-usual-capability",)

    def _is_missing(self, setting: str, value: Any) -> bool:
        """Whether nothing is there of what a setting names. Raises CannotTell where that could not be seen."""
        if setting == LDCONFIG:
            both = compare(self.version, _BOTH_NAMES_SINCE) >= 0
            named = ldconfigs(value) if both else ldconfigs(value)[:1]
        elif setting == RUNTIMES:
            named = texts(value)
        elif setting in (ROOT, *PROGRAMS) and isinstance(value, str) and value.startswith("/"):
            named = (value,)
        else:
            return setting == PROGRAMS[0] and isinstance(value, str) and bool(value)  # it is not looked for on PATH
        seen = [one for one in map((self.found.there.value or {}).get, named) if one]
        return bool(named) and not any(one.value for one in seen) and not any(one.get() for one in seen)

    def _has_all(self) -> bool:
        """Whether the device that --gpus all asks for is in a CDI specification. Raises CannotTell."""
        kind, cdi = self.value("nvidia-container-runtime.modes.cdi.default-kind"), self.found.cdi.get()
        return cdi is not None and any(f"{kind}=all" in spec.names for spec in cdi.in_effect(kind))


def in_force(toolkit: Toolkit, found: ToolkitSettings, tegra: Tegra) -> InForce:
    """Returns the settings as they count here. Raises CannotTell where that cannot be told, or the file is no TOML."""
    settings = found.settings.get() or Settings({})
    if settings.error:
        raise CannotTell(f"{found.settings.source} is no TOML")
    values = settings.values
    so = {"tegra" if tegra.by_csv else "no-tegra"}
    if values.get("nvidia-container-runtime-hook.skip-mode-detection") is True:
        so.add("skip-mode-detection")
    if values.get("features.allow-ldconfig-from-container") is True:
        so.add("ldconfig-from-container")
    return InForce(toolkit, values, found, frozenset(so))


def release(toolkit: Toolkit) -> str:
    """Returns the toolkit's version. Raises CannotTell where none of its programs tells one."""
    parts = (part.get() for part in (toolkit.runtime, toolkit.ctk, toolkit.hook, toolkit.cli))
    version = next((number for part in parts if part and (number := leading(part.version))), None)
    if version is None:
        raise CannotTell("none of the toolkit's programs tells its version")
    return version
