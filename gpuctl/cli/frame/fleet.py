"""The hosts that a command of `gpuctl fleet` asks, and the folder in which it keeps what comes."""

from __future__ import annotations

import sys
import time
from contextlib import closing, suppress
from getpass import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.options import filled, seconds
from gpuctl.frozen import dataclass
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.fleet.ansible import Access, Target
    from gpuctl.fleet.asking import Asking
    from gpuctl.fleet.payload import Call
    from gpuctl.fleet.run_folder import HostOutcome, RecordedRun

Inventories = Annotated[
    list[str] | None,
    typer.Option(
        "-i",
        "--inventory",
        parser=filled,
        metavar="INVENTORY",
        help="Any that Ansible takes, instead of its default; repeatable.",
        show_default=False,
    ),
]
HostNames = Annotated[
    str | None,
    typer.Option("--hosts", parser=filled, metavar="A,B", help="These, without an inventory.", show_default=False),
]
Slurm = Annotated[
    str | None,
    typer.Option("--slurm", parser=filled, metavar="PARTITION", help="A Slurm partition's nodes.", show_default=False),
]
Limit = Annotated[
    str | None,
    typer.Option("--limit", parser=filled, metavar="PATTERN", help="As Ansible's --limit.", show_default=False),
]
Become = Annotated[bool, typer.Option("-b", "--become", help="Become root there, as the inventory says how.")]
AskPassword = Annotated[bool, typer.Option("-K", "--ask-become-pass", help="Ask for the password to become root with.")]
PasswordFrom = Annotated[
    int | None,
    typer.Option("--become-pass-fd", min=0, metavar="N", help="Read it from descriptor N.", show_default=False),
]
HostTimeout = Annotated[
    float, typer.Option("--host-timeout", parser=seconds, metavar="SECONDS", help="For one host, in all.")
]
RunTimeout = Annotated[
    float, typer.Option("--run-timeout", parser=seconds, metavar="SECONDS", help="For all hosts together.")
]
Logs = Annotated[bool, typer.Option("--logs", help="Bring the ends of the hosts' logs too.")]
RunFolder = Annotated[
    str | None,
    typer.Option(
        "--run", parser=filled, metavar="FOLDER", help="Where to keep what comes; a new folder.", show_default=False
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        parser=filled,
        metavar="RUN",
        help="Go on with a run: ask the hosts that have not reported.",
        show_default=False,
    ),
]


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
HOST_SECONDS, RUN_SECONDS = 60.0, 3600.0
NONE_SILENT = "0%"


@dataclass(frozen=True)
class Asked:
    """What was typed about whom to ask and how, by the names of the commands' parameters."""

    inventory: list[str] | None
    hosts: str | None
    slurm: str | None
    limit: str | None
    become: bool
    ask_become_pass: bool
    become_pass_fd: int | None
    host_timeout: float
    run_timeout: float
    logs: bool
    run: str | None
    resume: str | None


def asked(context: typer.Context, **given: None) -> Asked:
    """Returns what was typed about whom to ask and how, `given` aside; a command may have no logs and no folder."""
    typed = {name: context.params[name] for name in Asked.__annotations__ if name in context.params}
    return Asked(**{"logs": False, "run": None, "resume": None, **typed, **given})


def recorded_run(question: tuple[str, ...], asked: Asked) -> RecordedRun:
    """Asks the hosts, and returns what its folder then has. Ends the run with a sentence where nobody can be asked."""
    from gpuctl.fleet.ansible import EngineProblem, missing
    from gpuctl.fleet.run_folder import BadRun, read_run
    from gpuctl.host.write.files import FileProblem

    lacking = missing()
    if lacking:
        raise refused(f"asking hosts needs {lacking}: pip install 'gpuctl-host[fleet]'.")
    try:
        target = _target(asked)
        access = _access(asked)
        folder, hosts = _begun(question, asked, target)
        _record(folder, hosts, target, access, asked)
        return read_run(folder)
    except (EngineProblem, FileProblem) as problem:
        raise refused(str(problem)) from None
    except BadRun as problem:
        raise refused(f"{asked.resume} is no run of gpuctl's: {problem}.") from None


@dataclass(frozen=True)
class Entry:
    """Whom to ask, by which names, and how they are entered, until when (of time.monotonic)."""

    target: Target
    hosts: tuple[str, ...]
    access: Access
    end: float

    def ask_by(self, call: Call) -> Asking:
        """Returns how these hosts are asked of a call."""
        from gpuctl import __version__
        from gpuctl.fleet.asking import asking_by
        from gpuctl.fleet.payload import build, calling

        return asking_by(calling(build(), __version__, self.access.deadline, call), self.target, self.access, self.end)


def entered(asked: Asked) -> Entry:
    """Returns the hosts that were asked for. Raises EngineProblem; ends the run where nobody can be asked at all."""
    from gpuctl.fleet.ansible import host_names, missing
    from gpuctl.render.draw.progress import working

    lacking = missing()
    if lacking:
        raise refused(f"asking hosts needs {lacking}: pip install 'gpuctl-host[fleet]'.")
    target, access = _target(asked), _access(asked)
    with working("Reading the inventory"):
        hosts = host_names(target)
    return Entry(target, hosts, access, time.monotonic() + asked.run_timeout)


def answered(call: Call, asked: Asked) -> list[tuple[HostOutcome, bytes | None]]:
    """Has all hosts do one thing, and returns how each ended and what it answered. Ends the run as recorded_run."""
    from gpuctl.fleet.ansible import EngineProblem
    from gpuctl.fleet.asking import outcomes
    from gpuctl.host.write.files import FileProblem
    from gpuctl.render.draw.progress import tallying

    found = []
    try:
        entry = entered(asked)
        with (
            tallying("hosts", len(entry.hosts)) as tell,
            closing(outcomes(entry.hosts, entry.ask_by(call))) as coming,
        ):
            for outcome, raw in coming:
                tell(outcome.state.value, outcome.host)
                found.append((outcome, raw))
    except (EngineProblem, FileProblem) as problem:
        raise refused(str(problem)) from None
    return found


def _record(folder: str, hosts: tuple[str, ...], target: Target, access: Access, asked: Asked) -> None:
    from gpuctl.command import command
    from gpuctl.fleet.asking import asking, record
    from gpuctl.render.draw.progress import tallying
    from gpuctl.render.draw.text import say

    if not hosts:
        return
    ask = asking(target, access, asked.logs, time.monotonic() + asked.run_timeout)
    try:
        with tallying("hosts", len(hosts)) as tell:
            record(folder, hosts, ask, lambda outcome: tell(outcome.state.value, outcome.host))
    except (KeyboardInterrupt, SystemExit):
        again = command("--resume", folder)
        say(f"What has come is in {folder}. Go on with {again}.")
        raise


def _begun(question: tuple[str, ...], asked: Asked, target: Target) -> tuple[str, tuple[str, ...]]:
    """The run's folder, and whom to ask."""
    from gpuctl import __version__
    from gpuctl.fleet.ansible import host_names
    from gpuctl.fleet.run_folder import Run, create_run, read_run
    from gpuctl.render.draw.progress import working

    before = None if asked.resume is None else read_run(asked.resume)
    with working("Reading the inventory"):
        hosts = host_names(target)
    if before is not None:
        wanted = set(before.unreported)
        return before.folder, tuple(host for host in hosts if host in wanted)
    folder = asked.run or time.strftime("gpuctl-fleet-%Y%m%dT%H%M%SZ", time.gmtime())
    create_run(folder, Run(__version__, time.time(), question, hosts))
    return folder, hosts


def _target(asked: Asked) -> Target:
    from gpuctl.fleet.ansible import Target, named
    from gpuctl.fleet.slurm import nodes

    given = [one for one in (asked.inventory or None, asked.hosts, asked.slurm) if one is not None]
    if len(given) > 1:
        raise typer.BadParameter("-i, --hosts and --slurm each say who is asked: give one")
    if asked.run is not None and asked.resume is not None:
        raise typer.BadParameter("--resume goes on in the run's own folder: leave out --run")
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
