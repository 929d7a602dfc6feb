"""What was typed about taking hosts out of service before they are changed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gpuctl.cli.frame.options import filled, text_option
from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from gpuctl.fleet.drain.wish import DrainWish


@dataclass(frozen=True)
class Draining:
    """By which scheduler, or by which commands of the person's own."""

    drain: Annotated[
        Literal["slurm", "kubernetes"] | None,
        typer.Option(
            "--drain", help="Have it take hosts out of service first, and verified ones back.", show_default=False
        ),
    ] = None
    context: Annotated[
        str | None,
        text_option("--context", metavar="NAME", help="With --drain kubernetes: as kubectl has it."),
    ] = None
    kubeconfig: Annotated[
        str | None,
        text_option("--kubeconfig", metavar="FILE", help="With --drain kubernetes: instead of the user's."),
    ] = None
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
        from gpuctl.fleet.drain.wish import KUBERNETES, DrainWish

        if self.drain is not None and (self.before or self.after):
            raise typer.BadParameter("--drain and --before, --after each take hosts out of service: give one")
        if self.drain != KUBERNETES and (self.context or self.kubeconfig):
            raise typer.BadParameter("--context and --kubeconfig go with --drain kubernetes")
        if self.drain == KUBERNETES:
            return _of_cluster(self.context, self.kubeconfig)
        if self.drain is not None:
            _check_program("scontrol", "--drain")
        before, after = _words(self.before, "--before"), _words(self.after, "--after")
        return DrainWish(self.drain, before, after) if self.drain or before or after else None


def _of_cluster(context: str | None, kubeconfig: str | None) -> DrainWish:
    """A cluster by its context and the place of its kubeconfig, which mean the same whoever goes on with the run."""
    from pathlib import Path

    from gpuctl.fleet.drain.wish import KUBERNETES, DrainWish
    from gpuctl.host.api.answer import BadConfiguration
    from gpuctl.host.api.kubectl import Kubectl, settled

    _check_program("kubectl", "--drain")
    try:
        cluster = settled(Kubectl(context, kubeconfig and str(Path(kubeconfig).absolute())))
    except BadConfiguration as problem:
        raise typer.BadParameter(str(problem), param_hint="--drain") from None
    return DrainWish(KUBERNETES, context=cluster.context, kubeconfig=cluster.kubeconfig)


def _words(text: str | None, option: str) -> tuple[str, ...]:
    """The words of a command whose program is there."""
    try:
        words = tuple(shlex.split(text or ""))
    except ValueError as error:
        raise typer.BadParameter(f"{text}: {error}", param_hint=option) from None
    if words:
        _check_program(words[0], option)
    return words


def _check_program(name: str, option: str) -> None:
    """Refuses an option whose program is not there."""
    from gpuctl.host.look.local import LocalHost

    if not LocalHost().which(name).ok:
        raise typer.BadParameter(f"there is no program {name} here", param_hint=option)
