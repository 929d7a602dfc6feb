"""What Docker's log says of its start."""

from __future__ import annotations

import re
from itertools import takewhile

from gpuctl.checks.engine import Judgement, check, failed, passed
from gpuctl.checks.remedies import start
from gpuctl.facts.docker.docker import Docker, State
from gpuctl.facts.machine.logs import Logs
from gpuctl.facts.machine.system import System
from gpuctl.model import Evidence, Remedy
from gpuctl.regex import regex

_DOCKER_FATAL = regex(r"failed to start daemon|unable to configure the Docker daemon|level=fatal", re.IGNORECASE)
_DOCKER_RUNS = regex(r"Daemon has completed initialization|API listen on ")
"""What dockerd says when it has started: an older failure to start was no more then."""


@check("docker.log", explains=("docker.reachable",))
def docker_log(system: System, docker: Docker, logs: Logs) -> Judgement | None:
    """Where Docker does not start, the last thing in its log says why, unless it has started since."""
    lines = logs.docker
    if docker.daemon.value is not None:
        return passed("Docker runs", docker.daemon)
    if docker.state.value not in (State.ABSENT, State.STOPPED) or lines.value is None:
        return None
    of_last_start = takewhile(lambda line: not _DOCKER_RUNS.search(line), reversed(lines.value))
    fatal = next((line for line in of_last_start if _DOCKER_FATAL.search(line)), None)
    if fatal is None:
        return None
    remedy = Remedy("Mend what it names, then start Docker.", start(system, docker))
    said = _core(_DOCKER_FATAL, fatal).rstrip(".")
    return failed(f"Docker did not start: {said}.", Evidence(lines.source, fatal), remedy=remedy)


def _core(pattern: re.Pattern[str], line: str) -> str:
    """The line without what the logger and the engine put before it."""
    found = pattern.search(line)
    return line[found.start() :] if found else line
