"""A folder of nodes' reports: what `gpuctl doctor --json` printed there, and snapshots, which are judged here."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import typer

from gpuctl.cli.frame.endings import refused

if TYPE_CHECKING:
    from gpuctl.k8s.host_reports import HostReport

ENDINGS = (".json", ".jsonl", ".jsonl.gz", ".gz")
MOST = 5000
DEADLINE = 60.0
"""Seconds for a snapshot."""


def reports_in(folder: str) -> tuple[HostReport, ...]:
    """Returns the reports in a folder. Ends the run with a sentence where it is none, or a file in it is neither."""
    from gpuctl.host.look.local import LocalHost
    from gpuctl.host.look.reading import failure
    from gpuctl.render.draw.progress import working

    listing = LocalHost().list(folder)
    if not listing.ok:
        raise typer.BadParameter(f"{folder} is no folder that can be read: {failure(listing)}", param_hint="--hosts")
    names = [name for name in listing.text.splitlines() if name.endswith(ENDINGS)]
    if not names:
        wanted = "what `gpuctl doctor --json` or `gpuctl collect` wrote on the nodes"
        raise typer.BadParameter(f"{folder} holds no file *.json or *.jsonl.gz: {wanted}", param_hint="--hosts")
    if len(names) > MOST:
        raise typer.BadParameter(f"{folder} holds more than {MOST} reports", param_hint="--hosts")
    with working("Reading the nodes' reports"):
        return tuple(_report(posixpath.join(folder, name)) for name in names)


def _report(path: str) -> HostReport:
    from gpuctl.host.write.files import FileProblem, read_named
    from gpuctl.k8s.host_reports import NoReport, parse_report

    name = posixpath.basename(path)
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    try:
        raw = read_named(path)
        is_report = path.endswith(".json") and not raw.lstrip().startswith(b'{"schema": "gpuctl.snapshot')
        return parse_report(name, raw.decode("utf-8", "replace") if is_report else _judged(path))
    except FileProblem as problem:
        raise refused(str(problem)) from None
    except NoReport as problem:
        raise refused(f"{path} is neither a snapshot nor a report of `gpuctl doctor --json`: {problem}.") from None


def _judged(path: str) -> str:
    """The doctor's report of a snapshot, by a gpuctl of its own: it is bounded there."""
    from gpuctl.host.act.own import run_gpuctl
    from gpuctl.host.look.reading import failure
    from gpuctl.model import ExitCode

    done = run_gpuctl(("doctor", "--json", "--from", path), DEADLINE)
    if done.code in (ExitCode.GOOD, ExitCode.PROBLEM, ExitCode.UNDETERMINED) and done.text:
        return done.text
    words = done.detail.strip().removeprefix("Error: ") or failure(done)
    raise refused(words.splitlines()[0] if words else f"{path} was not judged", ExitCode.USAGE)
