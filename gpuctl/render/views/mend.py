"""What `gpuctl doctor --fix` did, or would do: as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gpuctl.model import Report, Status
from gpuctl.provision.mend import Examined, Mended
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import doctor_json, dumps
from gpuctl.render.views.changes import diff_text, done_text, steps_text
from gpuctl.render.views.doctor import report_text


def fix_json(seen: Examined, mended: Sequence[Mended]) -> str:
    """Returns the doctor's JSON of the last look, and under `fix` what was done before it."""
    body = json.loads(doctor_json(seen.report, seen.facts))
    body["fix"] = [_as_json(one, seen.report) for one in mended]
    return dumps(body, indent=2)


def fix_text(seen: Examined, mended: Sequence[Mended], dry_run: bool, verbose: bool) -> Styled:
    """Returns what was done, or would be done, and the report of the last look."""
    text = Styled()
    for one in mended:
        text.append(plan_text(one) if dry_run else mended_text(one, seen.report))
    return text.append("\n" if mended else "").append(report_text(seen.report, seen.facts, verbose, fixed=True))


def _as_json(one: Mended, report: Report) -> dict[str, Any]:
    result = one.result
    return {
        "checks": one.checks,
        "allowed": one.allowed,
        "carried_out": one.carried_out,
        "mended": mended_ids(one, report),
        "disturbs": one.disturbs,
        "steps": [asdict(step) for step in result.plan.steps],
        "run": result.run,
        "error": result.error,
    }


def mended_ids(one: Mended, report: Report) -> list[str]:
    """Returns the checks that pass, by this report of afterwards."""
    passed = {finding.id for finding in report.findings if finding.status is Status.PASS}
    return [id for id in one.checks if one.carried_out and id in passed]


def plan_text(one: Mended) -> Styled:
    """Returns what a change would do, with the diff of its files."""
    text = Styled(f"To mend {', '.join(one.checks)} (disturbs {one.disturbs.value}):\n", "bold")
    if one.result.error is not None:
        return text.append(f"  {plain(one.result.error)}\n")
    return text.append(diff_text(one.result.diff)).append(steps_text(one.result))


def mended_text(one: Mended, report: Report) -> Styled:
    """Returns in a line or more what became of one change; `report` is of afterwards."""
    ids, result = ", ".join(one.checks), one.result
    if not one.carried_out:
        return Styled(f"not mended: {ids}: {plain(result.error or 'it was not allowed; --yes allows it')}\n", "yellow")
    if result.error is not None:
        return Styled(f"not mended: {ids}: {plain(result.error)}\n", "red")
    passed = mended_ids(one, report)
    text = Styled(f"mended: {', '.join(passed)}\n", "green") if passed else Styled()
    left = [id for id in one.checks if id not in passed]
    if left:
        text.append(f"done, and not well yet: {', '.join(left)}\n", "yellow")
    return text.append(done_text(result))
