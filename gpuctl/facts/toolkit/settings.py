"""The toolkit's config.toml, read as the toolkit reads it, and whether what it names is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional

from gpuctl.documents import load_toml
from gpuctl.facts.toolkit.toolkit import SETTINGS
from gpuctl.host.look.reading import Host, fact
from gpuctl.model import Fact

LDCONFIGS = ("/sbin/ldconfig", "/sbin/ldconfig.real")
"""Ubuntu's /sbin/ldconfig is a script, and the program beside it is ldconfig.real."""


@dataclass(frozen=True)
class Settings:
    """None: not set. `ldconfig` without its @, which `ldconfig_of_host` tells."""

    ldconfig: Optional[str]
    ldconfig_of_host: bool
    no_cgroups: bool
    root: Optional[str]
    mode: str


@dataclass(frozen=True)
class ToolkitSettings:
    """Absent without a config.toml: the toolkit goes by its defaults then."""

    settings: Fact[Settings]
    ldconfig: Fact[str]
    """The program that it names, absent where there is none."""
    root: Fact[str]
    """The folder that it names, absent where there is none."""
    proper_ldconfig: Fact[str]
    """What this host's distribution has: ldconfig.real where that exists, else ldconfig."""


def probe_toolkit_settings(host: Host) -> ToolkitSettings:
    """Returns the settings that decide whether legacy mode works here."""
    settings = fact(host.read(SETTINGS), parse_settings)
    told = settings.value
    proper = next((path for path in reversed(LDCONFIGS) if host.stat(path).ok), None)
    return ToolkitSettings(
        settings=settings,
        ldconfig=_there(host, told.ldconfig if told else None),
        root=_there(host, told.root if told else None),
        proper_ldconfig=Fact(proper, LDCONFIGS[0]),
    )


def _there(host: Host, path: Optional[str]) -> Fact[str]:
    return fact(host.stat(path), lambda _: path) if path else Fact(None, SETTINGS)


def parse_settings(text: str) -> Settings:
    """Returns what a config.toml says. Raises ValueError.

    [nvidia-container-cli]
    ldconfig = "@/sbin/ldconfig.real"
    no-cgroups = false
    root = "/run/nvidia/driver"
    [nvidia-container-runtime]
    mode = "auto"
    """
    document = load_toml(text)
    cli, runtime = _section(document, "nvidia-container-cli"), _section(document, "nvidia-container-runtime")
    ldconfig, root, mode = cli.get("ldconfig"), cli.get("root"), runtime.get("mode")
    return Settings(
        ldconfig=ldconfig.lstrip("@") if isinstance(ldconfig, str) else None,
        ldconfig_of_host=isinstance(ldconfig, str) and ldconfig.startswith("@"),
        no_cgroups=cli.get("no-cgroups") is True,
        root=root if isinstance(root, str) and root else None,
        mode=mode if isinstance(mode, str) and mode else "auto",
    )


def _section(document: Dict[str, Any], name: str) -> Dict[str, Any]:
    section = document.get(name)
    return section if isinstance(section, dict) else {}
