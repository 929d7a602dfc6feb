"""The hosts that a command of `gpuctl fleet` asks, and the folder in which it keeps what comes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from getpass import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.options import seconds, text_option
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
HostTimeout = Annotated[
    float, typer.Option("--host-timeout", parser=seconds, metavar="SECONDS", help="For one host, in all.")
]
RunTimeout = Annotated[
    float, typer.Option("--run-timeout", parser=seconds, metavar="SECONDS", help="For all hosts together.")
]


@dataclass(frozen=True)
class Asked:
    """What was typed about whom to ask, how, and for how long."""

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
    host_timeout: HostTimeout = 60.0
    run_timeout: RunTimeout = 3600.0

    @property
    def words(self) -> list[str]:
        """The options by which another command asks the same hosts; a password is asked for again."""
        named = (("--hosts", self.hosts), ("--slurm", self.slurm), ("--limit", self.limit))
        words = [word for one in self.inventory or () for word in ("-i", one)]
        words += [word for option, value in named if value is not None for word in (option, value)]
        words += ["--become"] if self.become else []
        return words + (["-K"] if self.ask_become_pass or self.become_pass_fd is not None else [])


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


def entered(asked: Asked) -> Entry:
    """Returns the hosts that were asked for, where they have to be known before any is asked. Raises as `asking`."""
    from gpuctl.fleet.ansible import host_names
    from gpuctl.fleet.asking import Entry
    from gpuctl.render.draw.progress import working

    way = _way(asked)
    with working(READING):
        return Entry(host_names(way.target, way.end), way)


@contextmanager
def asking(asked: Asked, call: Call) -> Iterator[tuple[tuple[str, ...], Asking]]:
    """Gives the hosts that were asked for, and how they are asked: of this call, by the Ansible that names them.

    Raises EngineProblem; ends the run where nobody can be asked at all.
    """
    from gpuctl.render.draw.progress import working

    way = _way(asked)
    with ExitStack() as stack:
        with working(READING):
            named_and_asked = stack.enter_context(way.asking(call))
        yield named_and_asked


def _way(asked: Asked) -> Way:
    """The way to whoever was asked for. Ends the run where nobody can be asked at all."""
    from gpuctl.fleet.ansible import missing
    from gpuctl.fleet.asking import Way
    from gpuctl.fleet.payload import build
    from gpuctl.host.look.deadline import begin

    lacking = missing()
    if lacking:
        way = "it comes with the extra gpuctl-host[fleet]: pipx install --force '.[fleet]' in a checkout"
        raise refused(f"asking hosts needs {lacking}; {way}.")
    target, access = _target(asked), _access(asked)
    return Way(target, access, time.monotonic() + asked.run_timeout, begin(build))


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
    question: tuple[str, ...], asked: Asked, recording: Recording, call: Call | None = None
) -> RecordedRun:
    """Asks the hosts, and returns what its folder then has. Ends the run with a sentence where nobody can be asked.

    `call` gives a snapshot of the host; by default it is recorded, and nothing else is done.
    """
    from gpuctl.fleet.payload import recording_call
    from gpuctl.fleet.run_folder import BadRun, read_run

    if recording.run is not None and recording.resume is not None:
        raise typer.BadParameter("--resume goes on in the run's own folder: leave out --run")
    wanted = call or recording_call(recording.logs)
    try:
        with in_a_sentence():
            if recording.resume is None:
                folder = _begin(question, asked, recording.run, wanted)
            else:
                folder = _go_on(_begun_before(question, read_run(recording.resume)), asked, wanted)
            return read_run(folder)
    except BadRun as problem:
        raise refused(f"{recording.resume} is no run of gpuctl's: {problem}.") from None


def _begun_before(question: tuple[str, ...], before: RecordedRun) -> RecordedRun:
    """The run. Ends this one where another command began it, that asks something else."""
    from gpuctl.command import command

    this = replace(before.run, question=question)
    if this != before.run and (this.is_smoke or before.run.is_smoke):
        began = command("gpuctl", "fleet", *before.run.question)
        raise refused(f"{before.folder} was begun by {began}, which asks something else.")
    return before


def _begin(question: tuple[str, ...], asked: Asked, named: str | None, call: Call) -> str:
    """Asks all hosts that are meant, and returns the folder that has it; before a host is asked, it can be made."""
    from gpuctl import __version__
    from gpuctl.fleet.run_folder import Run, create_run
    from gpuctl.host.write.output import folder_for

    at = time.time()
    folder = named or time.strftime("gpuctl-fleet-%Y%m%dT%H%M%SZ", time.gmtime(at))
    with folder_for(folder), asking(asked, call) as (hosts, ask):
        create_run(folder, Run(__version__, at, question, hosts))
        _record(folder, hosts, ask)
    return folder


def _go_on(before: RecordedRun, asked: Asked, call: Call) -> str:
    """Asks those hosts of a run that have not reported, and returns its folder."""
    entry, wanted = entered(asked), set(before.unreported)
    _record(before.folder, tuple(host for host in entry.hosts if host in wanted), entry.way.ask_by(call))
    return before.folder


def _record(folder: str, hosts: tuple[str, ...], ask: Asking) -> None:
    from gpuctl.command import command
    from gpuctl.fleet.asking import record
    from gpuctl.fleet.run_folder import RUN
    from gpuctl.host.write.files import FileProblem
    from gpuctl.host.write.lock import locked_file
    from gpuctl.render.draw.progress import tallying
    from gpuctl.render.draw.text import say

    if not hosts:
        return
    go_on = f"What has come is in {folder}. Go on with {command('--resume', folder)}."
    with locked_file(f"{folder}/{RUN}"):
        try:
            with tallying("hosts", len(hosts)) as tell:
                record(folder, hosts, ask, lambda outcome: tell(outcome.state.value, outcome.host))
        except FileProblem as problem:
            raise refused(f"{problem} {go_on}", ExitCode.UNDETERMINED) from None
        except (KeyboardInterrupt, SystemExit):
            say(go_on)
            raise


def _target(asked: Asked) -> Target:
    from gpuctl.fleet.ansible import Target, named
    from gpuctl.fleet.slurm import nodes

    given = [one for one in (asked.inventory or None, asked.hosts, asked.slurm) if one is not None]
    if len(given) > 1:
        raise typer.BadParameter("-i, --hosts and --slurm each say who is asked: give one")
    try:
        if asked.hosts is not None:
            return Target((named(asked.hosts.split(",")),), asked.limit)
        if asked.slurm is not None:
            return Target((named(nodes(asked.slurm)),), asked.limit)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return Target(tuple(asked.inventory or ()), asked.limit)


def _access(asked: Asked) -> Access:
    from gpuctl.fleet.ansible import Access

    password = _password(asked)
    return Access(asked.become or password is not None, password, max(1, round(asked.host_timeout)))


def _password(asked: Asked) -> str | None:
    from gpuctl.host.act.secret import read_secret

    if asked.ask_become_pass and asked.become_pass_fd is not None:
        raise typer.BadParameter("-K asks for the password, and --become-pass-fd reads it: give one")
    if asked.ask_become_pass:
        return _typed_password()
    if asked.become_pass_fd is None:
        return None
    try:
        return read_secret(asked.become_pass_fd)
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise typer.BadParameter(f"descriptor {asked.become_pass_fd}: {words}") from None


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
