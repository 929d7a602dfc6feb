"""`gpuctl smoke`: prove that a GPU container runs here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.groups import spread
from gpuctl.cli.frame.options import From, Json
from gpuctl.cli.frame.snapshots import host_at
from gpuctl.cli.frame.tested import Tested, wish_of
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.smoke.result import SmokeResult


@spread
def command(
    tested: Tested,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the equivalent command.")] = False,
    snapshot: From = None,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show the command and all that was seen.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="`could not tell` exits with 1.")] = False,
) -> None:
    """Run nvidia-smi in a container and compare the driver and the GPUs that it sees with this host's."""
    wish = wish_of(tested, dry_run)
    if snapshot is not None and not dry_run:
        raise typer.BadParameter("nothing runs in a snapshot: add --dry-run", param_hint="--from")
    from gpuctl.render.draw.progress import working
    from gpuctl.render.views.smoke import result_text, smoke_json, stages
    from gpuctl.smoke.run import look, smoke, smoke_on_host

    machine = host_at(snapshot)
    with working("Looking at this host"):
        facts = look(machine, wake=not (dry_run or tested.host))
    with stages() as tell:
        if tested.host:
            tell("Testing CUDA on this host", None)
        result = smoke_on_host(wish, facts, machine) if tested.host else smoke(wish, facts, tell)
    if json:
        typer.echo(smoke_json(result))
    else:
        result_text(result, verbose).show()
    if wish.deep and dry_run and result.cause is None:
        _tell_program(snapshot)
    raise typer.Exit(exit_code(result, strict))


def _tell_program(snapshot: str | None) -> None:
    """Says where the command of a dry run has no program to test CUDA with."""
    from gpuctl.render.draw.text import say
    from gpuctl.smoke.deep import is_kept

    if not is_kept():
        say("The program in this command is unpacked while gpuctl runs, and gone by now: leave --dry-run out.")
    elif snapshot is not None:
        say("The program in this command lies on this host, as a part of gpuctl: the other host needs it there too.")


def exit_code(result: SmokeResult, strict: bool) -> ExitCode:
    """Returns the exit code that a result stands for."""
    if result.passed or (result.dry_run and result.cause is None):
        return ExitCode.GOOD
    return ExitCode.UNDETERMINED if result.passed is None and not strict else ExitCode.PROBLEM
