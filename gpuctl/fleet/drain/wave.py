"""The hosts of a wave taken out of service and brought back, each on the disk before it is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gpuctl.fleet.changes import Change, ChangeRun, add, again
from gpuctl.fleet.drain.drain import IN_SERVICE, Drain, Problems

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
"""Seconds between two looks whether hosts are free."""
NOT_BACK = "It could not be brought back: "


def taken_out(run: ChangeRun, hosts: Sequence[str], drain: Drain) -> tuple[ChangeRun, Problems]:
    """Returns how the run stands, and which of these hosts are not free: out of service, with nothing on them.

    One that is not free in the time that the run gives them stays out of service.
    """
    before = {one.host for one in run.drained}
    add(run.folder, [replace(run.stands(host), drained=True) for host in hosts])
    taken = drain.take_out(hosts)
    run = again(run)
    ours = {host: host in before if one.ours is None else one.ours for host, one in taken.items()}
    add(run.folder, [replace(run.changes[host], drained=False) for host in hosts if not ours[host]])
    refused = {host: one.problem for host, one in taken.items() if one.problem}
    waited = _waited([host for host in hosts if host not in refused], drain, run.limits.drain_timeout)
    return again(run), {**refused, **waited}


def _waited(hosts: Sequence[str], drain: Drain, deadline: float) -> Problems:
    """What still runs on which hosts when none is left, or it is too late."""
    end, pause = time.monotonic() + deadline, FIRST_PAUSE
    busy: Mapping[str, str] = drain.busy(hosts)
    while busy and time.monotonic() < end:
        time.sleep(min(pause, max(0.0, end - time.monotonic())))
        pause = min(LONGEST_PAUSE, pause * 1.5)
        busy = drain.busy(tuple(busy))
    return busy


def brought_back(run: ChangeRun, well: Sequence[Change], drain: Drain) -> ChangeRun:
    """Brings hosts back that this run has taken out; returns how it stands then."""
    problems = drain.bring_back([one.host for one in well])
    back = [
        replace(one, detail=f"{NOT_BACK}{problems[one.host]}")
        if one.host in problems
        else replace(one, drained=False, detail="" if one.detail.startswith(NOT_BACK) else one.detail)
        for one in well
    ]
    add(run.folder, back)
    return again(run)


def seen_back(run: ChangeRun, drain: Drain) -> ChangeRun:
    """Returns how a run stands of whose hosts those are out of service no more that somebody has brought back."""
    busy = drain.busy([one.host for one in run.drained])
    back = [one for one in run.drained if busy.get(one.host) == IN_SERVICE]
    return brought_back(run, back, drain) if back else run
