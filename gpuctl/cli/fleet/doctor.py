"""`gpuctl fleet doctor`: many hosts asked, judged here, and told in classes."""

from __future__ import annotations

import typer

from gpuctl.cli.frame.fleet.asked import Asked, Recording, recorded_run
from gpuctl.cli.frame.fleet.report import Telling, tell
from gpuctl.cli.frame.groups import spread


@spread
def doctor(
    asked: Asked,
    recording: Recording,
    telling: Telling,
) -> None:
    """Say what is wrong on the hosts of an inventory, in classes, and which are not like the others."""
    wanted = telling.outputs
    found = recorded_run(("doctor",), asked, recording)
    raise typer.Exit(tell(found, wanted, telling.verbose, telling.strict, recording.max_unreachable))
