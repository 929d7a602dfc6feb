"""What the configuration files say where the command line says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.cli.frame.endings import refused
from gpuctl.host.places import has_config
from gpuctl.model import Defaults
from gpuctl.render.formats.formats import Format

if TYPE_CHECKING:
    import typer

    from gpuctl.facts.own.configuration import Configuration


def configured() -> Defaults:
    """Returns the defaults. Ends the run where a configuration file is not to be gone by."""
    if not has_config():
        return Defaults()
    files = _written()
    if files.files.unknown:
        raise refused(f"The configuration is refused: {files.files.reason}.")
    if files.defaults.format not in (None, *(one.value for one in Format)):
        names = ", ".join(one.value for one in Format)
        raise wrong_default("format", f"format is none of {names}.")
    return files.defaults


def wrong_default(name: str, why: str) -> typer.Exit:
    """Says what is wrong with a default, and in which file it stands. Returns what ends the run."""
    files = _written().files.value or ()
    path = next(one.path for one in reversed(files) if getattr(one.defaults, name) is not None)
    return refused(f"The configuration is refused: {path}: {why}")


def _written() -> Configuration:
    from gpuctl.facts.own.configuration import probe_configuration
    from gpuctl.host.look.local import LocalHost

    return probe_configuration(LocalHost())
