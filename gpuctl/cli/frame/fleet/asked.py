"""The hosts that a command of `gpuctl fleet` asks, and the folder in which it keeps what comes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from getpass import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.fleet.limiting import FOR_ALL_HOSTS, FOR_ONE_HOST, option_words
from gpuctl.cli.frame.fleet.report import run_at
from gpuctl.cli.frame.options import seconds_option, text_option
from gpuctl.frozen import dataclass
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.fleet.ansible import Access, Target
    from gpuctl.fleet.asking import Asking, Entry, Way
    from gpuctl.fleet.payload import Call
    from gpuctl.fleet.run_folder import RecordedRun

NONE_SILENT = "0%"
READING = "Reading the inventory"


def share_of_hosts(value: str) -> str:
    """Returns what was typed for a number or share of hosts. Raises typer.BadParameter."""
    from gpuctl.fleet.silence import share

    try:
        share(value)
        return value
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


MaxUnreachable = Annotated[
    str,
    typer.Option("--max-unreachable", parser=share_of_hosts, metavar="N|N%", help="So many may be silent."),
]
RunFolder = Annotated[
    str | None,
    text_option("--run", metavar="FOLDER", help="Where to keep what comes; a new folder."),
]
HostTimeout = Annotated[float, seconds_option("--host-timeout", help=FOR_ONE_HOST)]
RunTimeout = Annotated[float, seconds_option("--run-timeout", help=FOR_ALL_HOSTS)]


@dataclass(frozen=True)
class Whom:
    """What was typed about whom to ask, and how."""

    inventory: Annotated[
        list[str] | None,
        text_option(
            "-i", "--inventory", metavar="INVENTORY", help="Any that Ansible takes, instead of its default; repeatable."
        ),
    ] = None
    hosts: Annotated[
        str | None,
        text_option("--hosts", metavar="A,B", help="These, without an inventory."),
    ] = None
    slurm: Annotated[
        str | None,
        text_option("--slurm", metavar="PARTITION", help="A Slurm partition's nodes."),
    ] = None
    limit: Annotated[
        str | None,
        text_option("--limit", metavar="PATTERN", help="As Ansible's --limit."),
    ] = None
    become: Annotated[bool, typer.Option("-b", "--become", help="Become root there, as the inventory says how.")] = (
        False
    )
    ask_become_pass: Annotated[
        bool, typer.Option("-K", "--ask-become-pass", help="Ask for the password to become root with.")
    ] = False
    become_pass_fd: Annotated[
        int | None,
        typer.Option("--become-pass-fd", min=0, metavar="N", help="Read it from descriptor N.", show_default=False),
    ] = None

    @property
    def words(self) -> list[str]:
        """The options by which another command asks the same hosts; a password is asked for again."""
        named = (("--hosts", self.hosts), ("--slurm", self.slurm), ("--limit", self.limit))
        words = [word for one in self.inventory or () for word in ("-i", one)]
        words += [word for option, value in named if value is not None for word in (option, value)]
        words += ["--become"] if self.become else []
        return words + (["-K"] if self.ask_become_pass or self.become_pass_fd is not None else [])


@dataclass(frozen=True)
class Asked(Whom):
    """What was typed about whom to ask, how, and for how long."""

    host_timeout: HostTimeout = 60.0
    run_timeout: RunTimeout = 3600.0

    @property
    def timed_words(self) -> list[str]:
        """The options by which the same hosts are asked for as long; what holds without them is left out."""
        times = {"host_timeout": self.host_timeout, "run_timeout": self.run_timeout}
        return self.words + option_words(
            {name: time for name, time in times.items() if time != getattr(type(self), name)}
        )


@dataclass(frozen=True)
class Recording:
    """What was typed about what is to come back, where it is kept, and how many hosts may be silent."""

    logs: Annotated[bool, typer.Option("--logs", help="Bring the ends of the hosts' logs too.")] = False
    run: RunFolder = None
    resume: Annotated[
        str | None,
        text_option("--resume", metavar="RUN", help="Go on with a run: ask the hosts that have not reported."),
    ] = None
    max_unreachable: MaxUnreachable = NONE_SILENT

    @property
    def words(self) -> list[str]:
        """The options that hold for whoever goes on with the run."""
        words = ["--logs"] if self.logs else []
        return words + (["--max-unreachable", self.max_unreachable] if self.max_unreachable != NONE_SILENT else [])


def entered(whom: Whom, host_timeout: float, run_timeout: float) -> Entry:
    """Returns the hosts that were asked for, where they have to be known before any is asked. Raises as `asking`."""
    from gpuctl.fleet.ansible import host_names
    from gpuctl.fleet.asking import Entry
    from gpuctl.render.draw.progress import working

    way = _way(whom, host_timeout, run_timeout)
    with working(READING):
        return Entry(host_names(way.target, way.end), way)


@contextmanager
def asking(asked: Asked, call: Call) -> Iterator[tuple[tuple[str, ...], Asking]]:
    """Gives the hosts that were asked for, and how they are asked: of this call, by the Ansible that names them.

    Raises EngineProblem; ends the run where nobody can be asked at all.
    """
    from gpuctl.render.draw.progress import working

    way = _way(asked, asked.host_timeout, asked.run_timeout)
    with ExitStack() as stack:
        with working(READING):
            named_and_asked = stack.enter_context(way.asking(call))
        yield named_and_asked


def _way(whom: Whom, host_timeout: float, run_timeout: float) -> Way:
    """The way to whoever was asked for. Ends the run where nobody can be asked at all."""
    from gpuctl.fleet.ansible import missing
    from gpuctl.fleet.asking import Way
    from gpuctl.fleet.payload import build
    from gpuctl.host.look.deadline import begin

    lacking = missing()
    if lacking:
        way = "it comes with the extra gpuctl-host[fleet]: pipx install --force '.[fleet]' in a checkout"
        raise refused(f"asking hosts needs {lacking}; {way}.")
    target, access = _target(whom), _access(whom, host_timeout)
    return Way(target, access, time.monotonic() + run_timeout, begin(build))


@contextmanager
def in_a_sentence() -> Iterator[None]:
    """Ends the run with a sentence where Ansible does not do what it is asked, or a file cannot be read or written."""
    from gpuctl.fleet.ansible import EngineProblem
    from gpuctl.host.write.files import FileProblem

    try:
        yield
    except (EngineProblem, FileProblem) as problem:
        raise refused(str(problem)) from None


def recorded_run(
    question: tuple[str, ...],
    asked: Asked,
    recording: Recording,
    call: Call | None = None,
    brings: Sequence[str] = (),
) -> RecordedRun:
    """Asks the hosts, and returns what its folder then has. Ends the run with a sentence where nobody can be asked.

    `call` gives a snapshot of the host; by default it is recorded, and nothing else is done. `brings`: the options by
    which hosts are brought what it needs.
    """
    from gpuctl import __version__
    from gpuctl.fleet.payload import recording_call
    from gpuctl.fleet.run_folder import RecordedRun, Run

    if recording.run is not None and recording.resume is not None:
        raise typer.BadParameter("--resume goes on in the run's own folder: leave out --run")
    wanted, words = call or recording_call(recording.logs), (*asked.timed_words, *recording.words, *brings)
    with in_a_sentence():
        if recording.resume is None:
            at = time.time()
            folder = recording.run or time.strftime("gpuctl-fleet-%Y%m%dT%H%M%SZ", time.gmtime(at))
            run = RecordedRun(folder, Run(__version__, at, question, (), words), {})
            _begin(run, asked, wanted)
        else:
            run = _gone_on_with(run_at(recording.resume), question, words)
            _go_on(run, asked, wanted)
        found = run_at(run.folder)
        return replace(found, run=replace(found.run, asked=words))


def _gone_on_with(before: RecordedRun, question: tuple[str, ...], words: tuple[str, ...]) -> RecordedRun:
    """The run, as it is asked now. Ends this one where another command began it, that asks something else."""
    from gpuctl.command import command

    this = replace(before.run, question=question, asked=words)
    if this.question != before.run.question and (this.is_smoke or before.run.is_smoke):
        began = command("gpuctl", "fleet", *before.run.question)
        raise refused(f"{before.folder} was begun by {began}, which asks something else.")
    return replace(before, run=this)


def _begin(run: RecordedRun, asked: Asked, call: Call) -> None:
    """Asks all hosts that are meant; before one is asked, the run's folder can be made."""
    from gpuctl.fleet.run_folder import create_run
    from gpuctl.host.write.output import ClosedFolder, folder_for

    try:
        with folder_for(run.folder), asking(asked, call) as (hosts, ask):
            create_run(run.folder, replace(run.run, hosts=hosts))
            _record(run, hosts, ask)
    except ClosedFolder as problem:
        raise refused(f"{problem} --run names it.", ExitCode.UNDETERMINED) from None


def _go_on(run: RecordedRun, asked: Asked, call: Call) -> None:
    """Asks those hosts of a run that have not reported, or of them those that a pattern picks."""
    entry = entered(asked, asked.host_timeout, asked.run_timeout)
    picked = set(run.unreported if asked.limit is None else entry.hosts)
    _record(run, tuple(host for host in run.unreported if host in picked), entry.ask_by(call))


def _record(run: RecordedRun, hosts: tuple[str, ...], ask: Asking) -> None:
    from gpuctl.fleet.asking import record
    from gpuctl.fleet.run_folder import RUN
    from gpuctl.host.write.files import FileProblem
    from gpuctl.host.write.lock import locked_file
    from gpuctl.render.draw.progress import tallying
    from gpuctl.render.draw.text import say

    if not hosts:
        return
    go_on = f"What has come is in {run.folder}. Go on with {run.go_on}."
    with locked_file(f"{run.folder}/{RUN}"):
        try:
            with tallying("hosts", len(hosts)) as tell:
                record(run.folder, hosts, ask, lambda outcome: tell(outcome.state.value, outcome.host))
        except FileProblem as problem:
            raise refused(f"{problem} {go_on}", ExitCode.UNDETERMINED) from None
        except (KeyboardInterrupt, SystemExit):
            say(go_on)
            raise


def _target(whom: Whom) -> Target:
    from gpuctl.fleet.ansible import Target, named
    from gpuctl.fleet.slurm import nodes

    given = [one for one in (whom.inventory or None, whom.hosts, whom.slurm) if one is not None]
    if len(given) > 1:
        raise typer.BadParameter("-i, --hosts and --slurm each say who is asked: give one")
    try:
        if whom.hosts is not None:
            return Target((named(whom.hosts.split(",")),), whom.limit)
        if whom.slurm is not None:
            return Target((named(nodes(whom.slurm)),), whom.limit)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return Target(tuple(whom.inventory or ()), whom.limit)


def _access(whom: Whom, host_timeout: float) -> Access:
    from gpuctl.fleet.ansible import Access

    password = _password(whom)
    return Access(whom.become or password is not None, password, max(1, round(host_timeout)))


def _password(whom: Whom) -> str | None:
    from gpuctl.host.act.secret import read_secret

    if whom.ask_become_pass and whom.become_pass_fd is not None:
        raise typer.BadParameter("-K asks for the password, and --become-pass-fd reads it: give one")
    if whom.ask_become_pass:
        return _typed_password()
    if whom.become_pass_fd is None:
        return None
    try:
        return read_secret(whom.become_pass_fd)
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise typer.BadParameter(f"descriptor {whom.become_pass_fd}: {words}") from None


def _typed_password() -> str:
    if not sys.stdin.isatty():
        raise typer.BadParameter("-K asks at a terminal: --become-pass-fd reads the password from elsewhere")
    typed = ""
    with suppress(EOFError):
        typed = getpass("Password to become root with: ")
    if not typed:
        raise typer.BadParameter("no password was typed", param_hint="-K")
    return typed


def silence(run: RecordedRun, allowed: str) -> ExitCode:
    """Returns what the hosts that have not reported make of a run, of which `allowed` may be silent."""
    from gpuctl.fleet.run_folder import State
    from gpuctl.fleet.silence import share, silence_code

    ended = (run.outcomes[host].state if host in run.outcomes else State.LOST for host in run.hosts)
    return silence_code(ended, share(allowed))
