"""What a Slurm node's line says, which reason a report gives, and when that is over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hosts import host
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.model import Action, Finding, Report, Status, Waiver
from gpuctl.provision.slurm import HOSTNAME, MARK, drain_by, is_over, reason_of, sealed
from gpuctl.provision.slurm_node import SlurmNode, parse_node

HEAD = "NodeName=gpu1 CoresPerSocket=1  CPUAlloc=0 Gres=gpu:8 NodeHostName=vm Port=26818 "
STAMP = "[root@2026-11-30T08:51:34]"
LOST = Finding("driver.gpu-answers", "driver", Status.FAIL, "GPU 1 does not answer.", action=Action.TAKE_OUT_OF_SERVICE)
XID = replace(LOST, id="driver.xid", message="The kernel log has Xid 79.")
REASON = sealed("gpuctl: driver.gpu-answers: GPU 1 does not answer.")
XIDS = sealed("gpuctl: driver.xid: The kernel log has Xid 79.")
BOTH = sealed("gpuctl: driver.gpu-answers, driver.xid: x")


@pytest.mark.parametrize(
    ("rest", "states", "reason"),
    [
        ("State=IDLE ThreadsPerCore=1 ExtSensorsTemp=n/s", {"IDLE"}, ""),
        ("State=MIXED+DRAIN A=b Reason=gpuctl: x y " + STAMP, {"MIXED", "DRAIN"}, "gpuctl: x y"),
        ("State=DOWN*+DRAIN A=b Reason=Not responding " + STAMP, {"DOWN", "DRAIN"}, "Not responding"),
        ("State=IDLE+DRAIN Reason=a [b] = c " + STAMP + " Comment=gpuctl: x Extra=y", {"IDLE", "DRAIN"}, "a [b] = c"),
        ("State=IDLE+DRAIN Reason=one " + STAMP + "\n       two\n", {"IDLE", "DRAIN"}, "one"),
        ("State=IDLE+DRAIN Reason=x State=IDLE " + STAMP, {"IDLE", "DRAIN"}, "x State=IDLE"),
        ("State=IDLE+DRAIN Reason=no stamp", {"IDLE", "DRAIN"}, "no stamp"),
        ("State=IDLE+NOT_RESPONDING A=b", {"IDLE", "NOT_RESPONDING"}, ""),
    ],
)
def test_state_and_reason_of_a_node_are_read(rest: str, states: set[str], reason: str) -> None:
    assert parse_node(HEAD + rest) == SlurmNode("gpu1", frozenset(states), reason)


@given(st.text(max_size=300))
def test_any_line_is_a_node_or_refused(text: str) -> None:
    for line in (text, HEAD + text):
        try:
            parse_node(line)
        except ValueError as error:
            assert str(error) == "it names no node and its state"


def test_a_long_reason_costs_no_more_than_its_length() -> None:
    assert parse_node(HEAD + "State=IDLE Reason=" + " [@" * 500_000 + "@" * 500_000).states == {"IDLE"}


def test_a_reason_is_one_line_that_names_all_that_is_grave_and_not_waived() -> None:
    assert reason_of(Report((LOST,))) == REASON
    assert reason_of(Report((LOST, XID))) == sealed("gpuctl: driver.gpu-answers, driver.xid: GPU 1 does not answer.")
    assert reason_of(Report((replace(LOST, waived=Waiver("known", "2030-01-01")), XID))).startswith(
        "gpuctl: driver.xid:"
    )
    assert reason_of(Report((replace(LOST, action=Action.REBOOT),))) == ""
    long = reason_of(Report((replace(LOST, message="a\nb\x1b[2J" + "c" * 500),)))
    assert long.isprintable()
    assert len(long) == 200


@pytest.mark.parametrize(
    ("change", "over"),
    [
        ({"status": Status.PASS}, True),
        ({"status": Status.WARN}, True),
        ({"status": Status.WARN, "action": Action.TAKE_OUT_OF_SERVICE}, False),
        ({"status": Status.UNKNOWN}, False),
        ({"status": Status.SKIP}, False),
        ({"status": Status.SKIP, "rests_on": "kernel.module-loaded"}, False),
        ({"status": Status.FAIL, "action": Action.REBOOT}, False),
        ({"status": Status.FAIL, "waived": Waiver("known", "2030-01-01")}, True),
    ],
)
def test_only_what_was_looked_at_and_is_well_or_waived_is_over(change: dict[str, object], over: bool) -> None:
    now = replace(LOST, **{"action": Action.NOTHING_NOW, **change})  # type: ignore[arg-type]
    assert is_over(REASON, Report((now,))) is over
    assert is_over(BOTH, Report((now, replace(XID, status=Status.PASS, action=Action.NOTHING_NOW)))) is over
    assert not is_over(BOTH, Report((now,)))


WELL = replace(LOST, status=Status.PASS, action=Action.NOTHING_NOW)
UNKNOWN = replace(LOST, status=Status.UNKNOWN, action=Action.NOTHING_NOW)


@pytest.mark.parametrize(
    ("line", "findings", "outcome", "reason"),
    [
        ("State=IDLE", (LOST,), "drained", REASON),
        ("State=DOWN", (LOST,), "drained", REASON),
        ("State=IDLE", (WELL,), "unchanged", None),
        (f"State=IDLE+DRAIN Reason={REASON}", (LOST,), "unchanged", REASON),
        (f"State=IDLE+DRAIN Reason={REASON}", (WELL,), "resumed", None),
        (f"State=IDLE+DRAIN Reason={REASON}", (UNKNOWN,), "unchanged", REASON),
        (f"State=IDLE+DRAIN Reason={REASON}", (WELL, XID), "drained", XIDS),
        (
            f"State=IDLE+DRAIN Reason={REASON}",
            (UNKNOWN, XID),
            "drained",
            sealed("gpuctl: driver.xid, driver.gpu-answers: The kernel log has Xid 79."),
        ),
        (f"State=IDLE+DRAIN Reason={BOTH}", (XID, UNKNOWN), "unchanged", None),
        (f"State=IDLE+DRAIN Reason={BOTH}", (XID, WELL), "drained", None),
        (f"State=IDLE+DRAIN Reason={REASON}, new fan", (WELL, XID), "left-alone", f"{REASON}, new fan"),
        (f"State=IDLE+DRAIN Reason={REASON.replace('answer', 'answer me')}", (WELL,), "left-alone", None),
        (f"State=DOWN Reason={REASON}", (WELL,), "unchanged", REASON),
        ("State=IDLE+DRAIN", (WELL,), "left-alone", ""),
        ("State=IDLE+DRAIN Reason=mine", (LOST,), "left-alone", "mine"),
        ("State=DOWN Reason=Not responding", (LOST,), "left-alone", "Not responding"),
    ],
)
def test_what_becomes_of_a_node(line: str, findings: tuple[Finding, ...], outcome: str, reason: str | None) -> None:
    shown = {"scontrol -o show node gpu1": f"{HEAD}{line} {STAMP}", "scontrol show aliases host": "gpu1\n"}
    here = host(files={HOSTNAME: "host.example\n"}, commands=shown)
    drained = drain_by(here, Report(findings), dry_run=True)
    assert (drained.outcome, drained.node) == (outcome, "gpu1")
    if reason is not None:
        assert drained.reason == reason


@pytest.mark.parametrize("reason", ["", MARK, "gpuctl:x", "gpuctl: ", "fan is loud", "gpuctl: driver.no-such-check: x"])
def test_a_reason_that_names_no_finding_of_the_report_is_not_over(reason: str) -> None:
    assert not is_over(reason, Report((replace(LOST, status=Status.PASS, action=Action.NOTHING_NOW),)))
