"""The systemd unit that runs containerd: its own, or that of the Kubernetes distribution that starts it."""

from __future__ import annotations

from typing import List, Mapping, Optional, Tuple

from gpuctl.facts.containerd.process import ContainerdProcess
from gpuctl.facts.docker.unit import command_line
from gpuctl.facts.machine.systemd import BOOTED, parse_show
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, Reading, fact
from gpuctl.model import Fact

FLAVOURS: Mapping[str, str] = {
    "k3s.service": "k3s",
    "k3s-agent.service": "k3s",
    "rke2-server.service": "rke2",
    "rke2-agent.service": "rke2",
    "snap.microk8s.daemon-containerd.service": "microk8s",
    "containerd.service": "plain",
}
"""Each unit with whose containerd it runs, in the order of preference."""
PROPERTIES = "Id,LoadState,ActiveState,KillMode,ExecStart,RequiredBy,BoundBy,ConsistsOf"
SHOW = ("systemctl", "show", *FLAVOURS, "--property=" + PROPERTIES)
_DEPENDENTS = ("RequiredBy", "BoundBy", "ConsistsOf")


@dataclass(frozen=True)
class Unit:
    """A unit. `spares`: a stop ends its main process alone (KillMode=process), so that containers live on.

    `takes_along` are the units that systemd restarts with it (systemd.unit(5): Requires=, BindsTo=, PartOf=).
    """

    name: str
    active: bool
    argv: Tuple[str, ...]
    spares: bool
    takes_along: Tuple[str, ...] = ()


def probe_unit(host: Host, process: Optional[ContainerdProcess]) -> Fact[Unit]:
    """Returns the unit of this process, or where none runs, of the one that would; absent without systemd."""
    if host.stat(BOOTED).outcome is Outcome.ABSENT:
        return Fact(None, BOOTED)
    shown = host.run(SHOW)
    short = Reading("systemctl show", shown.outcome, shown.text, shown.code, shown.detail)
    units = fact(short, parse_units)
    fitting = [unit for unit in units.value or () if process is None or _runs(unit, process)]
    return Fact(fitting[0] if fitting else None, units.source, units.unknown)


def _runs(unit: Unit, process: ContainerdProcess) -> bool:
    return unit.active and "/%s" % unit.name in process.cgroup


def parse_units(text: str) -> List[Unit]:
    """Returns the units that exist, in the order in which they were asked for.

    Id=containerd.service
    LoadState=loaded
    ActiveState=active
    KillMode=process
    RequiredBy=docker.service
    ExecStart={ path=/usr/bin/containerd ; argv[]=/usr/bin/containerd ; ignore_errors=no ; pid=612 }
    """
    return [_unit(properties) for properties in parse_show(text)]


def _unit(properties: Mapping[str, List[str]]) -> Unit:
    return Unit(
        name=properties["Id"][0],
        active=properties.get("ActiveState") == ["active"],
        argv=tuple(command_line(properties).split()),
        spares=properties.get("KillMode") == ["process"],
        takes_along=tuple(word for name in _DEPENDENTS for word in " ".join(properties.get(name, [])).split()),
    )
