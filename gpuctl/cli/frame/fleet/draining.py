"""What was typed about taking hosts out of service before they are changed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gpuctl.cli.frame.options import filled, seconds
from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from gpuctl.fleet.drain.wish import DrainWish


@dataclass(frozen=True)
class Draining:
    """By which scheduler, or by which commands of the person's own, and how long what runs there is waited for."""

    drain: Annotated[
        Literal["slurm", "kubernetes"] | None,
        typer.Option(
            "--drain", help="Have it take hosts out of service first, and verified ones back.", show_default=False
        ),
    ] = None
    drain_timeout: Annotated[
        float, typer.Option("--drain-timeout", parser=seconds, metavar="SECONDS", help="For a wave's jobs to end.")
    ] = 3600.0
    before: Annotated[
        str | None,
        typer.Option(
            "--before",
            parser=filled,
            metavar="CMD",
            help="Run it here for each host first, its name behind; no shell reads it.",
            show_default=False,
        ),
    ] = None
    after: Annotated[
        str | None,
        typer.Option(
            "--after", parser=filled, metavar="CMD", help="The same for each that is verified.", show_default=False
        ),
    ] = None

    def wish(self) -> DrainWish | None:
        """Returns what is asked for, None where nothing is. Raises typer.BadParameter."""
        from gpuctl.fleet.drain.wish import DrainWish

        if self.drain is not None and (self.before or self.after):
            raise typer.BadParameter("--drain and --before, --after each take hosts out of service: give one")
        before, after = _words(self.before, "--before"), _words(self.after, "--after")
        return DrainWish(self.drain, before, after) if self.drain or before or after else None


def _words(text: str | None, option: str) -> tuple[str, ...]:
    """The words of a command whose program is there."""
    from gpuctl.host.look.local import LocalHost

    try:
        words = tuple(shlex.split(text or ""))
    except ValueError as error:
        raise typer.BadParameter(f"{text}: {error}", param_hint=option) from None
    if words and not LocalHost().which(words[0]).ok:
        raise typer.BadParameter(f"there is no program {words[0]} here", param_hint=option)
    return words
