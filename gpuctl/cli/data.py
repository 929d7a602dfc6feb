"""`gpuctl data`: the tables that answers rest on. Of which day are they, are they right, and newer ones instead."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.options import DryRun, Json, filled
from gpuctl.cli.frame.tables import chosen_tables
from gpuctl.model import ExitCode

HELP = "Show, verify and replace the tables that the answers rest on."


def show(
    json: Json = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Show every source, and what a table holds.")
    ] = False,
) -> None:
    """Show each table's rows, its day, its sources, and whether it is gpuctl's own."""
    from gpuctl.compat.tables.catalogue import table_infos
    from gpuctl.render.views.tables import show_json, show_text

    chosen = chosen_tables()
    if json:
        typer.echo(show_json(table_infos(), chosen))
    else:
        show_text(table_infos(), chosen, verbose).show()


def verify(
    folder: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR", parser=filled, help="Tables to put over gpuctl's own; without it, those of this run."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say what is wrong with the tables, row by row and between rows."""
    from gpuctl.render.draw.progress import working
    from gpuctl.render.views.tables import verify_json, verify_text
    from gpuctl.tables.overlay import NoTables, TablesRefused
    from gpuctl.tables.verify import verify_tables

    try:
        with working("Verifying the tables"):
            done = verify_tables(folder)
    except (NoTables, TablesRefused) as error:
        raise refused(str(error)) from None
    if json:
        typer.echo(verify_json(done))
    else:
        verify_text(done).show()
    raise typer.Exit(ExitCode.PROBLEM if done.verified.problems else ExitCode.GOOD)


def use(
    folder: Annotated[
        str | None, typer.Argument(metavar="DIR", help="The folder of the tables.", show_default=False)
    ] = None,
    bundled: Annotated[bool, typer.Option("--bundled", help="Go back to gpuctl's own tables.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Install the tables of DIR, once verified, for later runs of this user, or as root for those of all users."""
    from gpuctl.render.draw.progress import working
    from gpuctl.render.views.tables import print_use, use_json
    from gpuctl.tables.overlay import NoTables
    from gpuctl.tables.use import use_bundled, use_tables

    if bool(folder) == bundled:
        raise typer.BadParameter("name a folder, or give --bundled", param_hint="DIR")
    try:
        with working("Verifying the tables"):
            result = use_tables(folder, dry_run) if folder else use_bundled(dry_run)
    except NoTables as error:
        raise refused(str(error)) from None
    if json:
        typer.echo(use_json(result))
    else:
        print_use(result)
    raise typer.Exit(result.code)


def refresh(dry_run: DryRun = False, json: Json = False) -> None:
    """Ask PyPI for the frameworks' newest releases, and install rows for those that the table lacks, as with `use`."""
    from gpuctl.render.draw.progress import working
    from gpuctl.render.views.tables import print_refreshed, refreshed_json
    from gpuctl.tables.refresh import refresh_tables

    with working("Asking PyPI"):
        done = refresh_tables(dry_run)
    if json:
        typer.echo(refreshed_json(done))
    else:
        print_refreshed(done)
    raise typer.Exit(done.installation.code)


commands = ("show", "verify", "use", "refresh")
