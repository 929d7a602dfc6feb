"""Names of checks and layers that were typed."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from gpuctl.cli.frame.nearest import did_you_mean


def known_checks(names: Iterable[str] | None, option: str) -> tuple[str, ...]:
    """Returns the names of layers and checks that were typed, several in one with commas. Raises typer.BadParameter."""
    names = tuple(name.strip() for typed in names or () for name in typed.split(","))
    if names:
        from gpuctl.checks import CHECKS, LAYERS, select

        unknown = next((name for name in names if not select(name)), None)
        if unknown is not None:
            near = did_you_mean(unknown, (*LAYERS, *CHECKS))
            raise typer.BadParameter(f"no layer or check is called {unknown}.{near}", param_hint=option)
    return names
