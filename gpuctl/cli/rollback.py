"""`gpuctl rollback`: undo what a run of gpuctl changed on this host."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.frame.options import DryRun, Json, TakeUp, filled, text_option

COMMAND = "rollback"


def command(
    run: Annotated[
        str | None,
        typer.Argument(
            parser=filled,
            metavar="[RUN]",
            help="A run that `gpuctl history` lists, instead of one that was cut short, or the last.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        str | None,
        text_option("--config", metavar="FILE", help="The last run that changed this file."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Lose what others edited since, too.")] = False,
    no_reload: Annotated[bool, typer.Option("--no-reload", help="Only restore the file; verify nothing.")] = False,
    timeout: TakeUp = 10,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Undo what a run of gpuctl changed, have the engine take that up, and verify. No container is stopped."""
    from gpuctl.host.look.local import LocalHost
    from gpuctl.provision.result import Wish
    from gpuctl.provision.rollback import rollback
    from gpuctl.render.draw.progress import taking_steps
    from gpuctl.render.views.changes import show_change

    wish = Wish(force=force, config=config, reload=not no_reload, dry_run=dry_run, deadline=timeout)
    with taking_steps("Rolling back") as say:
        result = rollback(LocalHost(), wish, run, say)
    show_change(COMMAND, result, json)
    raise typer.Exit(result.code)
