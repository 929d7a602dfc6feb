"""What the configuration files say where the command line says nothing."""

from __future__ import annotations

from gpuctl.cli.frame.endings import refused
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
        raise refused(f"The configuration is refused: {files.files.reason}.")
    if files.defaults.format not in (None, *(one.value for one in Format)):
        names = ", ".join(one.value for one in Format)
        raise refused(f"The configuration is refused: {files.files.source}: format is none of {names}.")
    return files.defaults
