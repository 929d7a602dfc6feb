"""Images that commands look at: with their configuration, and where Docker has them, with their files."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.snapshots import host_at, look
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.dockerfile.old_image import OldImage


def need_elftools(option: str) -> None:
    """Ends the run, as wrong usage, where pyelftools is not installed, by which programs are read."""
    if find_spec("elftools") is None:
        hint = "it comes with the extra gpuctl-host[dockerfile]: pipx install --force '.[dockerfile]' in a checkout"
        raise typer.BadParameter(f"programs are read by pyelftools, which is not installed; {hint}", param_hint=option)


def old_image(reference: str, offline: bool, option: str) -> OldImage:
    """Returns an image of this host or of a registry. Ends the run where it cannot be read, or is no image's name."""
    from gpuctl.dockerfile.old_image import look_at_image
    from gpuctl.images.claims import SUBJECTS
    from gpuctl.images.config import Unreadable
    from gpuctl.render.draw.progress import working
    from gpuctl.render.draw.text import plain

    need_elftools(option)
    facts = look(None, SUBJECTS)
    try:
        with working(f"Reading {plain(reference)}"):
            return look_at_image(reference, host_at(None), facts, offline)
    except ValueError as error:
        raise typer.BadParameter(plain(str(error)), param_hint=option) from None
    except Unreadable as why:
        raise refused(f"{reference} cannot be read: {why}", ExitCode.UNDETERMINED) from None
