"""What one look at the machine gives, and the door through which every room looks."""

from __future__ import annotations

from enum import Enum
from typing import Callable, List, Optional, Protocol, Sequence, TypeVar

from gpuctl.frozen import dataclass
from gpuctl.model import Fact

T = TypeVar("T")

NO_SOCKET = "no such socket"
"""Why a request to where no socket is has no answer."""


class Outcome(str, Enum):
    """How a look at the machine ended. ABSENT is an answer; the three after it are not."""

    OK = "ok"
    ABSENT = "absent"
    DENIED = "denied"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True)
class Reading:
    """The raw result of one look.

    `source` is what a person would look at: a path, a command line, a request. `text` is what was read (for a
    command its stdout, on TIMEOUT what had come by then), `code` a command's exit status or a request's HTTP
    status, `detail` the reason when the outcome is not OK, or a command's stderr.
    """

    source: str
    outcome: Outcome
    text: str = ""
    code: int = 0
    detail: str = ""

    @property
    def ok(self) -> bool:
        """True when something was read and, for a command or request, it succeeded."""
        return self.outcome is Outcome.OK and self.code == 0


class Host(Protocol):
    """The only door to a machine. Every method answers with a Reading and never raises because of the machine."""

    def read(self, path: str) -> Reading:
        """The text of a regular file; of one called NAME.gz, the text that gzip packed into it."""

    def read_all(self, paths: Sequence[str]) -> List[Reading]:
        """The texts of many files as `read` gives them, in one look: where one holds it, those behind it are late."""

    def list(self, path: str) -> Reading:
        """The names in a directory, sorted, one a line."""

    def link(self, path: str) -> Reading:
        """What a symbolic link points to."""

    def stat(self, path: str) -> Reading:
        """JSON: type (file, dir, char, block, socket, other), mode, uid, gid, major, minor, mtime, ctime."""

    def which(self, name: str) -> Reading:
        """Where a program lies on PATH, the system's sbin directories included."""

    def run(self, argv: Sequence[str], deadline: float = 5.0) -> Reading:
        """A command's result. `deadline` in seconds."""

    def get(self, endpoint: str, path: str, deadline: float = 5.0) -> Reading:
        """The body of an HTTP GET; `endpoint` is unix:///path or tcp://host:port."""

    def call(
        self, endpoint: str, method: str, message: str = "", namespace: str = "", deadline: float = 5.0
    ) -> Reading:
        """The reply of a gRPC method at unix:///path: see gpuctl.host.look.grpc. Messages are bytes as latin-1."""

    def peer(self, endpoint: str) -> Reading:
        """The id of the process that listens at unix:///path; 0 when it is in a process namespace out of our sight."""

    def nvml(self, deadline: float = 8.0) -> Reading:
        """What NVML says, as JSON lines: see gpuctl.host.look.nvml."""

    def env(self, name: str) -> Reading:
        """An environment variable; `euid` gives the effective user id, `booted` when the kernel started, `machine_id`
        what tells this machine from others and says nothing else of it.

        `booted` is in seconds since the epoch, to the millisecond; /proc/uptime is too coarse, and lxcfs feigns it.
        """


def http_source(endpoint: str, path: str) -> str:
    """Returns the name of a request."""
    return "GET %s (%s)" % (path, endpoint)


def grpc_source(endpoint: str, method: str, namespace: str) -> str:
    """Returns the name of a call."""
    return "%s (%s%s)" % (method, endpoint, ", namespace " + namespace if namespace else "")


def fact(reading: Reading, parse: Callable[[str], Optional[T]]) -> Fact[T]:
    """The fact in a reading: absent stays absent, what could not be read is unknown with its reason.

    A text that `parse` rejects with ValueError is unknown as well: it was there and said nothing we understand. So
    is one so deeply nested that Python cannot follow.
    """
    if reading.outcome is Outcome.ABSENT:
        return Fact(None, reading.source)
    if not reading.ok:
        return Fact(None, reading.source, unknown=failure(reading))
    try:
        return Fact(parse(reading.text), reading.source)
    except (ValueError, RecursionError) as error:
        return Fact(None, reading.source, unknown="not understood: %s" % error)


def failure(reading: Reading) -> str:
    """One line, without secrets, that says why a reading is no answer."""
    words = said_line(reading.detail, 0)
    if reading.outcome is Outcome.OK:
        return "exit status %d%s" % (reading.code, ": " + words if words else "")
    return words or reading.outcome.value


def said_line(said: str, number: int) -> str:
    """Returns one line of what a program said, 0 the first and -1 the last, without secrets; "" where it said none."""
    lines = said.strip().splitlines()
    if not lines:
        return ""
    from gpuctl.host.record.redact import without_secrets  # only where something failed

    return without_secrets(lines[number])
