"""Results in formats for machines and tickets: what each says, and that words of others stay words in all of them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from prometheus_client.parser import text_string_to_metric_families
from simhost import Done, SimHost, warm

from gpuctl import __version__
from gpuctl.command import command
from gpuctl.host.places import SYSTEM_CONFIG
from gpuctl.model import Evidence, Finding, Remedy, Report, Status, Waiver
from gpuctl.render.formats.formats import Format
from gpuctl.render.formats.junit import report_junit
from gpuctl.render.formats.markdown import report_markdown
from gpuctl.render.formats.nagios import report_nagios
from gpuctl.render.formats.prometheus import report_prometheus

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden"
"""What `gpuctl check` prints; each file's name carries the exit code."""
HERE = [sys.executable, "-m", "gpuctl"]
NEEDS_PACKAGE = ("check", "--cuda", "13.0", "--driver", "535.161.08", "--gpu", "A100", "--gpu", "GeForce RTX 3090")
GOOD = ("check", "--cuda", "10.1", "--driver", "418.87", "--gpu", "V100")
LIMITED = ("check", "--cuda", "12.4", "--driver", "525.60.13", "--gpu", "T4")
UNKNOWN = ("check", "--cuda", "99.0", "--driver", "580.65.06", "--gpu", "H100")
HOSTILE = (
    "]]> <script>alert(1)</script> &amp; \"q\" 'a' | a \\| b \\\\| c | `code` ``` ~~~ **b** _e_ "
    "[x](http://evil.example) ![i](x) www.evil.example @everyone #1 "
    "\x1b[31m\x1b]0;t\x07 \n\n# heading\n| x | y |\r\n\u202e\ud800\uffff\0 \\"
)


def run(*argv: str, **options: Any) -> Done:
    done = warm.gpuctl(*argv, **options)
    return Done(done.returncode, done.stdout, done.stderr)


def parsed(xml: str) -> ElementTree.Element:
    return ElementTree.fromstring(xml.encode())  # noqa: S314


@pytest.mark.parametrize("file", sorted(GOLDEN.iterdir()), ids=lambda file: file.name)
def test_check_prints_what_the_golden_file_says(file: Path) -> None:
    code, format = file.name.split(".")[1:]
    done = run(*NEEDS_PACKAGE, "--format", format)
    assert (done.code, done.out, done.err) == (int(code), file.read_text().replace("VERSION", __version__), "")


def test_there_is_a_golden_file_for_every_format() -> None:
    assert {file.suffix for file in GOLDEN.iterdir()} == {f".{format.value}" for format in Format}


@pytest.mark.parametrize(
    ("argv", "code", "word"),
    [
        (GOOD, 0, "OK"),
        (LIMITED, 1, "WARNING"),
        (NEEDS_PACKAGE, 2, "CRITICAL"),
        (UNKNOWN, 3, "UNKNOWN"),
        ((*LIMITED, "--strict"), 2, "CRITICAL"),
    ],
    ids=lambda value: str(value),
)
def test_nagios_gets_its_own_exit_codes_and_one_line(argv: tuple[str, ...], code: int, word: str) -> None:
    done = run(*argv, "--format", "nagios")
    assert done.code == code
    assert done.out.startswith(f"GPUCTL CHECK {word} - ") and done.out.count("\n") == done.out.count("|") == 1


def test_doctors_formats_tell_the_same_of_a_real_host(sim_host: Callable[..., SimHost]) -> None:
    done, told = in_all_formats(sim_host("v100"))
    document = json.loads(told["json"])
    findings = {one["id"]: one["status"] for one in document["findings"]}
    root = parsed(told["junit"])
    assert (root.get("tests"), root.get("failures")) == (str(len(findings)), str(document["summary"]["fail"]))
    assert {test.get("name") for test in root.iter("testcase")} == set(findings)
    ones = {
        sample.labels["id"]: sample.labels["status"]
        for family in text_string_to_metric_families(told["prometheus"])
        for sample in family.samples
        if sample.name == "gpuctl_finding_status" and sample.value == 1
    }
    assert ones == findings
    data = dict(item.split("=") for item in done.out.rpartition("| ")[2].split())
    counts = {name: count for name, count in document["summary"].items() if name != "action"}
    assert {name: int(value.partition(";")[0]) for name, value in data.items()} == counts
    assert (done.code, document["summary"]["fail"] > 0) == (2, True)  # Nagios' code, because its format is printed


def in_all_formats(host: SimHost) -> tuple[Done, dict[str, str]]:
    """What doctor says of a host in one run: printed for Nagios, and in files in the other formats."""
    others = ("text", "json", "junit", "prometheus", "markdown")
    files = [part for format in others for part in ("-o", f"{format}=/home/sim/{format}")]
    done = host.gpuctl("doctor", "--format", "nagios", *files)
    return done, {format: host.path(f"/home/sim/{format}").read_text() for format in others}


# Words of others


def finding(status: Status, id: str = "driver.nvml", waived: Waiver | None = None) -> Finding:
    remedy = Remedy(HOSTILE, (command(HOSTILE), command("```")))
    return Finding(id, "driver", status, HOSTILE, (Evidence(HOSTILE, HOSTILE),), remedy, waived=waived)


REPORT = Report(
    (
        finding(Status.FAIL),
        finding(Status.WARN, "driver.gpu-count"),
        finding(Status.UNKNOWN, "driver.gpu-health"),
        finding(Status.FAIL, "driver.nvidia-smi", Waiver(HOSTILE, "2027-01-31")),
        finding(Status.SKIP, "driver.gpu-answers"),
        finding(Status.PASS, "driver.supports-gpus"),
    )
)


def steers(text: str) -> bool:
    return not all(letter.isprintable() or letter == "\n" for letter in text)


NUMBERS = {"tests": "6", "failures": "1", "errors": "1", "skipped": "2"}


def test_junit_holds_whatever_a_message_says() -> None:
    text = report_junit(REPORT, "doctor")
    assert not steers(text)
    root = parsed(text)
    said = {test.get("name"): [child.tag for child in test] for test in root.iter("testcase")}
    assert said == {
        "driver.nvml": ["failure"],
        "driver.gpu-count": ["system-out"],
        "driver.gpu-health": ["error"],
        "driver.nvidia-smi": ["skipped"],
        "driver.gpu-answers": ["skipped"],
        "driver.supports-gpus": [],
    }
    for element, names in (
        (root, ("tests", "failures", "errors")),
        (root[0], ("tests", "failures", "errors", "skipped")),
    ):
        assert {name: element.get(name) for name in names} == {name: NUMBERS[name] for name in names}
    failure = root.find(".//failure")
    assert failure is not None and "]]> <script>" in (failure.get("message") or "")


def test_prometheus_reads_back_what_a_reason_says() -> None:
    text = report_prometheus(REPORT)
    assert not steers(text)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    (expiry,) = families["gpuctl_waiver_expiry_timestamp_seconds"].samples
    assert '"q"' in expiry.labels["reason"] and "\\\\| c" in expiry.labels["reason"]
    assert expiry.value == 1801440000  # 2027-02-01T00:00:00Z
    ones = [sample.labels for sample in families["gpuctl_finding_status"].samples if sample.value]
    assert [one["status"] for one in ones] == ["fail", "warn", "unknown", "waived", "skip", "pass"]


def test_nagios_gets_one_line_and_one_bar() -> None:
    line = report_nagios(REPORT, "doctor", strict=False)
    assert (line.count("\n"), line.count("|"), steers(line)) == (1, 1, False)


def test_a_ticket_has_no_markup_but_gpuctls_own() -> None:
    text = report_markdown(REPORT, "doctor", HOSTILE)
    assert not steers(text)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    assert [len(row) for row in rows(tokens)] == [3] * 5
    inline = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inline} == {"text", "code_inline"}
    plain = " ".join(child.content for child in inline if child.type == "text")
    assert not set("<>[]@`*_\\|") & set(plain) and "evil" not in plain
    assert {token.type for token in tokens if token.nesting == 0} == {"inline", "fence"}
    assert {token.tag for token in tokens if token.type == "heading_open"} == {"h2", "h3"}


def rows(tokens: list) -> list[list[str]]:  # type: ignore[type-arg]
    """The cells of each row of the table."""
    found: list[list[str]] = []
    for token, after in pairwise(tokens):
        if token.type == "tr_open":
            found.append([])
        if token.type in ("th_open", "td_open"):
            found[-1].append(after.content)
    return found


def test_a_hosts_own_words_stay_words_in_every_format(sim_host: Callable[..., SimHost]) -> None:
    reason = r"""reason = "]]> | \u001b[31m\n`x` <b> \"q\" @all" """
    config = f'[[waivers]]\nid = "driver.branch-supported"\n{reason}\nexpires = 9999-12-31\n'
    files = {SYSTEM_CONFIG: config, "/etc/os-release": 'ID=x\nNAME="\x1b]0;owned\x07]]>|`<b>"\n'}
    done, told = in_all_formats(sim_host("v100", files=files))
    assert done.err == ""
    assert not any(map(steers, (done.out, *(told[format] for format in told if format != "json"))))
    assert "]]> | " in "".join(one.get("message", "") for one in parsed(told["junit"]).iter("skipped"))


# Files beside what is printed


def test_files_in_other_formats_come_with_the_text_of_one_run(tmp_path: Path) -> None:
    names = {"junit": "r.xml", "prometheus": "r.prom", "json": "r.json", "markdown": "r.md", "text": "r.txt"}
    files = [part for format, name in names.items() for part in ("-o", f"{format}={tmp_path / name}")]
    argv = ["sh", "-c", 'umask 077; exec "$@"', "sh", *HERE, *NEEDS_PACKAGE, *files]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (1, run(*NEEDS_PACKAGE).out, "")
    for format, name in names.items():
        assert (tmp_path / name).read_text() == run(*NEEDS_PACKAGE, "--format", format).out
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o644
    assert sorted(os.listdir(tmp_path)) == sorted(names.values())


def test_a_file_that_cannot_be_written_is_a_sentence_and_takes_nothing_else_along(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    bad = ["-o", f"junit={tmp_path}/none/r.xml", "-o", f"json={tmp_path}/folder"]
    for argv, code in ((GOOD, 3), (NEEDS_PACKAGE, 1)):
        done = run(*argv, *bad, "-o", f"nagios={tmp_path}/line")
        assert (done.code, done.out) == (code, run(*argv).out)
        assert len(done.err.splitlines()) == 2 and "cannot write" in done.err and "Traceback" not in done.err
        assert (tmp_path / "line").read_text().startswith("GPUCTL CHECK ")
    assert sorted(os.listdir(tmp_path)) == ["folder", "line"]


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", tmp_path], check=True)
    try:
        (tmp_path / "r.json").write_text("old")
        (tmp_path / "filler").write_bytes(b"x" * 4096)
        done = run(*GOOD, "-o", f"json={tmp_path}/r.json")
        assert (done.code, (tmp_path / "r.json").read_text()) == (3, "old")
        assert "No space left on device. Make room" in done.err
        assert sorted(os.listdir(tmp_path)) == ["filler", "r.json"]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize(
    "argv",
    [
        (*GOOD, "--json", "--format", "junit"),
        (*GOOD, "--format", "xml"),
        (*GOOD, "--format", ""),
        (*GOOD, "-o", "junit"),
        (*GOOD, "-o", "xml=r.xml"),
        (*GOOD, "-o", "junit="),
        (*GOOD, "-o", "junit=-"),
        (*GOOD, "-o", "junit=r", "-o", "json=r"),
        ("check", "--cuda", "12.4", "--hosts", "/dev/null", "--format", "junit"),
        ("check", "--cuda", "12.4", "--hosts", "/dev/null", "-o", "json=r"),
        ("doctor", "--watch", "--format", "nagios"),
        ("doctor", "--watch", "nan"),
        ("doctor", "5"),
        ("doctor", "--skip", "dokcer"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_wrong_usage_and_writes_nothing(argv: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*argv, cwd=tmp_path)
    assert (done.code, done.out, os.listdir(tmp_path)) == (2, "", [])
    assert "Error" in done.err and "Traceback" not in done.err


def test_json_and_format_json_are_one_wish() -> None:
    assert run(*GOOD, "--json", "--format", "json").out == run(*GOOD, "--json").out


def test_only_prometheus_pays_for_its_library() -> None:
    for format, paid in (("text", False), ("junit", False), ("prometheus", True)):
        argv = [sys.executable, "-X", "importtime", "-m", "gpuctl", *GOOD, "--format", format]
        err = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT).stderr
        loaded = {line.rpartition("|")[2].strip() for line in err.splitlines()}
        assert ("prometheus_client" in loaded) is paid
        assert not {"rich", "docker", "gpuctl.facts.own.configuration"} & loaded
