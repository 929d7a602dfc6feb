"""`gpuctl fleet smoke`: on which of many hosts does a GPU container run?"""

from __future__ import annotations

import typer

from gpuctl.cli.frame.fleet.asked import Asked, HostTimeout, Recording, recorded_run
from gpuctl.cli.frame.fleet.change import Zipapp, brings, packed
from gpuctl.cli.frame.fleet.report import Telling, tell
from gpuctl.cli.frame.groups import spread
from gpuctl.cli.frame.tested import Tested, wish_of
from gpuctl.frozen import dataclass

SHARE = 0.8
"""Of a host's time that its `gpuctl smoke` may take: the rest is for recording the host."""


@dataclass(frozen=True)
class AskedToTest(Asked):
    """What was typed about whom to ask, how, and for how long: an image may have to come first."""

    host_timeout: HostTimeout = 1200.0


@spread
def smoke(
    tested: Tested,
    zipapp: Zipapp = None,
    *,
    asked: AskedToTest,
    recording: Recording,
    telling: Telling,
) -> None:
    """Have all hosts of an inventory run a GPU container, and say in classes where that fails, and why."""
    from gpuctl.fleet.payload import smoke_call

    wanted = telling.outputs
    wish_of(tested, dry_run=False)
    call = smoke_call(tested.words, packed(zipapp), asked.host_timeout * SHARE, recording.logs)
    found = recorded_run(("smoke", *tested.words), asked, recording, call, brings(zipapp, None))
    raise typer.Exit(tell(found, wanted, telling.verbose, telling.strict, recording.max_unreachable))
