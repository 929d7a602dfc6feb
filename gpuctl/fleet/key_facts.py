"""What hosts of a fleet are compared by: some facts of each host, and of each of its GPUs, as words.

A fact that is absent is "none"; one that could not be looked up, or that nothing tells, is None and differs from none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpuctl.checks.engine import handed
from gpuctl.checks.engine_here import engine_here, title_of
from gpuctl.checks.paths.engines import EnginePaths
from gpuctl.facts.containerd.containerd import Containerd
from gpuctl.facts.crio import Crio
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.nvml import NvmlGpu
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.identity import Identity
from gpuctl.facts.machine.kernel import Kernel
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.history import PackageHistory
from gpuctl.facts.packages.logs import DRIVER, ENGINE, KERNEL, TOOLKIT, PackageEvent
from gpuctl.facts.podman import Podman
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.frozen import dataclass
from gpuctl.model import GPU_KIND, CannotTell, Fact

NONE = "none"
LONGEST = 200
"""Characters of a value that is compared and shown."""


@dataclass(frozen=True)
class KeyFact:
    """A fact by which hosts are compared. `follows`: whose packages' last change tells since when it is so.

    Hosts of one class have it alike where `is_class` says so.
    """

    name: str
    title: str
    follows: str = ""
    is_class: bool = False


HOST_FACTS = (
    KeyFact("gpus", "number of GPUs", is_class=True),
    KeyFact("distribution", "distribution", is_class=True),
    KeyFact("kernel", "kernel", KERNEL, is_class=True),
    KeyFact("driver", "driver", DRIVER, is_class=True),
    KeyFact("module", "kernel module", DRIVER, is_class=True),
    KeyFact("toolkit", "toolkit", TOOLKIT, is_class=True),
    KeyFact("engine", "engine", ENGINE, is_class=True),
    KeyFact("runtime", "runtime set-up"),
    KeyFact("cdi", "CDI specifications"),
)
GPU_FACTS = (
    KeyFact("vbios", "VBIOS"),
    KeyFact("persistence", "persistence mode"),
    KeyFact("ecc", "ECC"),
    KeyFact("mig", "MIG layout"),
    KeyFact("power-limit", "power limit"),
    KeyFact("pcie", "PCIe link"),
    KeyFact("nvlinks", "NVLinks up"),
)
SUBJECTS = (DRIVER, KERNEL, ENGINE, TOOLKIT)
"""What packages belong to, in the order in which a host's last changes are kept."""


@dataclass(frozen=True)
class GpuFacts:
    """One GPU: `values` are those of GPU_FACTS, in that order."""

    index: int
    uuid: str | None
    product: str | None
    values: tuple[str | None, ...]


@dataclass(frozen=True)
class KeyFacts:
    """What one host is compared by: `values` are those of HOST_FACTS, `changes` those of SUBJECTS, in that order.

    `boards` are its GPUs' PCI device ids with the product of each, as far as NVML tells it; a Tegra's board has no id.
    `boot`: the id of its kernel's boot.
    """

    machine: str | None
    values: tuple[str | None, ...]
    gpus: tuple[GpuFacts, ...]
    boards: tuple[tuple[str, str | None], ...]
    changes: tuple[str, ...]
    boot: str | None = None


def key_facts(facts: Facts) -> KeyFacts:
    """Returns what a host is compared by, from all of its facts."""
    seen = (_told(look, facts) for look in _OF_HOST.values())
    history = facts.get(PackageHistory)
    changes = tuple(_change(history.last(subject)) if history else "" for subject in SUBJECTS)
    machine, boot = _told(_machine, facts), _told(_boot, facts)
    return KeyFacts(machine, tuple(seen), _gpus(facts), _boards(facts), changes, boot)


def _told(look: Callable[[Facts], str | None], facts: Facts) -> str | None:
    try:
        told = look(facts)
    except CannotTell:
        return None
    return told and told[:LONGEST]


def _or_none(fact: Fact[Any]) -> str:
    value = fact.get()
    return NONE if value in (None, "") else str(value)


def _machine(facts: Facts) -> str | None:
    return facts.known(Identity).machine_id.get()


def _boot(facts: Facts) -> str | None:
    return facts.known(Identity).boot_id.get()


def _number_of_gpus(facts: Facts) -> str:
    """On the PCI bus, and that of a Tegra's chip; on another machine without any there, as on WSL, by NVML."""
    tegra, on_bus = facts.get(Tegra), facts.known(Pci).gpus.get() or ()
    if tegra and tegra.release.value:
        return str(len(on_bus) + 1)
    return str(len(on_bus or facts.known(Driver).gpus.get() or ()))


def _distribution(facts: Facts) -> str:
    found = facts.known(System).distribution.get()
    return found.title if found else NONE


def _kernel(facts: Facts) -> str:
    return _or_none(facts.known(System).kernel)


def _driver(facts: Facts) -> str:
    return _or_none(facts.known(Driver).version)


def _module(facts: Facts) -> str:
    """The loaded module's flavour, else that of the file."""
    loaded = facts.known(Driver).open_module.get()
    if loaded is not None:
        return "open" if loaded else "proprietary"
    licence = facts.known(Kernel).module_license.get()
    return NONE if licence is None else "proprietary" if licence == "NVIDIA" else "open"


def _toolkit(facts: Facts) -> str:
    found = facts.known(Toolkit)
    parts = [part for part in (one.get() for one in (found.ctk, found.cli, found.runtime)) if part]
    return next((part.version for part in parts if part.version), "without a version" if parts else NONE)


def _engine(facts: Facts) -> str:
    engine = engine_here(facts)
    if engine == "docker":
        daemon = facts.known(Docker).daemon.get()
        return f"Docker {daemon.version}" if daemon else "Docker stopped"
    if not engine:
        facts.known(Docker).state.get()  # where nobody can tell, there is not none
        return NONE
    kind = {"containerd": Containerd, "crio": Crio, "podman": Podman}[engine]
    return f"{title_of(engine, facts)} {facts.known(kind).version.get() or ''}".strip()


def _runtime(facts: Facts) -> str | None:
    used = handed(EnginePaths, facts).used
    if None in used.values():
        return None
    return "; ".join(f"{engine}: {path.value}" for engine, path in sorted(used.items()) if path) or NONE


def _cdi(facts: Facts) -> str:
    cdi = facts.known(Toolkit).cdi.get()
    specs = [one.get() for one in cdi.specs] if cdi else []
    ours = sorted(f"{spec.path} ({spec.version})" for spec in specs if spec and spec.kind == GPU_KIND)
    return ", ".join(ours) or NONE


_OF_HOST: Mapping[str, Callable[[Facts], str | None]] = {
    "gpus": _number_of_gpus,
    "distribution": _distribution,
    "kernel": _kernel,
    "driver": _driver,
    "module": _module,
    "toolkit": _toolkit,
    "engine": _engine,
    "runtime": _runtime,
    "cdi": _cdi,
}


def _gpus(facts: Facts) -> tuple[GpuFacts, ...]:
    driver = facts.get(Driver)
    told = (driver.gpus.value or ()) if driver else ()
    return tuple(GpuFacts(gpu.index, gpu.uuid, gpu.name, _gpu_values(gpu)) for gpu in told)


def _gpu_values(gpu: NvmlGpu) -> tuple[str | None, ...]:
    values = (
        gpu.vbios,
        _switch(gpu.persistence),
        _switch(gpu.ecc),
        _mig(gpu),
        None if gpu.power_limit is None else f"{gpu.power_limit / 1000:g} W",
        _link(gpu),
        None if gpu.nvlinks is None else str(gpu.nvlinks),
    )
    return tuple(value and value[:LONGEST] for value in values)


def _link(gpu: NvmlGpu) -> str | None:
    generation = "" if gpu.pcie_generation is None else f"generation {gpu.pcie_generation} "
    return None if gpu.pcie_width is None else f"{generation}x{gpu.pcie_width}"


def _switch(is_on: bool | None) -> str | None:
    return None if is_on is None else "on" if is_on else "off"


def _mig(gpu: NvmlGpu) -> str | None:
    if not gpu.mig:
        return _switch(gpu.mig)
    if gpu.mig_profiles is None:
        return "on" if gpu.mig_devices is None else f"on, {gpu.mig_devices} devices"
    numbers = {profile: gpu.mig_profiles.count(profile) for profile in gpu.mig_profiles}
    return ", ".join(f"{count} x {profile}" for profile, count in numbers.items()) or "on, without devices"


def _boards(facts: Facts) -> tuple[tuple[str, str | None], ...]:
    pci, driver = facts.get(Pci), facts.get(Driver)
    names = {gpu.pci: gpu.name for gpu in (driver.gpus.value or ()) if gpu.pci} if driver else {}
    on_bus = [(one.device, names.get(one.address)) for one in (pci.gpus.value or ())] if pci else []
    tegra = facts.get(Tegra)
    model = tegra.model.value if tegra and tegra.release.value else None
    return (*on_bus, *([("", model[:LONGEST])] if model else []))


def _change(event: PackageEvent | None) -> str:
    """A package transaction: "2026-11-20 06:12 nvidia-driver-535 upgraded 535.183 → 535.216 by unattended-upgrade"."""
    if event is None:
        return ""
    versions = " → ".join(filter(None, (event.before, event.after)))
    by = f"by {event.by}" if event.by else ""
    return " ".join(filter(None, (event.at, event.package, event.action, versions, by)))[:LONGEST]
