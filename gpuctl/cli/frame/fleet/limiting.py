"""Limits of a run that changes hosts, as typed: whoever goes on with it types anew only those that are to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from gpuctl.cli.frame.options import seconds
from gpuctl.fleet.limits import Limits
from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class Deadlines:
    """What was typed about how long is waited: a package manager may take minutes, and jobs hours."""

    drain_timeout: Annotated[
        float | None,
        typer.Option(
            "--drain-timeout",
            parser=seconds,
            metavar="SECONDS",
            help="For a wave's jobs to end.",
            show_default=f"{Limits.drain_timeout:g}",
        ),
    ] = None
    host_timeout: Annotated[
        float | None,
        typer.Option(
            "--host-timeout",
            parser=seconds,
            metavar="SECONDS",
            help="For one host, in all.",
            show_default=f"{Limits.host_timeout:g}",
        ),
    ] = None
    run_timeout: Annotated[
        float | None,
        typer.Option(
            "--run-timeout",
            parser=seconds,
            metavar="SECONDS",
            help="For all hosts together.",
            show_default=f"{Limits.run_timeout:g}",
        ),
    ] = None

    def limits(self) -> dict[str, Any]:
        """Returns the limits that were typed."""
        found = {"drain_timeout": self.drain_timeout, "host_timeout": self.host_timeout}
        return typed({**found, "run_timeout": self.run_timeout})


def typed(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those limits that were typed."""
    return {name: value for name, value in limits.items() if value is not None}


def option_words(limits: Mapping[str, Any]) -> list[str]:
    """Returns the options by which limits are typed."""
    return [word for name, value in limits.items() for word in (f"--{name.replace('_', '-')}", _word(value))]


def _word(value: float | str | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return value if isinstance(value, str) else f"{value:g}"
