"""`gpuctl uninstall-runtime`: take out what install-runtime put into an engine's files, and nothing else."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.frame.options import DryRun, EngineName, Json, TakeUp, text_option

COMMAND = "uninstall-runtime"


def command(
    engine: EngineName = None,
    config: Annotated[
        str | None,
        text_option("--config", metavar="FILE", help="Only what was put into this file."),
    ] = None,
    no_reload: Annotated[bool, typer.Option("--no-reload", help="Only write the file; verify nothing.")] = False,
    timeout: TakeUp = 10,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Take out what gpuctl put into the engine's files, have it reload, and verify. Later edits of others stay."""
    from gpuctl.host.look.local import LocalHost
    from gpuctl.provision.result import Wish
    from gpuctl.provision.uninstall import uninstall_runtime
    from gpuctl.render.draw.progress import taking_steps
    from gpuctl.render.views.changes import show_change

    wish = Wish(engine=engine, config=config, reload=not no_reload, dry_run=dry_run, deadline=timeout)
    with taking_steps("Looking at this host") as say:
        result = uninstall_runtime(LocalHost(), wish, say)
    show_change(COMMAND, result, json)
    raise typer.Exit(result.code)
