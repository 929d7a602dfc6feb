"""`gpuctl doctor --watch`: one process that goes on looking."""

from __future__ import annotations

import time
from dataclasses import replace

from gpuctl.checks.compare.changed import changed
from gpuctl.cli.frame.asked import DoctorRequest
from gpuctl.cli.frame.formats import write_files
from gpuctl.cli.frame.streams import reader_gone
from gpuctl.facts.gather import Facts
from gpuctl.facts.pace import TimedLook, look_again
from gpuctl.host.act.signals import HeldSignals
from gpuctl.host.look.local import LocalHost
from gpuctl.model import ExitCode, Report
from gpuctl.render.formats.formats import Format
from gpuctl.render.views.watch import viewer


def watch_host(asked: DoctorRequest, between: float) -> int:
    """Looks every `between` seconds until a signal ends it, or nobody reads on. Returns the last state's exit code."""
    shown = asked.outputs.shown if asked.outputs.shown is Format.JSON else Format.TEXT  # whatever the default is
    asked = replace(asked, outputs=replace(asked.outputs, shown=shown))
    report: Report | None = None
    whole = True
    try:
        with HeldSignals() as held, viewer(shown is Format.JSON) as tell:
            looks: dict[type, TimedLook] = {}
            while not reader_gone():
                with held.let_through():
                    looks = look_again(LocalHost(), asked.subjects, looks)
                facts = Facts({subject: look.seen for subject, look in looks.items()})
                before, report = report, asked.judge(facts)
                whole = write_files(asked.outputs.files, asked.render(report, facts))
                tell(report, facts, list(changed(before, report)))
                with held.let_through():
                    time.sleep(between)
    except (KeyboardInterrupt, SystemExit):
        if report is None:
            raise
    code = asked.code(report) if report else ExitCode.UNDETERMINED
    return code if whole else code or ExitCode.UNDETERMINED
