"""NVIDIA's own services: the persistence daemon, and the fabric manager that NVSwitch needs."""

from __future__ import annotations

from typing import List, Mapping, Optional, Sequence

from gpuctl.facts.machine.systemd import BOOTED, parse_show
from gpuctl.frozen import dataclass
from gpuctl.host.look.deadline import begin
from gpuctl.host.look.reading import Host, Outcome, Reading, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

PERSISTENCED, FABRIC_MANAGER = "nvidia-persistenced", "nvidia-fabricmanager"
IMEX, GRIDD = "nvidia-imex", "nvidia-gridd"
SHOW = (
    "systemctl",
    "show",
    *(unit + ".service" for unit in (PERSISTENCED, FABRIC_MANAGER)),
    "--property=Id,LoadState,ActiveState,Result",
)
SHOW_OTHERS = (
    "systemctl",
    "show",
    *(unit + ".service" for unit in (IMEX, GRIDD)),
    "--property=Id,LoadState,ActiveState,Result",
)
FABRIC_VERSION = ("nv-fabricmanager", "--version")
_VERSION = regex(r"version is[\s:]{1,9}(\d[\d.]{0,30})|(\d{1,9}\.\d{1,9}(?:\.\d{1,9})?)")


@dataclass(frozen=True)
class Service:
    """`state` as systemd has it: active, inactive, failed, activating; masked where it may not be started.

    `result` says why it failed.
    """

    state: str
    result: str


@dataclass(frozen=True)
class Services:
    """Absent: systemd has no such unit, or does not run the services here."""

    persistenced: Fact[Service]
    fabric_manager: Fact[Service]
    fabric_version: Fact[str]
    """What nv-fabricmanager says of its version."""
    imex: Fact[Service]
    """What shares memory between the nodes of one NVLink domain (GB200, GB300)."""
    gridd: Fact[Service]
    """What gets a virtual GPU its licence."""


def probe_services(host: Host) -> Services:
    """Returns how the services stand."""
    version, others = begin(lambda: host.run(FABRIC_VERSION)), begin(lambda: _shown(host, SHOW_OTHERS))
    shown, shown_others = _shown(host, SHOW), others()
    return Services(
        persistenced=_service(shown, PERSISTENCED),
        fabric_manager=_service(shown, FABRIC_MANAGER),
        fabric_version=fact(version(), parse_fabric_version),
        imex=_service(shown_others, IMEX),
        gridd=_service(shown_others, GRIDD),
    )


def _shown(host: Host, show: Sequence[str]) -> Reading:
    return host.run(show) if host.stat(BOOTED).ok else Reading(BOOTED, Outcome.ABSENT)


def _service(shown: Reading, name: str) -> Fact[Service]:
    found = fact(shown, lambda text: parse_service(parse_show(text, ("loaded", "masked")), name))
    return Fact(found.value, "systemctl show " + name, found.unknown)


def parse_service(units: List[Mapping[str, List[str]]], name: str) -> Optional[Service]:
    """Returns the unit of that name, of those that systemctl shows.

    Id=nvidia-fabricmanager.service
    LoadState=loaded
    ActiveState=failed
    Result=exit-code
    """
    one = next((unit for unit in units if unit.get("Id") == [name + ".service"]), None)
    if one is None:
        return None
    state, masked = one.get("ActiveState", [""])[0], one.get("LoadState") == ["masked"]
    return Service("masked" if masked and state != "active" else state, one.get("Result", [""])[0])


def parse_fabric_version(text: str) -> str:
    """Returns the version. Raises ValueError.

    Fabric Manager version is : 535.161.08
    """
    found = _VERSION.search(text)
    if not found:
        raise ValueError(text.strip() or "no output")
    return found.group(1) or found.group(2)
