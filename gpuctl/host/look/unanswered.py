"""A request over a socket that got no answer, as a reading that says why."""

from __future__ import annotations

import socket

from gpuctl.host.look.deadline import DeadlineExceeded
from gpuctl.host.look.reading import NO_SOCKET, Outcome, Reading


def unanswered(source: str, error: Exception, deadline: float) -> Reading:
    """Returns the reading of a request that ended with this error; `deadline` in seconds is what it had."""
    if isinstance(error, (DeadlineExceeded, socket.timeout)):
        return Reading(source, Outcome.TIMEOUT, detail="no answer within %g s" % deadline)
    if isinstance(error, FileNotFoundError):
        return Reading(source, Outcome.ABSENT, detail=NO_SOCKET)
    outcome = Outcome.DENIED if isinstance(error, PermissionError) else Outcome.ERROR
    return Reading(source, outcome, detail=getattr(error, "strerror", None) or str(error))
