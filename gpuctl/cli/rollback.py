"""`gpuctl rollback`: restore Docker's file as it was before gpuctl's last change of it."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.options import DryRun, Json, TakeUp, filled

COMMAND = "rollback"


def command(
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            parser=filled,
            metavar="FILE",
            help="The file, instead of the one that Docker reads.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Lose what others edited since, too.")] = False,
    no_reload: Annotated[bool, typer.Option("--no-reload", help="Only restore the file; verify nothing.")] = False,
    timeout: TakeUp = 10,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Restore daemon.json as it was before gpuctl's last change, reload Docker, and verify. No container is stopped."""
    from gpuctl.facts.docker import Docker
    from gpuctl.facts.gather import gather
    from gpuctl.facts.system import System
    from gpuctl.host.local import LocalHost
    from gpuctl.provision.result import Wish
    from gpuctl.provision.rollback import rollback
    from gpuctl.render.changes import change_json, print_change
    from gpuctl.render.progress import working

    host = LocalHost()
    with working("Looking at this host"):
        facts = gather(host, (System, Docker))
    with working("Rolling back"):
        wish = Wish(force=force, config=config, reload=not no_reload, dry_run=dry_run, deadline=timeout)
        result = rollback(host, facts, wish)
    if json:
        typer.echo(change_json(COMMAND, result))
    else:
        print_change(COMMAND, result, then="")
    raise typer.Exit(result.code)
