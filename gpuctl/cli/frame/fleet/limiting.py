"""Limits of a run that changes hosts, as typed: whoever goes on with it types anew only those that are to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from gpuctl.cli.frame.options import seconds_option
from gpuctl.fleet.limits import Limits
from gpuctl.frozen import dataclass

FOR_ONE_HOST, FOR_ALL_HOSTS = "For one host, in all.", "For all hosts together."
"""What --host-timeout and --run-timeout are, whether they have a default or hold as they were typed at first."""


@dataclass(frozen=True)
class Deadlines:
    """What was typed about how long is waited: a package manager may take minutes, and jobs hours."""

    drain_timeout: Annotated[
        float | None,
        seconds_option("--drain-timeout", help="For a wave's jobs to end.", usual=Limits.drain_timeout),
    ] = None
    host_timeout: Annotated[
        float | None,
        seconds_option("--host-timeout", help=FOR_ONE_HOST, usual=Limits.host_timeout),
    ] = None
    run_timeout: Annotated[
        float | None,
        seconds_option("--run-timeout", help=FOR_ALL_HOSTS, usual=Limits.run_timeout),
    ] = None

    def limits(self) -> dict[str, Any]:
        """Returns the limits that were typed."""
        return typed(vars(self))


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
