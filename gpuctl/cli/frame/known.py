"""Names of checks and layers that were typed."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from gpuctl.cli.frame.nearest import did_you_mean


def known_checks(typed: Iterable[str] | None, option: str) -> tuple[str, ...]:
    """Returns the names of layers and checks that were typed, several in one with commas. Raises typer.BadParameter."""
    names = names_in(typed)
    why = why_unknown(names)
    if why:
        raise typer.BadParameter(why, param_hint=option)
    return names


def names_in(typed: Iterable[str] | None) -> tuple[str, ...]:
    """Returns the names, of which several may stand in one text with commas."""
    return tuple(name.strip() for words in typed or () for name in words.split(","))


def why_unknown(names: tuple[str, ...]) -> str:
    """Returns what is wrong with the first name that is no layer's and no check's, "" where each is one."""
    if not names:
        return ""
    from gpuctl.checks.select import select

    unknown = next((name for name in names if not select(name)), None)
    if unknown is None:
        return ""
    from gpuctl.checks.every import CHECKS, LAYERS

    layers = f"Layers: {', '.join(LAYERS)}"
    if not unknown:
        return f"a name is empty. {layers}."
    near = did_you_mean(unknown, (*LAYERS, *CHECKS)) or f" {layers}; gpuctl explain --list has the checks."
    return f"no layer or check is called {unknown}.{near}"
