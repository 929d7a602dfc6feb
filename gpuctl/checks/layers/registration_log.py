"""Which GPU container failed to start lately, where nothing is known to have mended that since."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from gpuctl.checks.compare.dates import changed_at
from gpuctl.checks.engine import Judgement, check, passed, unread, warned
from gpuctl.checks.paths.containers import DockerPaths
from gpuctl.checks.paths.ways import GpuPath
from gpuctl.command import Shell, command
from gpuctl.facts.docker.containers import Container, DockerContainers
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.machine.logs import Logs
from gpuctl.facts.own.journal import DONE, Changes
from gpuctl.facts.packages.history import PackageHistory
from gpuctl.facts.packages.logs import KERNEL
from gpuctl.frozen import dataclass
from gpuctl.host.decode import second
from gpuctl.model import CannotTell, Evidence, Fact, Remedy
from gpuctl.regex import regex

_BY_HOOK = (
    r"nvidia-container-cli(?:\.real)?: |nvidia-container-runtime-hook: |insufficient privileges to read device list"
)
_BY_CDI = (
    r"nvidia-cdi-hook: |unresolvable CDI devices|conflicting device|failed to stat CDI host device"
    r"|error mounting \W*/\S*(?:nvidia|libcuda)|No help topic for"
)
_BY_FLAG = r"could not select device driver|failed to discover GPU vendor from CDI|AMD CDI spec not found"
_BY_RUNTIME = (
    r"unknown or invalid runtime name|no runtime for \W*nvidia\W* is configured|failed to find runtime handler nvidia"
)
_CONTAINER = regex(
    f"(?P<hook>{_BY_HOOK})|(?P<cdi>{_BY_CDI})|(?P<flag>{_BY_FLAG})|(?P<runtime>{_BY_RUNTIME})"
    r"|container\.Runtime\.Name must be set|unsafe procfs detected"
)
"""Core lines, by which a container's failure is one of GPUs: data/failures.jsonl has their families."""
_SAME_KIND = {
    "hook": (GpuPath.HOOK, GpuPath.LEGACY),
    "cdi": (GpuPath.CDI, GpuPath.JIT_CDI, GpuPath.CSV),
    "flag": (GpuPath.HOOK, GpuPath.CDI),
    "runtime": (GpuPath.LEGACY, GpuPath.JIT_CDI, GpuPath.CSV),
}
"""The paths by which a container that starts shows that what failed works again."""
_DAEMONS_OWN = ("flag", "runtime")
"""What a dockerd lacks for these it looks for when it starts: of another one, other checks tell."""
_ENTRY = regex(r"(\d{4}-\d\d-\d\dT[\d:]{8}[+-][\d:]{4,5}) \S+ ([^\s\[:]+)(?:\[\d+\])?: (.*)")
"""What journalctl prints with -o short-iso: when, on which host, who, what."""
_DAEMONS = ("dockerd", "dockerd-current", "docker-containerd", "docker", "containerd", "kubelet")
"""Others who write into the log of such a unit are its containers: Docker's log driver journald puts theirs there."""
_LEVEL = regex(r'(?:time=(?:"[^"]*"|\S+) )?level=(\w+)|([IWEF])\d{4} |\{.*?(?<!\\)"level":"(\w+)"')
_NO_FAILURE = ("trace", "debug", "info", "warning", "warn", "I", "W")
"""What is told so was gone on from: the engine took another path, or tried again."""
_QUOTE = regex(r'(?<!\\)"')
_POD = regex(r'\bpod="([^"]+)"|PodSandboxMetadata\{Name:([^,]+),')
_POD_RUNS = regex(r'"Observed pod startup duration"|RunPodSandbox for .{0,300} returns sandbox id')


@dataclass(frozen=True)
class LogEntry:
    """A line of a daemon's log: whose, when (seconds since the epoch), and its message."""

    unit: str
    line: str
    at: float
    message: str

    @property
    def is_error(self) -> bool:
        """Whether it is told as one, or at no level."""
        level = _LEVEL.match(self.message)
        return level is None or level[level.lastindex or 0] not in _NO_FAILURE

    @property
    def fails(self) -> re.Match[str] | None:
        """The core of a GPU container's failure, where it tells of one."""
        return _CONTAINER.search(self.message) if self.is_error else None

    @property
    def kind(self) -> str | None:
        """Which path failed, as far as that core tells: of _SAME_KIND."""
        found = self.fails
        return found.lastgroup if found else None

    @property
    def core(self) -> str:
        """The message from that core on, without the fields that follow where it stands in a quoted one."""
        start = found.start() if (found := self.fails) else 0
        is_quoted = len(_QUOTE.findall(self.message, 0, start)) % 2
        end = _QUOTE.search(self.message, start) if is_quoted else None
        return self.message[start : end.start() if end else None]

    @property
    def pod(self) -> str | None:
        """The name of the pod that it is about, without its namespace."""
        found = _POD.search(self.message)
        return found[found.lastindex or 0].rpartition("/")[2] if found else None


@dataclass(frozen=True)
class Since:
    """Something after which an older failure tells of what is no more: when, in seconds since the epoch, and what."""

    at: float
    what: str


@check("registration.log")
def container_log(
    logs: Logs, here: DockerPaths, containers: DockerContainers, history: PackageHistory, changes: Changes
) -> Judgement | None:
    """What the toolkit said when a container failed to start is in the engine's log: the last of a day counts.

    It counts no more where something has mended it since: the same container or pod has started, or another that gets
    its GPUs the same way; `gpuctl smoke` passed; the driver, the toolkit or an engine was changed; the host was booted.
    A dockerd that knew no way to give GPUs, or no such runtime, says nothing of the one that was started after it.
    What an engine only warns of is no failure: Docker 29.2 and later warns that there is no CDI specification, and goes
    on to give the GPUs by the hook.
    """
    engines = {"docker": logs.docker, "containerd": logs.containerd, "kubelet": logs.kubelet}
    read = {unit: log for unit, log in engines.items() if log.value is not None}
    if not read:
        closed = next((log for log in engines.values() if log.unknown is not None), None)
        return unread(closed) if closed else None
    entries = sorted((one for unit, log in read.items() for one in entries_of(unit, log)), key=lambda one: one.at)
    failures = [one for one in entries if one.fails]
    if not failures:
        seen = (Evidence(log.source, "no such line") for log in read.values())
        return passed("No GPU container failed to start within a day", *seen)
    ways = here.paths
    general = tuple(_of_host(logs, containers, history, changes))
    mended = {
        one: since
        for one in failures
        for since in (
            *general,
            *_of_daemon(one, here.docker),
            *_of_containers(one, containers, ways.of),
            *_of_pod(one, entries),
        )
        if since.at > one.at
    }
    left = [one for one in failures if one not in mended]
    if left:
        return _complaint(left[-1], read)
    last = failures[-1]
    said = Evidence(read[last.unit].source, last.line)
    return passed(f"No GPU container has failed to start since {mended[last].what}", said)


def _complaint(last: LogEntry, read: dict[str, Fact[tuple[str, ...]]]) -> Judgement:
    explain = command("journalctl", "-u", last.unit, "--since", "-1d", Shell.PIPE, "gpuctl", "explain")
    message = f"A GPU container failed to start ({last.line.partition(' ')[0]}): {last.core}"
    remedy = Remedy("Have it explained.", (explain,))
    return warned(message, Evidence(read[last.unit].source, last.line), remedy=remedy)


def entries_of(unit: str, log: Fact[tuple[str, ...]]) -> Iterator[LogEntry]:
    """Yields what the daemon itself wrote."""
    for line in log.value or ():
        found = _ENTRY.match(line)
        if found and found[2] in _DAEMONS:
            yield LogEntry(unit, line, second(found[1]), found[3])


def _of_host(logs: Logs, containers: DockerContainers, history: PackageHistory, changes: Changes) -> Iterator[Since]:
    if logs.booted.value:
        yield Since(logs.booted.value, "the host was booted")
    if containers.smoked.value:
        yield Since(containers.smoked.value, "`gpuctl smoke` ran a container")
    for run in changes.runs.value or ():
        if run.state == DONE and run.ended:
            yield Since(run.ended, f"`gpuctl {run.command}`")
    yield from _of_packages(history)


def _of_packages(history: PackageHistory) -> Iterator[Since]:
    """None where nobody can tell when they changed by the clock of the log."""
    for change in history.changes.value or ():
        if change.subject != KERNEL:
            try:
                yield Since(changed_at(change, history), f"{change.package} was {change.action}")
            except CannotTell:
                return


def _of_daemon(failure: LogEntry, docker: Docker) -> Iterator[Since]:
    process = docker.process.value
    if failure.unit == "docker" and failure.kind in _DAEMONS_OWN and process:
        yield Since(process.started, "Docker was started")


def _of_containers(
    failure: LogEntry, containers: DockerContainers, path_of: Callable[[Container], GpuPath | None]
) -> Iterator[Since]:
    for one in containers.running.value or ():
        if one.id in failure.line or path_of(one) in _SAME_KIND.get(failure.kind or "", ()):
            yield Since(one.started, f"the container {one.name} has started")


def _of_pod(failure: LogEntry, entries: list[LogEntry]) -> Iterator[Since]:
    for one in entries:
        if failure.pod and one.pod == failure.pod and _POD_RUNS.search(one.message):
            yield Since(one.at, f"the pod {one.pod} has started")
