"""What the commands share that change a fleet."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.fleet.report import read_by
from gpuctl.cli.frame.options import filled, text_option
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.command import Command
    from gpuctl.fleet.changes import ChangeRun
    from gpuctl.fleet.parcel import Supplies

Zipapp = Annotated[
    str | None,
    typer.Option(
        "--zipapp",
        parser=filled,
        metavar="FILE",
        help="gpuctl.pyz, for hosts that have no gpuctl but a Python 3.10.",
        show_default=False,
    ),
]
BundleFile = Annotated[
    str | None,
    text_option("--bundle", metavar="FILE", help="A file of gpuctl bundle, brought to each host that lacks it."),
]
ARCHIVE = b"PK\x03\x04"
ENDS = 70
"""Bytes: the line with which a single file may begin, before the archive."""


def brings(zipapp: str | None, bundle: str | None) -> list[str]:
    """Returns the options by which another command brings hosts the same."""
    given = (("--zipapp", zipapp), ("--bundle", bundle))
    return [word for option, value in given if value is not None for word in (option, value)]


def packed(zipapp: str | None) -> str:
    """A single file of gpuctl in base64, "" for none."""
    from gpuctl.host.write.files import FileProblem, read_named

    if zipapp is None:
        return ""
    try:
        raw = read_named(zipapp)
    except FileProblem as problem:
        raise refused(str(problem)) from None
    if ARCHIVE not in raw[:ENDS]:
        raise typer.BadParameter(f"{zipapp} is no single file of gpuctl: pyz/build.py makes one", param_hint="--zipapp")
    return b64encode(raw).decode("ascii")


def supplied(zipapp: str | None, bundle: str | None) -> Supplies:
    """Returns what is brought to hosts; a bundle may have the single file in it. Ends the run where it is none."""
    from gpuctl.fleet.parcel import Supplies, parcel
    from gpuctl.host.write.files import FileProblem
    from gpuctl.provision.bundle.archive import ZIPAPP, BundleProblem, pack
    from gpuctl.provision.bundle.use import read_bundle

    if bundle is None:
        return Supplies(packed(zipapp))
    try:
        given = read_bundle(bundle)
    except FileProblem as problem:
        raise refused(str(problem)) from None
    except BundleProblem as problem:
        raise typer.BadParameter(f"{bundle} is not used: {problem}", param_hint="--bundle") from None
    own = b64encode(given.bundle.files.get(ZIPAPP, b"")).decode("ascii")
    return Supplies(packed(zipapp) or own, parcel(pack(given.bundle)))


def change_run(folder: str) -> ChangeRun:
    """Returns the run in a folder. Ends the run with a sentence where it is none."""
    from gpuctl.fleet.changes import read
    from gpuctl.fleet.run_folder import CHANGE_SCHEMA

    return read_by(read, folder, CHANGE_SCHEMA)


@contextmanager
def telling_how_to_go_on(folder: str, go_on: Command) -> Iterator[None]:
    """Where Ansible, the disk or a signal ends a run before its time, says where it is, how to go on, and who is out of
    service until then.
    """
    from gpuctl.fleet.ansible import EngineProblem
    from gpuctl.host.write.files import FileProblem
    from gpuctl.render.draw.text import say

    try:
        yield
    except (EngineProblem, FileProblem) as problem:
        raise refused(f"{problem} {_way_on(folder, go_on)}", ExitCode.UNDETERMINED) from None
    except (KeyboardInterrupt, SystemExit):
        say(_way_on(folder, go_on))
        raise


def _way_on(folder: str, go_on: Command) -> str:
    from gpuctl.render.views.fleet_collect import named

    drained = [one.host for one in change_run(folder).drained]
    out = f" Out of service until then: {named(drained, False)}." if drained else ""
    return f"What was done is in {folder}. Go on with {go_on}.{out}"


def change_code(run: ChangeRun) -> ExitCode:
    """Returns what hosts that are not as the plan wishes make of a run, the worst first."""
    from gpuctl.fleet.changes import UNKNOWN

    states = {one.state for one in run.failed} | {one.state for one in run.drained}
    if "stuck" in states:
        return ExitCode.NOT_ROLLED_BACK
    if "rolled-back" in states:
        return ExitCode.ROLLED_BACK
    if states - set(UNKNOWN) or (run.left(run.hosts) and run.stopping):
        return ExitCode.PROBLEM
    return ExitCode.UNDETERMINED if states else ExitCode.GOOD
