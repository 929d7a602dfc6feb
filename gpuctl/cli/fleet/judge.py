"""`gpuctl fleet judge`: a run told in classes, with who is not like the others."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.frame.fleet.asked import NONE_SILENT, MaxUnreachable
from gpuctl.cli.frame.fleet.report import Telling, run_at, tell
from gpuctl.cli.frame.groups import spread


@spread
def judge(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    telling: Telling,
    max_unreachable: MaxUnreachable = NONE_SILENT,
) -> None:
    """Judge a run's hosts by the knowledge of today: what is wrong, in classes, and which are not like the others."""
    wanted = telling.outputs
    raise typer.Exit(tell(run_at(run), wanted, telling.verbose, telling.strict, max_unreachable))
