"""What was typed about how a plan is carried out, wave after wave, and what ends it before the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuctl.cli.frame.fleet.asked import share_of_hosts
from gpuctl.cli.frame.fleet.limiting import typed
from gpuctl.cli.frame.known import known_checks
from gpuctl.cli.frame.options import filled, seconds
from gpuctl.fleet.limits import Limits
from gpuctl.fleet.waves import DEFAULT
from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from gpuctl.fleet.waves import Partition


@dataclass(frozen=True)
class Waving:
    """The waves, the pause between them, and after what none is begun any more."""

    waves: Annotated[
        str, typer.Option("--waves", metavar="SIZES", help="How many hosts at once; the last size is repeated.")
    ] = DEFAULT
    pause: Annotated[
        float | None,
        typer.Option("--pause", parser=seconds, metavar="SECONDS", help="Wait between two waves.", show_default=False),
    ] = None
    domain: Annotated[
        str | None,
        typer.Option(
            "--domain",
            parser=filled,
            metavar="VAR",
            help="An inventory variable; hosts that share its value are in one wave.",
            show_default=False,
        ),
    ] = None
    per_domain: Annotated[
        int | None,
        typer.Option(
            "--per-domain", min=1, metavar="N", help="Touch at most N of a domain at once.", show_default=False
        ),
    ] = None
    max_fail: Annotated[
        str | None,
        typer.Option(
            "--max-fail",
            parser=share_of_hosts,
            metavar="N|N%",
            help="Go on while no more have failed.",
            show_default=Limits.max_fail,
        ),
    ] = None
    stop_on: Annotated[
        list[str] | None,
        typer.Option(
            "--stop-on",
            metavar="LAYER|ID",
            help="Begin no wave after a changed host has this finding; repeatable.",
            show_default=False,
        ),
    ] = None

    @property
    def divides(self) -> bool:
        """Whether it was typed how hosts are divided."""
        return self.waves != DEFAULT or self.domain is not None or self.per_domain is not None

    def partition(self) -> Partition:
        """Returns how hosts are divided into waves. Raises typer.BadParameter."""
        from gpuctl.fleet.waves import Partition, sizes

        if self.per_domain is not None and self.domain is None:
            raise typer.BadParameter("--per-domain goes with --domain, which says what a domain is")
        try:
            return Partition(sizes(self.waves), self.domain, self.per_domain)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--waves") from None

    def limits(self) -> dict[str, Any]:
        """Returns the limits that were typed (gpuctl/fleet/limits.py). Raises typer.BadParameter."""
        stop_on = known_checks(self.stop_on, "--stop-on") or None
        return typed({"pause": self.pause, "max_fail": self.max_fail, "stop_on": stop_on})
