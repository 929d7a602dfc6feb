"""`gpuctl history`: what gpuctl changed on this host, and when."""

from __future__ import annotations

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.options import From, Json
from gpuctl.cli.frame.snapshots import host_at


def command(snapshot: From = None, json: Json = False) -> None:
    """List the runs that changed this host, newest first: when, what, and how they stand. RUN is for `rollback RUN`."""
    from gpuctl.facts.own.journal import ROOTS, probe_changes
    from gpuctl.model import ExitCode
    from gpuctl.render.views.history import history_json, history_text

    host = host_at(snapshot)
    changes = probe_changes(host)
    unknown = changes.runs.unknown is not None
    if snapshot is None and not unknown and not changes.runs.value and host.env("euid").text != "0":
        raise refused(ROOTS)
    if json:
        typer.echo(history_json(changes))
    else:
        history_text(changes).show()
    raise typer.Exit(ExitCode.UNDETERMINED if unknown else ExitCode.GOOD)
