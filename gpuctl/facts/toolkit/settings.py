"""The toolkit's config.toml, read as the toolkit reads it, and whether what it names is there."""

from __future__ import annotations

import posixpath
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

from gpuctl.documents import load_toml
from gpuctl.facts.machine.processes import search_path
from gpuctl.facts.toolkit.cdi import FOLDERS, Cdi, probe_cdi
from gpuctl.facts.toolkit.toolkit import OPERATOR, RUNTIME, SETTINGS
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, fact
from gpuctl.model import Fact

LDCONFIGS = ("/sbin/ldconfig", "/sbin/ldconfig.real")
"""Ubuntu's /sbin/ldconfig is a script, and the program beside it is ldconfig.real."""
LDCONFIG, RUNTIMES = "nvidia-container-cli.ldconfig", "nvidia-container-runtime.runtimes"
MODE, NO_CGROUPS = "nvidia-container-runtime.mode", "nvidia-container-cli.no-cgroups"
ROOT, SPEC_DIRS = "nvidia-container-cli.root", "nvidia-container-runtime.modes.cdi.spec-dirs"
PROGRAMS = ("nvidia-container-cli.path", "nvidia-ctk.path", "nvidia-container-runtime-hook.path")
OPERATORS = OPERATOR + "/.config/nvidia-container-runtime/config.toml"
"""What the GPU Operator's toolkit container writes for the programs that it brings, which read no other.
Source: https://github.com/NVIDIA/nvidia-container-toolkit/blob/v1.18.1/cmd/nvidia-ctk-installer/toolkit/toolkit.go"""
ASK = ("nvidia-ctk", "config", "--config-file=" + SETTINGS)
"""Shows the file as the toolkit reads it, and fails where it cannot; from 1.14 on."""


@dataclass(frozen=True)
class Settings:
    """What a config.toml says, by the setting's name with its tables before it.

    `error` is why it is no TOML, with the line; there are no values then.
    """

    values: Mapping[str, Any]
    error: Optional[str] = None


@dataclass(frozen=True)
class ToolkitSettings:
    """Absent without a config.toml: the toolkit goes by its defaults then."""

    settings: Fact[Settings]
    there: Fact[Mapping[str, Fact[str]]]
    """The programs, folders and runtimes that it names, as it names them: where each is, absent where it is not.

    A runtime may lie where containerd alone looks: K3s, RKE2, MicroK8s and k0s bring their runc.
    """
    proper_ldconfig: Fact[str]
    """What this host's distribution has: ldconfig.real where that exists, else ldconfig."""
    cdi: Fact[Cdi]
    """The CDI specifications in the folders where the toolkit's mode cdi looks for them."""


def probe_toolkit_settings(host: Host) -> ToolkitSettings:
    """Returns the settings, and what of the host decides whether they work here."""
    is_operators = not host.which(RUNTIME).ok and host.stat("%s/%s" % (OPERATOR, RUNTIME)).ok
    settings = fact(host.read(OPERATORS), parse_settings) if is_operators else _settings(host)
    values = settings.value.values if settings.value else {}
    proper = next((path for path in reversed(LDCONFIGS) if host.stat(path).ok), None)
    return ToolkitSettings(
        settings=settings,
        there=Fact({name: _place(host, name) for name in _named(values)}, settings.source),
        proper_ldconfig=Fact(proper, LDCONFIGS[0]),
        cdi=probe_cdi(host, texts(values.get(SPEC_DIRS)) or FOLDERS),
    )


def _settings(host: Host) -> Fact[Settings]:
    """The toolkit's reader of TOML takes a little more than the standard: where Python's refuses, it decides."""
    found = fact(host.read(SETTINGS), parse_settings)
    error = found.value and found.value.error
    if error and host.run(ASK).ok:
        return Fact(None, SETTINGS, "the toolkit reads it, and it is no TOML: %s" % error)
    return found


def _place(host: Host, name: str) -> Fact[str]:
    if "/" in name:
        return fact(host.stat(name), lambda _: name)
    found = fact(host.which(name), str)
    return found if found.value else _on_containerds_path(host, found, name)


def _on_containerds_path(host: Host, missed: Fact[str], name: str) -> Fact[str]:
    """nvidia-container-runtime inherits the PATH of the engine that starts it: docs.k3s.io/advanced."""
    from gpuctl.facts.containerd.process import probe_process  # few hosts have a runtime that is nowhere else

    process = probe_process(host).value
    if process is None:
        return missed
    path = search_path(host, process.pid)
    places = [posixpath.join(folder, name) for folder in (path.value or "").split(":") if folder]
    found = next((place for place in places if host.stat(place).ok), None)
    return Fact(found, path.source, path.unknown)


def _named(values: Mapping[str, Any]) -> Iterator[str]:
    for setting in (ROOT, *PROGRAMS):
        yield from _absolute(values.get(setting))
    for path in ldconfigs(values.get(LDCONFIG)):
        yield from _absolute(path)
    yield from texts(values.get(RUNTIMES))


def _absolute(value: Any) -> Tuple[str, ...]:
    return (value,) if isinstance(value, str) and value.startswith("/") else ()


def ldconfigs(value: Any) -> Tuple[str, ...]:
    """Returns the programs that a host's ldconfig may mean: from 1.15 on the toolkit takes what there is of both.

    @/sbin/ldconfig.real
    """
    if not isinstance(value, str) or not value.startswith("@"):
        return ()
    plain = value[1:-5] if value.endswith(".real") else value[1:]
    return (value[1:], plain, plain + ".real")


def texts(value: Any) -> Tuple[str, ...]:
    """Returns the texts of a setting that is a list of them."""
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def parse_settings(text: str) -> Settings:
    """Returns what a config.toml says. The toolkit passes over a byte order mark.

    disable-require = false
    [nvidia-container-cli]
    ldconfig = "@/sbin/ldconfig.real"
    [nvidia-container-runtime.modes.cdi]
    spec-dirs = ["/etc/cdi", "/var/run/cdi"]
    """
    try:
        document = load_toml(text[1:] if text.startswith("\ufeff") else text)
    except ValueError as error:
        return Settings({}, str(error))
    return Settings(dict(_flat(document, "")))


def _flat(table: Dict[str, Any], before: str) -> Iterator[Tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, "%s%s." % (before, name))
        else:
            yield before + name, value
