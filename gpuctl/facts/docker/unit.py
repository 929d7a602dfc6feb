"""Docker's systemd unit, as systemd merged it from its files."""

from __future__ import annotations

import re
import shlex
from typing import Dict, FrozenSet, Iterator, List, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from gpuctl.facts.docker.endpoint import Endpoint, place
from gpuctl.facts.machine.systemd import BOOTED, parse_show
from gpuctl.frozen import dataclass
from gpuctl.host.decode import whole
from gpuctl.host.look.reading import Host, Outcome, Reading, fact
from gpuctl.model import Fact

NAMES = ("docker.service", "snap.docker.dockerd.service")
PROPERTIES = (
    "--property=Id,LoadState,ActiveState,MainPID,FragmentPath,DropInPaths,ExecStart,Environment,EnvironmentFiles"
)
SHOW = ("systemctl", "show", *NAMES, PROPERTIES)
SHOW_USER = ("systemctl", "--user", "show", NAMES[0], PROPERTIES)
SHOW_SOCKETS = ("show", "*.socket", "--property=Id,SubState,Listen")
_WORDS_LIMIT = 1 << 15
"""Characters of a command line. Python takes words apart in time that grows with the square of the longest."""


@dataclass(frozen=True)
class Unit:
    """docker's systemd unit as systemd merged it: its files (drop-ins included) and its ExecStart words."""

    name: str
    active: bool
    files: Tuple[str, ...]
    argv: Tuple[str, ...]
    """With the variables of the unit's environment filled in."""
    pid: int = 0
    """Its main process, 0 when it does not run."""


def probe_unit(host: Host, user: bool) -> Fact[Unit]:
    """Returns the unit, of rootless Docker the user's; absent without systemd and where there is no such unit."""
    if host.stat(BOOTED).outcome is Outcome.ABSENT:
        return Fact(None, BOOTED)
    shown = host.run(SHOW_USER if user else SHOW)
    short = Reading(
        " ".join(shown.source.split(" --property")[:1]), shown.outcome, shown.text, shown.code, shown.detail
    )
    units = fact(short, lambda text: [_unit(host, block) for block in parse_show(text)])
    active = sorted(units.value or (), key=lambda unit: not unit.active)
    return Fact(active[0] if active else None, units.source, units.unknown)


def waiting_socket(host: Host, endpoint: Endpoint, user: bool) -> Optional[str]:
    """Returns the name of the systemd socket that listens in the daemon's stead: who connects to it starts the daemon.

    None where the daemon itself listens, or nobody.
    """
    if not endpoint.local or host.stat(BOOTED).outcome is Outcome.ABSENT:
        return None
    shown = host.run(("systemctl", "--user", *SHOW_SOCKETS) if user else ("systemctl", *SHOW_SOCKETS))
    link = host.link(urlsplit(endpoint.url).path)  # podman-docker makes Docker's socket a link to Podman's
    wanted = {place(endpoint.url), *([link.text] if link.ok else [])}
    return next((name for name, places in parse_sockets(shown.text) if wanted & places), None)


def parse_sockets(text: str) -> Iterator[Tuple[str, FrozenSet[str]]]:
    """Yields the sockets at which systemd itself listens, each with its places; once it has started the service, the
    socket is `running`. Before systemd 239 the lines read ListenStream=/run/docker.sock.

    Listen=/run/docker.sock (Stream)
    Listen=127.0.0.1:2375 (Stream)
    Id=docker.socket
    SubState=listening
    """
    for block in text.split("\n\n"):
        lines = [line.partition("=") for line in block.splitlines()]
        values = {name: value for name, _, value in lines}
        if values.get("SubState") == "listening":
            places = [value.partition(" ")[0] for name, _, value in lines if name.startswith("Listen")]
            yield values.get("Id", ""), frozenset(map(place, places))


def _unit(host: Host, properties: Mapping[str, List[str]]) -> Unit:
    files = properties.get("FragmentPath", []) + " ".join(properties.get("DropInPaths", [])).split()
    assigned = (word.partition("=") for word in _words(" ".join(properties.get("Environment", []))))
    environment = {name: value for name, _, value in assigned}
    for entry in properties.get("EnvironmentFiles", []):
        environment.update(parse_environment_file(host.read(entry.partition(" (")[0]).text))
    return Unit(
        name=properties["Id"][0],
        active=properties.get("ActiveState") == ["active"],
        files=tuple(files),
        argv=tuple(expanded(_words(command_line(properties)), environment)),
        pid=whole(properties.get("MainPID", ["0"])[0]),
    )


def command_line(properties: Mapping[str, List[str]]) -> str:
    """Returns the command line of a unit's first ExecStart, "" where it has none."""
    start = " ".join(properties.get("ExecStart", [])).partition("argv[]=")[2]
    return start.partition(" ; ignore_errors=")[0]


def _words(text: str) -> List[str]:
    """Some versions of systemd print the words quoted, others bare, where a quotation mark may stand alone."""
    try:
        return shlex.split(text) if len(text) <= _WORDS_LIMIT else text.split()
    except ValueError:
        return text.split()


def parse_environment_file(text: str) -> Dict[str, str]:
    """Returns the variables of an environment file (systemd.exec(5), EnvironmentFile=).

    # Use DOCKER_OPTS to modify the daemon startup options.
    DOCKER_OPTS="--dns 8.8.8.8 --dns 8.8.4.4"
    """
    lines = (line.strip() for line in text.splitlines())
    assigned = (line.partition("=") for line in lines if "=" in line and line[0] not in "#;")
    return {name.strip(): " ".join(_words(value)) for name, _, value in assigned}


def expanded(words: List[str], environment: Mapping[str, str]) -> Iterator[str]:
    """Yields the words as systemd hands them on: $NAME alone is split at blanks, ${NAME} stays in its word.

    systemd.service(5), "Command lines".
    """
    for word in words:
        if re.match(r"\$\w+$", word):
            yield from environment.get(word[1:], "").split()
        else:
            yield re.sub(r"\$\{(\w+)\}", lambda found: environment.get(found.group(1), ""), word)
