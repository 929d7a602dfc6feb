"""Whether systemd runs here, and what it shows of its units."""

from __future__ import annotations

from typing import Dict, List, Mapping, Sequence

BOOTED = "/run/systemd/system"
"""There when systemd is the init system: sd_booted(3)."""


def parse_show(text: str, states: Sequence[str] = ("loaded",)) -> List[Mapping[str, List[str]]]:
    """Returns the properties of each unit whose LoadState is one of these; one that comes often has many values.

    Id=docker.service
    LoadState=loaded
    ActiveState=active
    MainPID=812
    FragmentPath=/lib/systemd/system/docker.service
    DropInPaths=/etc/systemd/system/docker.service.d/override.conf
    EnvironmentFiles=/etc/default/docker (ignore_errors=yes)
    ExecStart={ path=/usr/sbin/dockerd ; argv[]=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS ; ignore_errors=no ; pid=0 }

    Id=snap.docker.dockerd.service
    LoadState=not-found
    """
    units: List[Mapping[str, List[str]]] = []
    for block in text.split("\n\n"):
        properties: Dict[str, List[str]] = {}
        for line in block.splitlines():
            name, _, value = line.partition("=")
            properties.setdefault(name, []).append(value)
        if properties.get("LoadState", [""])[0] in states and "Id" in properties:
            units.append(properties)
    return units
