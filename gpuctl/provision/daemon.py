"""Talking to the daemon that has to take up a file: reload, restart, and asking what it took."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from urllib.parse import urlencode

from gpuctl.compat.versions import compare, leading
from gpuctl.engines.daemon_json import Settings
from gpuctl.facts.docker import Docker
from gpuctl.host.files import same_file
from gpuctl.host.process import ProcessProblem, hang_up, systemctl
from gpuctl.host.reading import Host, Outcome, Reading, failure
from gpuctl.provision.result import Refused

VALIDATES_SINCE = "23.0"
SYSTEMD_DEADLINE = 90.0
VALIDATE_DEADLINE = 10.0
ANSWER_DEADLINE = 3.0
_PAUSE = 0.1


class DaemonProblem(Exception):
    """The daemon did not do what it was told; the message says what."""


class NotUp(DaemonProblem):
    """The daemon was restarted, and did not come up as it should."""


def unit_to_tell(docker: Docker, restart: bool) -> str | None:
    """Returns the systemd unit through which this daemon is told, None when it is told by a signal.

    Raises Refused when it can then not be told, or not restarted.
    """
    unit = docker.unit.value
    # A rootless daemon's unit is its user's, of whose systemd root is not the master.
    if unit is not None and unit.active and docker.kind.value != "rootless":
        return unit.name
    if restart:
        raise Refused("systemd does not run this Docker: restart it as it was started, and leave out --restart.")
    if docker.process.value is None:
        raise Refused("gpuctl does not see the dockerd process. Use --no-reload, and send it SIGHUP yourself.")
    return None


def reload(docker: Docker, unit: str | None) -> float:
    """Has the daemon read its file again. Returns when, in seconds since the epoch.

    Raises DaemonProblem when it could not be told.
    """
    told = time.time()
    if unit is not None:
        _done(systemctl("reload", unit, SYSTEMD_DEADLINE))
    elif docker.process.value is not None:
        try:
            hang_up(docker.process.value.pid, docker.process.value.argv)
        except ProcessProblem as problem:
            raise DaemonProblem(str(problem)) from None
    return told


def restart(unit: str) -> None:
    """Restarts the daemon. Raises DaemonProblem when systemd says that it did not start."""
    _done(systemctl("restart", unit, SYSTEMD_DEADLINE))


def wait_for(host: Host, endpoint: str, settings: Settings, deadline: float, told: float | None = None) -> None:
    """Returns once the daemon answers and lists what the file says; DaemonProblem with the last difference if not.

    `told`: when it was told to reload, and it must have done so since. `deadline` in seconds.
    """
    end = time.monotonic() + deadline
    while problem := ask(host, endpoint, settings, min(ANSWER_DEADLINE, max(_PAUSE, end - time.monotonic())), told):
        if time.monotonic() >= end:
            raise DaemonProblem(f"{problem}, {deadline:g} s after it was told.")
        time.sleep(_PAUSE)


def ask(
    host: Host, endpoint: str, settings: Settings, deadline: float = ANSWER_DEADLINE, told: float | None = None
) -> str:
    """Returns in which way the running daemon differs from the file, "" when it does not. `deadline` in seconds.

    What it lists proves nothing where it listed that before it was `told`: a reload that it refuses leaves all as it
    was. The daemon itself says which reload it carried out (docs.docker.com/reference/cli/docker/system/events).
    """
    try:
        if told is not None and not _reloaded(host, endpoint, told, deadline):
            return "Docker has not taken the file up"
        return difference(settings, answer(host, endpoint, deadline))
    except DaemonProblem as problem:
        return str(problem)


def _reloaded(host: Host, endpoint: str, since: float, deadline: float) -> bool:
    wanted = json.dumps({"type": ["daemon"], "event": ["reload"]})
    query = urlencode({"since": f"{since:.9f}", "until": f"{time.time():.9f}", "filters": wanted})
    reading = host.get(endpoint, f"/events?{query}", deadline)
    if not reading.ok:
        raise DaemonProblem(f"Docker does not answer: {failure(reading)}")
    return bool(reading.text.strip())


def answer(host: Host, endpoint: str, deadline: float = ANSWER_DEADLINE) -> Settings:
    """Returns the runtimes and the default runtime that the daemon has now. Raises DaemonProblem without an answer."""
    reading = host.get(endpoint, "/info", deadline)
    if not reading.ok:
        raise DaemonProblem(f"Docker does not answer: {failure(reading)}")
    try:
        info = json.loads(reading.text)
        runtimes = {name: entry.get("path", "") for name, entry in info["Runtimes"].items()}
        return Settings(runtimes, info["DefaultRuntime"])
    except (ValueError, KeyError, AttributeError, TypeError):
        raise DaemonProblem("Docker's answer to /info is not understood") from None


def difference(wanted: Settings, has: Settings) -> str:
    """Returns in which way what a daemon has differs from what its file says, "" when it does not."""
    for name, path in wanted.runtimes.items():
        if name not in has.runtimes:
            return f"Docker does not list the runtime {name}"
        if path and has.runtimes[name] != path:
            return f"Docker lists the runtime {name} as {has.runtimes[name]}, not {path}"
    if wanted.default and has.default != wanted.default:
        return f"Docker's default runtime is {has.default}, not {wanted.default}"
    return ""


def validator(host: Host, docker: Docker, config: str) -> Callable[[str], None]:
    """Returns what looks at a complete new file before it counts: `dockerd --validate` where this version has it.

    It raises Refused with dockerd's words, in which the new file goes by the name of the one that it replaces.
    """
    program = host.which("dockerd").text
    if not _validates(docker, program):
        return lambda path: None

    def validate(path: str) -> None:
        reading = host.run((program, "--validate", "--config-file", path), VALIDATE_DEADLINE)
        if reading.outcome is Outcome.OK and reading.code:
            words = _last_line(reading).replace(path, config).rstrip(".")
            raise Refused(f"dockerd --validate refuses the new file: {words}.")

    return validate


def _validates(docker: Docker, program: str) -> bool:
    """Whether that program is the daemon that runs: what another one thinks of the file is of no use."""
    daemon, process = docker.daemon.value, docker.process.value
    if daemon is None or process is None or compare(leading(daemon.version) or "0", VALIDATES_SINCE) < 0:
        return False
    return same_file(f"/proc/{process.pid}/exe", program)


def _done(reading: Reading) -> None:
    if not reading.ok:
        raise DaemonProblem(f"`{reading.source}` failed: {failure(reading)}.")


def _last_line(reading: Reading) -> str:
    lines = (reading.detail or reading.text).strip().splitlines()
    return lines[-1] if lines else f"exit status {reading.code}"
