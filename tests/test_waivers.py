"""The configuration file: what it waives, what it sets, and that nothing is gone by that is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hosts_v100 import v100
from jsonschema import Draft202012Validator
from simhost import SimHost

from gpuctl.checks.every import diagnose
from gpuctl.facts.gather import gather
from gpuctl.host.places import SYSTEM_CONFIG
from gpuctl.host.record.snapshot import SnapshotHost
from gpuctl.model import Finding, Status, Waiver

SCHEMA = Path(__file__).parents[1] / "data" / "schemas" / "doctor.schema.json"
NOBODY = 65534
ENDED = "driver.branch-supported"
"""The one finding of the well host: its branch of 2019 has ended."""
USERS = "/home/sim/.config/gpuctl/config.toml"


def waiver(id: str = ENDED, reason: str = "until the lab moves", expires: str = "9999-12-31", more: str = "") -> str:
    return f'[[waivers]]\nid = "{id}"\nreason = "{reason}"\nexpires = {expires}\n{more}\n'


def found(config: str, **differs: Any) -> dict[str, Finding]:
    files = {SYSTEM_CONFIG: config, "/proc/sys/kernel/hostname": "lab-7\n", **differs.pop("files", {})}
    return {one.id: one for one in diagnose(gather(v100(files=files, **differs))).findings}


def loud(findings: dict[str, Finding]) -> list[str]:
    """What counts of today: the outlook of a host of 2019 has ended things of its own."""
    today = {id: one for id, one in findings.items() if one.layer != "outlook"}
    return [id for id, one in today.items() if one.status in (Status.FAIL, Status.WARN) and not one.waived]


def test_a_waiver_takes_a_finding_out_of_what_counts_and_keeps_its_status() -> None:
    findings = found(waiver())
    assert findings[ENDED].status is Status.WARN
    assert findings[ENDED].waived == Waiver("until the lab moves", "9999-12-31")
    assert loud(findings) == []


@pytest.mark.parametrize(
    ("pattern", "holds"), [("lab-*", True), ("lab-[0-9]", True), ("prod-*", False), ("LAB-7", False)]
)
def test_a_waiver_holds_on_the_hosts_that_it_names(pattern: str, holds: bool) -> None:
    findings = found(waiver(more=f'host = "{pattern}"'))
    assert loud(findings) == ([] if holds else [ENDED])


def test_what_is_meant_for_another_host_is_no_finding_here() -> None:
    assert loud(found(waiver("no.such", expires="2020-01-01", more='host = "prod-*"'))) == [ENDED]


@pytest.mark.parametrize(
    ("config", "finding"),
    [
        (waiver(expires="2020-01-01"), "waivers.expired"),
        (f'[[waivers]]\nid = "{ENDED}"\nreason = "why not"\n', "waivers.complete"),
        (waiver(reason=" "), "waivers.complete"),
        ('[[waivers]]\nreason = "all of it"\nexpires = 9999-12-31\n', "waivers.complete"),
        (waiver("driver.branch-suported"), "waivers.known"),
        (waiver("waivers.known"), "waivers.known"),
    ],
)
def test_a_waiver_that_does_not_hold_is_a_finding_and_waives_nothing(config: str, finding: str) -> None:
    findings = found(config)
    assert sorted(loud(findings)) == [ENDED, finding]
    assert findings[finding].remedy and SYSTEM_CONFIG in findings[finding].remedy.text


def test_a_finding_about_waivers_cannot_be_waived() -> None:
    both = found(waiver("waivers.expired") + waiver(expires="2020-01-01"))
    assert sorted(loud(both)) == [ENDED, "waivers.expired", "waivers.known"]


def test_an_expired_waiver_does_not_hide_one_that_holds() -> None:
    assert loud(found(waiver(expires="2020-01-01") + waiver(reason="again"))) == ["waivers.expired"]


def test_a_waived_cause_leaves_its_symptoms_skipped() -> None:
    findings = found(waiver("toolkit.installed"), commands={"nvidia-ctk --version": None})
    assert {one.status for one in findings.values() if one.rests_on == "toolkit.installed"} <= {Status.SKIP}


def test_the_last_day_of_a_waiver_counts_whole() -> None:
    from gpuctl.checks.waiving import has_expired
    from gpuctl.facts.own.configuration import parse_config

    (written,) = parse_config("f", waiver(expires="2027-01-31")).waivers
    assert (has_expired(written, "2027-01-31"), has_expired(written, "2027-02-01")) == (False, True)


def test_a_snapshot_with_a_broken_configuration_waives_nothing_and_says_so() -> None:
    findings = found(waiver() + "[[\n")
    assert findings["waivers.complete"].status is Status.UNKNOWN
    assert "line 6" in findings["waivers.complete"].message
    assert loud(findings) == [ENDED]


# The real command


def configured(sim_host: Callable[..., SimHost], text: str, **options: Any) -> SimHost:
    return sim_host("v100", files={SYSTEM_CONFIG: text, **options.pop("files", {})}, **options)


def test_a_waived_finding_is_told_with_reason_and_date_in_every_format(sim_host: Callable[..., SimHost]) -> None:
    host = configured(sim_host, waiver())
    formats = ("json", "junit", "nagios", "markdown", "prometheus")
    files = [part for format in formats for part in ("-o", f"{format}=/home/sim/{format}")]
    done = host.gpuctl("doctor", "--only", ENDED, "--strict", *files)
    told = {format: host.path(f"/home/sim/{format}").read_text() for format in formats}
    assert done.code == 0, done.err
    for text in (done.out, *told.values()):
        assert "until the lab moves" in text
        assert "9999-12-31" in text or "2.534023008e+11" in text
    document = json.loads(told["json"])
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    counts = {"fail": 0, "warn": 0, "unknown": 0, "pass": 0, "skip": 0, "waived": 1}
    assert document["summary"] == {**counts, "action": "nothing-now"}
    assert document["findings"][0]["waived"] == {"reason": "until the lab moves", "expires": "9999-12-31"}


def test_a_users_file_lies_over_the_hosts_and_root_reads_no_users(sim_host: Callable[..., SimHost]) -> None:
    host = configured(
        sim_host, "[defaults]\nstrict = true\nformat = 'json'\n", files={USERS: "defaults.strict = false\n" + waiver()}
    )
    argv = ("doctor", "--only", ENDED)
    assert host.gpuctl(*argv).code == 1
    assert "waived" not in host.gpuctl(*argv, "--format", "text").out
    users = host.gpuctl(*argv, uid=NOBODY)
    assert (users.code, users.json["summary"]["waived"]) == (0, 1)


def test_defaults_hold_until_the_command_line_says_otherwise(sim_host: Callable[..., SimHost]) -> None:
    host = configured(sim_host, f"[defaults]\nstrict = true\nformat = 'json'\nonly = ['driver']\nskip = ['{ENDED}']\n")
    done = host.gpuctl("doctor")
    assert {one["layer"] for one in done.json["findings"]} == {"driver"}
    assert ENDED not in done.out and done.code == 0
    other = host.gpuctl("doctor", "--only", ENDED, "--skip", "image", "--format", "text")
    assert other.out.count("WARN") and other.code == 1
    assert host.gpuctl("doctor", "--only", ENDED, "--skip", "image", "--no-strict").code == 0
    check = ("check", "--cuda", "12.4", "--driver", "525.60.13", "--gpu", "T4")
    limited = host.gpuctl(*check)
    assert (limited.code, limited.json["verdict"]) == (1, "limited")


BROKEN = {
    "no TOML": ("[defaults]\nstrict = maybe\n", "line 2"),
    "a text for a switch": ("[defaults]\nstrict = 'yes'\n", "strict of defaults is not true or false (at line 2)."),
    "a misspelt key": ("[default]\nstrict = true\n", "'default', which is none of defaults, waivers"),
    "a misspelt key of a waiver": (
        waiver(more="expiry = 2027-01-31"),
        "which is none of id, reason, expires, host (at line 5).",
    ),
    "a date in quotes": (waiver(expires="'2027-01-31'"), "expires of waivers[1] is not a date without quotes"),
    "a moment": (waiver(expires="2027-01-31T12:00:00Z"), "expires of waivers[1] is not a date"),
    "no such format": ("[defaults]\nformat = 'xml'\n", "format is none of text, json"),
    "a waiver that is no table": ("waivers = [3]\n", "waivers[1] is no table"),
    "an abyss": ("a = " + "[" * 5000, "it is nested more than 50 levels deep"),
    "controls": ("[defaults]\nformat = '\x1b]0;owned\x07'\n", "line 2"),
    "no such layer": ("[defaults]\nonly = ['dokcer']\n", "no layer or check is called dokcer"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_one_sentence_and_nothing_is_done(sim_host: Callable[..., SimHost], what: str) -> None:
    text, said = BROKEN[what]
    done = configured(sim_host, text).gpuctl("doctor")
    assert (done.code, done.out) == (2, "")
    assert (
        said in " ".join(done.err.replace("│", " ").split()) and "Traceback" not in done.err and "\x1b" not in done.err
    )
    assert done.err.startswith(f"Error: The configuration is refused: {SYSTEM_CONFIG}: ")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("wrong", ["format = 'xml'", "skip = ['nosuch']"])
def test_of_two_files_the_one_that_is_wrong_is_named(sim_host: Callable[..., SimHost], wrong: str) -> None:
    own = "/home/sim/.config/gpuctl/config.toml"
    files = {own: f"[defaults]\n{wrong}\n", SYSTEM_CONFIG: "[defaults]\nstrict = false\n"}
    done = sim_host("v100", files=files).gpuctl("doctor", uid=NOBODY, env={"XDG_CONFIG_HOME": "/home/sim/.config"})
    assert (done.code, done.err.startswith(f"Error: The configuration is refused: {own}: ")) == (2, True), done.err


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.chmod(0o666), "others than root may write to /etc/gpuctl/config.toml"),
        (lambda file: file.parent.chmod(0o777), "others than root may write to /etc/gpuctl."),
        (lambda file: os.chown(file, NOBODY, 0), "/etc/gpuctl/config.toml does not belong to root"),
    ],
    ids=["a file for all", "a folder for all", "somebody's file"],
)
def test_root_goes_by_no_file_that_others_may_have_written(
    sim_host: Callable[..., SimHost], spoil: Callable[[Any], None], said: str
) -> None:
    host = configured(sim_host, waiver())
    spoil(host.path(SYSTEM_CONFIG))
    done = host.gpuctl("doctor", "--only", ENDED)
    assert (done.code, done.out) == (2, "") and said in done.err and len(done.err.splitlines()) == 1
    assert host.gpuctl("doctor", "--only", ENDED, uid=NOBODY).code == 0


def test_a_fifo_in_the_files_place_holds_nobody(sim_host: Callable[..., SimHost]) -> None:
    host = configured(sim_host, "")
    file = host.path(SYSTEM_CONFIG)
    file.unlink()
    os.mkfifo(file)
    done = host.gpuctl("check", "--cuda", "10.1", "--driver", "418.87", "--gpu", "V100", timeout=300)
    assert (done.code, done.out) == (2, "") and "not a regular file" in done.err


def test_without_a_file_every_waiver_check_passes() -> None:
    well: SnapshotHost = v100()
    assert {one.status for one in diagnose(gather(well)).findings if one.layer == "waivers"} == {Status.PASS}
