"""All facts of a host, gathered concurrently in one look; each subject is cut off at its deadline."""

from __future__ import annotations

import sys
import time
from types import FrameType, TracebackType
from typing import Any, Callable, Iterable, Literal, Mapping, Optional, Type, TypeVar, Union

from gpuctl.frozen import dataclass
from gpuctl.host.look.deadline import DeadlineExceeded, start
from gpuctl.host.look.limits import limit_reached
from gpuctl.host.look.reading import Host
from gpuctl.host.record.memory import remembering
from gpuctl.model import CannotTell
from gpuctl.regex import regex

T = TypeVar("T")

DEADLINE = 12.0


@dataclass(frozen=True)
class Missing:
    """A subject that no probe could describe, and why. It is false, where a subject's facts are true."""

    reason: str

    def __bool__(self) -> Literal[False]:
        return False


@dataclass(frozen=True)
class Facts:
    """What a look has found, by subject. One that was not looked at is missing too."""

    found: Mapping[type, Any]

    def get(self, subject: Type[T]) -> Union[T, Missing]:
        """Returns a subject's facts, or Missing."""
        found: Union[T, Missing] = self.found.get(subject, _NOT_LOOKED_AT)
        return found

    def known(self, subject: Type[T]) -> T:
        """Returns a subject's facts. Raises CannotTell, with the reason alone, where they are missing."""
        found = self.get(subject)
        if isinstance(found, Missing):
            raise CannotTell(found.reason)
        return found

    def tell_of(self, subject: str) -> bool:
        """Returns whether a subject of that name was looked at, to whoever would load it for this question alone."""
        return any(one.__name__ == subject for one in self.found)

    def __or__(self, later: Facts) -> Facts:
        """Returns these facts with those of a later look, which count where both have a subject."""
        return Facts({**self.found, **later.found})


_LACKING = regex(r"module '([\w.]+)' has no attribute '(\w+)'")
_NOT_LOOKED_AT = Missing("gpuctl did not look at it")


def gather(host: Host, subjects: Optional[Iterable[type]] = None, deadline: float = DEADLINE) -> Facts:
    """Returns each subject's facts, or that it is missing. `deadline` in seconds, for all of them together.

    None: every subject. One is asked for by its type, beside which its probe stands: a look loads what it needs.

    Nothing is looked at twice, so that the facts agree with each other. Another call looks anew, unless the host itself
    remembers what it has seen.
    """
    if subjects is None:
        from gpuctl.facts.every import EVERY_SUBJECT

        subjects = EVERY_SUBJECT
    memory = remembering(host)
    end = time.monotonic() + deadline
    begun = {subject: _begin(memory, subject) for subject in subjects}
    late = Missing("no answer within %g s" % deadline)
    return Facts({subject: _seen(wait, max(0.0, end - time.monotonic()), late) for subject, wait in begun.items()})


def _begin(host: Host, subject: type) -> Callable[[Optional[float]], Any]:
    probe = probe_of(subject)
    return start(lambda: probe(host))


def probe_of(subject: type) -> Callable[[Host], Any]:
    """Returns what looks for a subject: for DockerClients probe_docker_clients, in the same file."""
    name = "".join("_" + letter.lower() if letter.isupper() else letter for letter in subject.__name__)
    probe: Callable[[Host], Any] = getattr(sys.modules[subject.__module__], "probe" + name)
    return probe


def _seen(wait: Callable[[Optional[float]], Any], seconds: float, late: Missing) -> Any:
    try:
        return wait(seconds)
    except DeadlineExceeded:
        return late
    except Exception as error:  # a probe that fails is one unknown subject, not the end of the report
        return Missing(limit_reached(error) or _failure(error))


def _failure(error: Exception) -> str:
    if isinstance(error, ImportError) or _is_half_loaded(error):
        return "a part of gpuctl could not be loaded: %s" % error
    return "gpuctl failed to read it: %s: %s" % (type(error).__name__, error)


def _is_half_loaded(error: Exception) -> bool:
    """Whether an error is about a module that could not be loaded, in a thread that had waited for another to load it.

    The other's error is an ImportError or an OSError, as where no file can be opened any more; the waiting thread gets
    the module as far as it came (CPython 3.11's _find_and_load), which sys.modules no longer has. It lacks a name, or a
    function of it does.
    """
    if isinstance(error, NameError) and error.__traceback__:
        names = _innermost(error.__traceback__).f_globals
        return vars(sys.modules.get(names["__name__"], object)) is not names
    lacking = _LACKING.search(str(error)) if isinstance(error, AttributeError) else None
    return lacking is not None and (lacking[1] not in sys.modules or hasattr(sys.modules[lacking[1]], lacking[2]))


def _innermost(trace: TracebackType) -> FrameType:
    """The frame in which an error was raised."""
    return _innermost(trace.tb_next) if trace.tb_next else trace.tb_frame
