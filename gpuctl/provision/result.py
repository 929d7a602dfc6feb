"""What was asked of a provisioning command, how it ended, and the ways in which it does not begin."""

from __future__ import annotations

from collections.abc import Callable

from gpuctl.facts.own.journal import Run
from gpuctl.frozen import dataclass
from gpuctl.model import ExitCode, Plan, Remedy, Step

NO_STEPS = Plan(())
UNTOUCHED = "Nothing was changed."

Say = Callable[[Step, bool], None]
"""Is told of each step when it begins (False) and when it is done (True)."""


@dataclass(frozen=True)
class Wish:
    """What the person asked for. None: as gpuctl finds it. `deadline` in seconds, for the daemon to take it up."""

    engine: str | None = None
    coming: bool = False
    """The toolkit's packages are to come in first."""
    name: str = "nvidia"
    runtime_path: str | None = None
    default: bool = False
    cdi: bool = False
    force: bool = False
    config: str | None = None
    reload: bool = True
    restart: bool = False
    dry_run: bool = False
    deadline: float = 10.0


@dataclass(frozen=True)
class File:
    """A file that was changed, and where what it was is kept."""

    path: str
    backup: str


@dataclass(frozen=True)
class Result:
    """How it ended. `error` is one or more sentences; `notes` say what the person should know besides.

    `restart_needed` tells whether something waits for a restart of the daemon, None when it could not be told. `run` is
    the name of this run in the journal, None where nothing was changed.
    """

    engine: str | None = None
    title: str = ""
    """The engine as people call it."""
    config: str | None = None
    dry_run: bool = False
    code: ExitCode = ExitCode.GOOD
    changed: bool = False
    files: tuple[File, ...] = ()
    diff: str = ""
    reloaded: bool = False
    verified: bool = False
    restarted: bool = False
    restart_needed: bool | None = None
    plan: Plan = NO_STEPS
    notes: tuple[str, ...] = ()
    error: str | None = None
    remedy: Remedy | None = None
    run: str | None = None
    cut_short: tuple[Run, ...] = ()
    """Other runs that were cut short, and still are."""

    def __post_init__(self) -> None:
        """Takes the secrets out of what was said, wherever a result comes from."""
        if self.error or self.notes:
            from gpuctl.host.record.redact import without_secrets

            object.__setattr__(self, "error", self.error and without_secrets(self.error))
            object.__setattr__(self, "notes", tuple(map(without_secrets, self.notes)))

    @property
    def backup(self) -> str | None:
        """Where what the first file was is kept."""
        return self.files[0].backup if self.files else None


class Refused(Exception):
    """The change is not begun: the message says why, and `code` whether the answer is no or could not be found."""

    def __init__(
        self, message: str, code: ExitCode = ExitCode.PROBLEM, remedy: Remedy | None = None, diff: str = ""
    ) -> None:
        super().__init__(message)
        self.code, self.remedy, self.diff = code, remedy, diff
