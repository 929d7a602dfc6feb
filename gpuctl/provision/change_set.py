"""What one engine needs in order to have the NVIDIA runtime: its files' changes, and the daemon that takes them up.

Each engine has a file of its own in this room, that ends with its Engine; transaction.py carries out what it comes to,
whichever engine it is of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from gpuctl.engines.merge import Keys, Values
from gpuctl.facts.gather import Facts
from gpuctl.facts.own.journal import Run
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host
from gpuctl.model import Remedy, Step
from gpuctl.provision.result import Wish

Contents = Mapping[str, bytes | None]
"""What files hold, by their paths behind all links; None: there is no such file."""


class DaemonProblem(Exception):
    """The daemon did not do what it was told; the message says what."""


class NotUp(DaemonProblem):
    """The daemon was restarted, and did not come up as it should."""


@dataclass(frozen=True)
class Kept:
    """What a daemon still has of what was taken away, in words, "" for nothing.

    `file` says it too, so that the daemon has it rightly; "": no file does, and it goes when the daemon is restarted.
    `lacks` is what came in its place, or came back, and what it has not taken up before it is restarted.
    """

    what: str
    file: str = ""
    lacks: str = ""

    @property
    def until_restart(self) -> bool:
        """Whether a restart is what rids the daemon of it, or what it takes something up by."""
        return bool(self.lacks or (self.what and not self.file))


class RunningEngine(Protocol):
    """A running engine that reads the files."""

    @property
    def unit(self) -> str | None:
        """The systemd unit that runs it; None where gpuctl cannot restart it."""

    @property
    def reloading(self) -> Step | None:
        """The step that has it read its files again; None: this engine reads them only when it starts.

        Raises Refused where gpuctl cannot tell it.
        """

    @property
    def restarting(self) -> Step | None:
        """The step that restarts it, with the count of containers that it stops; None where gpuctl cannot do that."""

    def reads(self, path: str) -> bool:
        """Returns whether that is one of its files."""

    def difference(self, contents: Contents) -> str:
        """Returns in which way it differs from what the files say, "" when it has all that they say."""

    def reload(self, contents: Contents, deadline: float) -> None:
        """Has it read its files again, and returns once it has what they say. Raises DaemonProblem; in seconds."""

    def restart(self, contents: Contents, deadline: float) -> None:
        """Restarts it, and returns once it has what the files say. Raises NotUp; `deadline` in seconds."""

    def keeps(self, before: Contents, now: Contents) -> Kept:
        """Returns what it still has of what the files said before and do not say any more, and what it lacks of now."""


def accept(path: str) -> None:
    """There is nobody whose opinion of the file counts."""


Show = Callable[[str, bytes | None, bytes | None], str]
"""The unified diff of two contents of a path as it may be shown, without secrets; None: no file."""


def carries_nothing(keys: Keys) -> None:
    """Whatever gpuctl sets stands for itself."""


@dataclass(frozen=True)
class Edit:
    """One file's change. `change` turns its bytes (None: no file) into the wished ones and may raise Refused.

    `show` returns the unified diff of two contents of that path as it may be shown, without secrets. `inspect` sees the
    path of the complete new file before it counts, and may raise Refused. `values` reads a file that is others' as
    well, as nested dicts; None: the file as a whole is gpuctl's. `aside` is the folder in which the new file is made
    and what it replaces is kept, for an engine that reads every file of a directory; "": beside it. `with_taken` gives
    the file that has been rid of something that again: what a daemon that was not restarted since may still go by.
    """

    path: str
    change: Callable[[bytes | None], bytes | None]
    show: Show
    inspect: Callable[[str], None] = accept
    values: Callable[[bytes], Mapping[str, Any]] | None = None
    aside: str = ""
    with_taken: Callable[[bytes | None], bytes | None] | None = None


@dataclass(frozen=True)
class Finish:
    """What is left to do once the files are as wished; `run` raises PackageProblem."""

    step: Step
    run: Callable[[], None]


@dataclass(frozen=True)
class ChangeSet:
    """One engine's part of a plan.

    `daemon` is None where nobody is to be told: none runs, it does not read these files, or --no-reload. `restart`: it
    is to be restarted too (--restart was given, and it helps). `restart_needed`: whether what was asked for waits for
    a restart, None when that cannot be told. `late` are notes and a remedy about that, dropped once it was restarted.
    """

    engine: str
    """Its name in ENGINES."""
    title: str
    """As people call it; containerd's is that of what it is a part of, such as K3s."""
    edits: tuple[Edit, ...]
    daemon: RunningEngine | None
    restart: bool = False
    restart_needed: bool | None = None
    notes: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    remedy: Remedy | None = None
    finish: Finish | None = None
    undoes: tuple[Run, ...] = ()
    """The runs that this undoes."""
    takes_away: bool = False
    """It takes away what an earlier run has put there."""
    look: str = ""
    """Where a person reads more when the daemon does not take it up, a sentence."""


@dataclass(frozen=True)
class SharedFile:
    """How a file that is others' as well is read as nested dicts, and how values are set in it, all else staying.

    `carries` returns what others may build on a value that gpuctl has set: the keys of the object in which they do. As
    long as they have put something there, the value stays; None: on this one nothing is built.
    """

    values: Callable[[bytes], dict[str, Any]]
    set_values: Callable[[bytes, Values], bytes]
    carries: Callable[[Keys], Keys | None] = carries_nothing


@dataclass(frozen=True)
class Engine:
    """An engine that gpuctl can set up.

    `plan` returns what registers the runtime, and raises Refused; `running` the daemon that runs now, if any.
    `subjects` are the facts that both need. `show` returns the diff of two contents of its file, without secrets.
    """

    title: str
    plan: Callable[[Host, Facts, Wish], ChangeSet]
    running: Callable[[Host, Facts], RunningEngine | None]
    subjects: tuple[type, ...]
    show: Show
    document: SharedFile | None = None
    """None: its files are gpuctl's as a whole."""
