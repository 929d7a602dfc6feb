"""What a running containerd answers: the runtimes that Kubernetes can use of it, and the containers that run."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Tuple, Union

from gpuctl.facts.containerd.protobuf import fields, inner, message_of
from gpuctl.frozen import dataclass
from gpuctl.host.decode import flag_in, object_in, parse_object, text_in
from gpuctl.host.look.reading import Host, Outcome, Reading, fact, failure
from gpuctl.model import Fact

STATUS = ("/runtime.v1.RuntimeService/Status", "/runtime.v1alpha2.RuntimeService/Status")
"""CRI's method in its two versions: containerd up to 1.5 has the second alone, 2.x the first."""
VERSION = "/containerd.services.version.v1.Version/Version"
NAMESPACES = "/containerd.services.namespaces.v1.Namespaces/List"
TASKS = "/containerd.services.tasks.v1.Tasks/List"
_VERBOSE = "\x08\x01"
_RUNNING = 2


@dataclass(frozen=True)
class Cri:
    """What the CRI plugin took from its files when it started: what `crictl info` prints."""

    runtimes: Mapping[str, Optional[str]]
    """Each runtime's program, "" for runc's own; None where this version does not tell (up to 1.5)."""
    default: str
    cdi: Optional[bool] = None
    """Whether it reads CDI specifications; None where this version does not tell (up to 1.6)."""


def ask_version(host: Host, endpoint: str) -> Fact[str]:
    """Returns the running daemon's version."""
    return fact(host.call(endpoint, VERSION), lambda text: _text(message_of(text), 1))


def ask_cri(host: Host, endpoint: str) -> Fact[Cri]:
    """Returns what CRI has; absent where the daemon runs without it."""
    answers = [host.call(endpoint, method, _VERBOSE) for method in STATUS]
    answer = next((reading for reading in answers if reading.ok), answers[0])
    if answer.outcome is Outcome.OK and not answer.ok:
        return Fact(None, answer.source)
    if answer.outcome is Outcome.ABSENT:  # the socket is; whether the daemon has CRI is another question
        return Fact(None, answer.source, unknown=failure(answer))
    return fact(answer, lambda text: parse_status(message_of(text)))


def parse_status(message: bytes) -> Cri:
    """Returns what the reply to Status says, of its map `info` the JSON at `config`. Raises ValueError.

    {"containerd": {"defaultRuntimeName": "runc", "runtimes": {"nvidia": {"options": {"BinaryName": "/usr/bin/x"}}}}}
    """
    info = {_text(entry, 1): _text(entry, 2) for entry in inner(message, 2)}
    if "config" not in info:
        raise ValueError("there is no configuration in it")
    config = parse_object(info["config"])
    containerd = object_in(config, "containerd")
    default, runtimes = text_in(containerd, "defaultRuntimeName"), object_in(containerd, "runtimes")
    if default is None:
        raise ValueError("its defaultRuntimeName is missing")
    programs = {name: _program(object_in(runtimes, name)) for name in runtimes}
    return Cri(programs, default, flag_in(config, "enableCDI"))


def _program(entry: Mapping[str, Any]) -> Optional[str]:
    options = object_in(entry, "options")
    return text_in(options, "BinaryName") or "" if options else None


def ask_running(host: Host, endpoint: str) -> Fact[Mapping[str, int]]:
    """Returns the running containers, the sandboxes of pods included: namespace and name to process id."""
    namespaces = host.call(endpoint, NAMESPACES)
    names = fact(namespaces, parse_names)
    tasks = [(name, host.call(endpoint, TASKS, namespace=name)) for name in names.value or ()]
    unread = next((reading for _, reading in tasks if not reading.ok), namespaces)
    return fact(
        unread, lambda _: {"%s/%s" % (name, one): pid for name, reading in tasks for one, pid in _tasks(reading)}
    )


def parse_names(text: str) -> Tuple[str, ...]:
    """Returns the names in the reply to List of namespaces. Raises ValueError."""
    return tuple(_text(entry, 1) for entry in inner(message_of(text), 1))


def _tasks(reading: Reading) -> Tuple[Tuple[str, int], ...]:
    """Of a task the fields are 1 or 2 its id, 3 its process id, 4 its state: containerd, api/types/task/task.proto."""
    tasks = [dict(fields(entry)) for entry in inner(message_of(reading.text), 1)]
    running = [task for task in tasks if task.get(4) == _RUNNING]
    return tuple((_decoded(task.get(2) or task.get(1)), _pid(task.get(3, 0))) for task in running)


def _pid(value: Union[int, bytes]) -> int:
    if isinstance(value, bytes):
        raise ValueError("a task's process id is no number")
    return value


def _text(message: bytes, number: int) -> str:
    return _decoded(next(inner(message, number), b""))


def _decoded(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
