"""What the configuration files say where the command line says nothing."""

from __future__ import annotations

import typer

from gpuctl.host.places import has_config
from gpuctl.model import Defaults
from gpuctl.render.formats.formats import Format


def configured() -> Defaults:
    """Returns the defaults. Ends the run where a configuration file is not to be gone by."""
    if not has_config():
        return Defaults()
    from gpuctl.facts.own.configuration import probe_configuration
    from gpuctl.host.look.local import LocalHost

    files = probe_configuration(LocalHost())
    if files.files.unknown:
        raise _refused(files.files.reason)
    if files.defaults.format not in (None, *(one.value for one in Format)):
        raise _refused(f"{files.files.source}: format is none of {', '.join(one.value for one in Format)}")
    return files.defaults


def _refused(reason: str) -> typer.Exit:
    """Says that the configuration cannot be used. Returns what ends the run with the exit code for wrong usage."""
    from gpuctl.model import ExitCode
    from gpuctl.render.draw.text import plain

    typer.echo(plain(f"Error: The configuration is refused: {reason}."), err=True)
    return typer.Exit(ExitCode.USAGE)
