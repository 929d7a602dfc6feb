"""The host that a command looks at: this one, or one that was recorded in a snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from gpuctl.cli.frame.endings import refused
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.facts.gather import Facts
    from gpuctl.host.look.reading import Host
    from gpuctl.host.record.archive import Snapshot


@lru_cache(maxsize=1)
def host_at(path: str | None) -> Host:
    """Returns the host of a snapshot's file, read once, or this host. Ends the run where the file is no snapshot."""
    if path is not None:
        return load(path).host
    from gpuctl.host.look.local import LocalHost

    return LocalHost()


def origin(path: str | None) -> str:
    """Returns which host a snapshot is of, and its day (UTC); "" where no file is meant."""
    if path is None:
        return ""
    from datetime import datetime, timezone

    snapshot = load(path)
    name = snapshot.host.read("/proc/sys/kernel/hostname").text.strip()
    day = datetime.fromtimestamp(snapshot.at, timezone.utc).strftime("%Y-%m-%d") if snapshot.at else ""
    return ", ".join(filter(None, (name or "a recorded host", day and f"recorded on {day}")))


def look(path: str | None, subjects: Iterable[type], doing: str = "Looking at this host") -> Facts:
    """Returns the facts of a snapshot's host, or of this one, while a person reads what is being done."""
    from gpuctl.facts.gather import gather
    from gpuctl.render.draw.progress import working

    host = host_at(path)
    with working(doing):
        return gather(host, subjects)


@lru_cache(maxsize=2)
def load(path: str) -> Snapshot:
    """Returns the snapshot in a file. Ends the run with the exit code for wrong usage where it is none.

    All that follows is done in a process of its own: a stranger may have written the snapshot.
    """
    from gpuctl.host.act.confined import Exceeded, confine
    from gpuctl.host.record.archive import BadSnapshot, decode
    from gpuctl.host.write.files import FileProblem, read_named

    try:
        confine()
        return decode(read_named(path))
    except Exceeded as problem:
        raise refused(f"{path} was not judged: {problem}.", ExitCode.UNDETERMINED) from None
    except FileProblem as problem:
        raise refused(str(problem)) from None
    except BadSnapshot as problem:
        raise refused(f"{path} is no snapshot that gpuctl can read: {problem}.") from None
