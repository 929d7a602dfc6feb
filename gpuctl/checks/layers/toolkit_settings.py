"""Do the toolkit's settings and its release fit this host and the ways in which its engines give GPUs?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.mendable import OWN_CHECK
from gpuctl.checks.paths.engines import EnginePaths
from gpuctl.checks.paths.ways import InForce, ToolkitInUse, Way, release
from gpuctl.checks.remedies import as_root, upgrade_toolkit
from gpuctl.command import Command, Shell, command, operands
from gpuctl.compat.knowledge.errors.faults import faults_of
from gpuctl.compat.knowledge.toolkit_settings import SPOILT, default_of, strangers
from gpuctl.compat.versions import compare, leading
from gpuctl.facts.gpu.keeper import GUESTS
from gpuctl.facts.machine.isolation import Isolation
from gpuctl.facts.machine.logs import Logs
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.packages import Packages
from gpuctl.facts.toolkit.settings import LDCONFIG, LDCONFIGS, MODE, NO_CGROUPS, OPERATORS, ROOT, ToolkitSettings
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.model import Disturbs, Evidence, Remedy

CGROUP_V2_SINCE = "1.8.0"
"""libnvidia-container knows cgroup v2 from here on: https://github.com/NVIDIA/k8s-device-plugin/issues/273."""
_RULES, _NOT_PERMITTED = "bpf_prog_query(BPF_CGROUP_DEVICE)", "operation not permitted"
CONFIG_SINCE = "1.14.0"
"""The first toolkit whose nvidia-ctk changes config.toml (cmd/nvidia-ctk/config/config.go)."""


@check(
    "toolkit.config-valid",
    explains=("toolkit.ldconfig", "toolkit.no-cgroups", "toolkit.driver-root", "toolkit.hook-mode", "toolkit.settings"),
)
def config_valid(system: System, toolkit: Toolkit, found: ToolkitSettings) -> Judgement | None:
    """The toolkit starts no container with a config.toml that is no TOML, or that has a value of another kind.

    Settings that they do not know they pass over, a misspelt one too.
    """
    settings = found.settings.get()
    if settings is None:
        return passed("There is no config.toml; the toolkit goes by its defaults", found.settings)
    path = found.settings.source
    mend = Remedy("Mend the file.", (command(Shell.EDITOR, *operands(path)),), Disturbs.NEW_CONTAINERS)
    if settings.error:
        message = f"{path} is no TOML, so every container that asks the toolkit for GPUs fails: {settings.error}."
        return failed(message, Evidence(path, settings.error), remedy=mend)
    strange = dict(strangers(settings.values, release(toolkit)))
    seen = [Evidence(path, shown(name, settings.values[name])) for name in strange]
    wrong = next((name for name, what in strange.items() if what == "other-kind"), None)
    if wrong:
        message = f"{path} has a value of the wrong kind, so every container that asks the toolkit for GPUs fails:"
        return failed(f"{message} `{shown(wrong, settings.values[wrong])}`.", *seen, remedy=mend)
    if strange:
        unknown = next(iter(strange))
        return warned(f"The toolkit does not know the setting `{unknown}`, and ignores it.", *seen, remedy=mend)
    return passed(f"{path} is valid", found.settings)


def shown(name: str, value: Any) -> str:
    """Returns a setting as a line of TOML with its tables before it."""
    return f"{name} = {json.dumps(value, ensure_ascii=False, default=str)}"


@check("toolkit.ldconfig")
def ldconfig(system: System, here: ToolkitInUse) -> Judgement | None:
    """The toolkit runs the host's ldconfig (@) in each container: ldconfig.real on Ubuntu, ldconfig elsewhere.

    From 1.15 on it takes whichever of both is there, from 1.17.3 on it refuses one of the image, and just-in-time CDI
    looks for itself. Source: https://github.com/NVIDIA/nvidia-docker/issues/1399
    """
    return _judged((LDCONFIG,), system, here)


@check("toolkit.no-cgroups")
def no_cgroups(system: System, here: ToolkitInUse, isolation: Isolation, logs: Logs) -> Judgement | None:
    """The hook opens the GPUs in the container's device cgroup, which root's engine needs and another may not.

    no-cgroups is for rootless engines and for those inside of an unprivileged LXC container. Where it is set for root's
    engine, NVML fails with "Unknown Error"; where it is missing, bpf_prog_query is not permitted. CDI does without.
    A user namespace around the engine, or a log with these words, leaves no doubt.
    Source: https://github.com/NVIDIA/libnvidia-container/issues/154
    """
    if not has_toolkit(here.toolkit):
        return None
    settings = here.settings
    by_hook = any({"hook", "legacy"} & set(settings.paths(way)) for way in here.ways)
    if not by_hook or not _is_guest(system):
        return _judged((NO_CGROUPS,), system, here)
    if settings.value(NO_CGROUPS) is not False:
        seen_on = (here.found.settings, system.machine_detail)
        return passed(f"no-cgroups is on, as an engine inside of {_guest(system)} needs it", *seen_on)
    remedy = _set(system, "Leave the cgroups alone.", {NO_CGROUPS: True}, settings)
    seen, refused = Evidence(here.found.settings.source, shown(NO_CGROUPS, False)), _refused(logs)
    if not isolation.user_namespace.value and not refused:
        message = f"The engine runs inside of {_guest(system)}, which may not let it change device cgroups."
        return warned(message, seen, remedy=remedy)
    message = f"The engine runs inside of {_guest(system)}, which does not let it change device cgroups."
    proof = refused or Evidence(isolation.user_namespace.source, "an unprivileged guest's own users")
    return failed(message, seen, proof, remedy=remedy)


def _is_guest(system: System) -> bool:
    return system.machine_detail.value in GUESTS


def _guest(system: System) -> str:
    return "systemd-nspawn" if system.machine_detail.value == "systemd-nspawn" else "LXC"


def _refused(logs: Logs) -> Evidence | None:
    """The last line in which the kernel refused to show the rules of a device cgroup."""
    for log in (logs.docker, logs.containerd):
        found = [line for line in log.value or () if _RULES in line and _NOT_PERMITTED in line.lower()]
        if found:
            return Evidence(log.source, found[-1])
    return None


@check("toolkit.driver-root")
def driver_root(system: System, here: ToolkitInUse) -> Judgement | None:
    """`root` in config.toml names where the driver lies: / on a host, /run/nvidia/driver with the GPU Operator's."""
    return _judged((ROOT,), system, here)


@check("toolkit.hook-mode")
def hook_mode(system: System, here: ToolkitInUse) -> Judgement | None:
    """The mode is the path that nvidia-container-runtime takes; in any but auto and legacy the hook refuses --gpus.

    auto is legacy before 1.18, just-in-time CDI from then on, and csv on a Tegra. The hook says "invoking the Hook
    directly is not supported", unless skip-mode-detection is set. On a Tegra no mode mends that: there the runtime is
    the way, and it has to be registered.
    """
    if here.tegra.by_csv and not any(way.start == "runtime" for way in here.ways):
        return None
    return _judged((MODE,), system, here)


@check("toolkit.settings")
def settings(system: System, here: ToolkitInUse) -> Judgement | None:
    """Every other setting by which a container gets no GPUs: programs that are not there, requests that do not count.

    Each counts on some of the paths only (hook, just-in-time CDI, CDI, csv): `gpuctl data show toolkit_settings`.
    """
    return _judged(settings_of("toolkit.settings", here), system, here) if has_toolkit(here.toolkit) else None


def settings_of(id: str, here: ToolkitInUse) -> tuple[str, ...]:
    """Returns the settings of which a check tells. Raises CannotTell."""
    if id in OWN_CHECK:
        return (OWN_CHECK[id],)
    return tuple(name for name in here.settings.spoilt(here.ways) if name not in OWN_CHECK.values())


def has_toolkit(toolkit: Toolkit) -> bool:
    """Returns whether any of its programs is there. Raises CannotTell."""
    return any(part.get() for part in (toolkit.ctk, toolkit.cli, toolkit.runtime, toolkit.hook))


def _judged(names: Sequence[str], system: System, here: ToolkitInUse) -> Judgement | None:
    """What settings do to the ways in use: each that none of them needs passes, and one that spoils all fails."""
    ways = here.ways if has_toolkit(here.toolkit) else ()
    if not ways:
        return None
    settings = here.settings
    spoilt = {way: (name, row) for name in names for way in ways if (row := settings.fault(name, way))}
    seen = [Evidence(here.found.settings.source, shown(name, settings.value(name))) for name in names]
    if not spoilt:
        return passed(
            f"`{seen[0].text}` fits each way in use" if seen else "No other setting spoils a way in use", *seen
        )
    works = [way.name for way in ways if way not in spoilt]
    what = "; ".join(_told(name, settings, spoilt) for name in dict.fromkeys(name for name, _ in spoilt.values()))
    message = f"{what}{f'; {_listed(works)} works' if works else ''}."
    remedy = _remedy([name for name, _ in spoilt.values()], works, system, here)
    return (warned if works else failed)(message, *seen, remedy=remedy)


def _told(name: str, here: InForce, spoilt: dict[Way, Any]) -> str:
    """`mode = "cdi"`: docker run --gpus fails (why) and docker run --runtime=nvidia fails (why)."""
    by: dict[tuple[str, str], list[str]] = {}
    for way, (one, row) in spoilt.items():
        if one == name:
            by.setdefault((row.gets, row.text), []).append(way.name)
    clauses = (f"{_listed(ways)} {SPOILT[gets][len(ways) > 1]} ({text})" for (gets, text), ways in by.items())
    return f"`{shown(name, here.value(name))}`: {', '.join(clauses)}"


def _listed(words: Iterable[str]) -> str:
    return " and ".join(words)


def _remedy(names: Iterable[str], works: Sequence[str], system: System, here: ToolkitInUse) -> Remedy:
    changes = wishes(names, system, here)
    if changes:
        return _set(system, "Set what fits this host.", changes, here.settings)
    text = f"Use {_listed(works)}." if works else "Use an engine that gives GPUs by CDI."
    return Remedy(text, (), Disturbs.NOTHING)


def _wished(name: str, system: System, here: ToolkitInUse) -> Any:
    if name == LDCONFIG:
        return f"@{here.found.proper_ldconfig.value or LDCONFIGS[0]}"
    if name == NO_CGROUPS:
        return here.docker.kind.value == "rootless" or _is_guest(system)
    return default_of(name)


def _set(system: System, text: str, changes: dict[str, Any], here: InForce) -> Remedy:
    """With nvidia-ctk; where that cannot yet, or somebody else writes the file, in words.

    Its values of a list are parted by colons.
    """
    lines = "; ".join(shown(name, value) for name, value in changes.items())
    if here.found.settings.source == OPERATORS:
        where = (
            "The GPU Operator's toolkit container writes the file anew: have toolkit.env of its ClusterPolicy say so."
        )
        return Remedy(f"{text} {lines}. {where}", disturbs=Disturbs.NEW_CONTAINERS)
    if compare(here.version, CONFIG_SINCE) < 0:
        edit = command(Shell.EDITOR, *operands("/etc/nvidia-container-runtime/config.toml"))
        return Remedy(f"{text} Write {lines}.", as_root(system, edit), Disturbs.NEW_CONTAINERS)
    commands = (_command(name, value) for name, value in changes.items())
    return Remedy(text, as_root(system, *commands), Disturbs.NEW_CONTAINERS)


def _command(name: str, value: Any) -> Command:
    written = ":".join(value) if isinstance(value, list) else value if isinstance(value, str) else json.dumps(value)
    return command("nvidia-ctk", "config", "--set", f"{name}={written}", "--in-place")


def wishes(names: Iterable[str], system: System, here: ToolkitInUse) -> dict[str, Any]:
    """Returns what these settings are to be on this host, without those that are so."""
    wanted = {name: _wished(name, system, here) for name in names}
    return {name: value for name, value in wanted.items() if value != here.settings.value(name)}


@check("toolkit.cgroup-v2")
def cgroup_v2(
    system: System, isolation: Isolation, toolkit: Toolkit, found: ToolkitSettings, packages: Packages
) -> Judgement | None:
    """libnvidia-container before 1.8.0 does not know cgroup v2: "cgroup subsystem devices not found"."""
    cli = toolkit.cli.get()
    version = leading(cli.version) if cli else ""
    if not version:
        return None
    if not isolation.cgroup_v2.get():
        return passed("This host has cgroup v1, which every toolkit knows", isolation.cgroup_v2)
    settings = found.settings.value
    if compare(version, CGROUP_V2_SINCE) >= 0 or (settings and settings.values.get(NO_CGROUPS) is True):
        return passed(f"libnvidia-container {version} knows cgroup v2", isolation.cgroup_v2)
    remedy = upgrade_toolkit(system, packages, "Upgrade the toolkit.", toolkit)
    message = f"libnvidia-container {version} does not know this host's cgroup v2: every GPU container fails."
    seen = Evidence(toolkit.cli.source, f"version {version}")
    return failed(message, seen, isolation.cgroup_v2, remedy=remedy)


@check("toolkit.release-faults")
def release_faults(system: System, paths: EnginePaths, packages: Packages) -> Judgement | None:
    """Some releases of the toolkit have a fault that stops containers, which a later one has not any more.

    What is one engine's alone counts where that runs: containerd's where it serves CRI.
    """
    toolkit = paths.toolkit.toolkit
    ctk = toolkit.ctk.get() or toolkit.cli.get()
    version = leading(ctk.version) if ctk else ""
    if not version:
        return None
    faults = [fault for fault in faults_of(version) if fault.engine is None or _is_here(fault.engine, paths)]
    if not faults:
        return passed(f"No known fault in toolkit {version}", Evidence(toolkit.ctk.source, version))
    newest = faults[-1]
    remedy = upgrade_toolkit(system, packages, f"Upgrade the toolkit to {newest.fixed} or later.", toolkit)
    seen = (Evidence(fault.source, fault.text) for fault in faults)
    return warned(f"Toolkit {version} has a fault: {newest.text}.", *seen, remedy=remedy)


def _is_here(engine: str, paths: EnginePaths) -> bool:
    """Whether it runs containers here. Distributions of Kubernetes write the files of their containerd themselves."""
    containerd = paths.toolkit.containerd
    has_cri = containerd.cri.value is not None or containerd.cri.unknown is not None
    return engine in paths.used and (engine != "containerd" or (containerd.flavour.value == "plain" and has_cri))
