"""`gpuctl check --hosts`: many hosts from a file, one verdict a row, whatever the rows are."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import tracemalloc
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from simhost import warm

from gpuctl.compat.answer.answer import brief
from gpuctl.compat.answer.fleet_rows import LONGEST_CELL, LONGEST_LINE, NoHosts, _reader, host_verdicts
from gpuctl.compat.ask.image_claims import Expression
from gpuctl.compat.ask.question import Machine, Question, typed_cuda
from gpuctl.compat.judge.alike import bounds, stand_in
from gpuctl.compat.judge.gate.gate import Gate
from gpuctl.compat.judge.judge import judge
from gpuctl.compat.judge.rulings import resolve_cuda
from gpuctl.compat.knowledge.gpus.gpus import Gpu, gpu_described
from gpuctl.compat.tables.loader import toolkits
from gpuctl.model import Verdict
from gpuctl.render.views.hosts import host_json

ROOT = Path(__file__).parents[1]
SCHEMA = Draft202012Validator(json.loads((ROOT / "data" / "schemas" / "check-host.schema.json").read_text()))


def check(*argv: str, text: str | bytes = "") -> subprocess.CompletedProcess[bytes]:
    return warm.run("check", *argv, stdin=text)


def rows(*argv: str, text: str | bytes) -> list[dict[str, object]]:
    done = check("--hosts", "-", "--json", *argv, text=text)
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    for document in documents:
        SCHEMA.validate(document)
    return documents


CSV = """host,driver,driver_cuda,gpu,compute_capability,brand,cuda,image,require,rack
a,418.87.00,,V100,,,10.1,,,r1
b,384.130,,GTX 1080,,,10.1,,,r1
c,384.130,,Tesla V100-SXM2-32GB,,,10.1,,,
d,535.104.05,,A100,,,,nvidia/cuda:12.4.1-base-ubuntu22.04,,
e,535.104.05,12.2,,8.6,geforce,,,"cuda>=12.4 brand=geforce,driver>=535",
f,535.104.05,,T4,,,12.2,,brand=tesla,
g,620.70.06,,H100,,,99.9,,,
"""


def test_csv_and_json_lines_give_the_same_verdicts() -> None:
    header, *lines = CSV.splitlines()
    names = header.split(",")
    as_json = ""
    for line in lines:
        cells = line.replace('"cuda>=12.4 brand=geforce,driver>=535"', "EXPRESSION").split(",")
        row = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
        if row.get("require") == "EXPRESSION":
            row["require"] = ["cuda>=12.4 brand=geforce,driver>=535"]  # type: ignore[assignment]
        as_json += json.dumps(row) + "\n"
    by_csv, by_json = rows(text=CSV), rows(text=as_json)
    assert [row["verdict"] for row in by_csv] == [
        "compatible",
        "incompatible",
        "compatible",
        "limited",
        "compatible",
        "incompatible",
        "unknown",
    ]
    assert [{**row, "line": 0} for row in by_csv] == [{**row, "line": 0} for row in by_json]
    assert (by_csv[0]["line"], by_csv[0]["host"], by_json[0]["line"]) == (2, "a", 1)
    assert by_csv[5]["requirement"] == {"verdict": "unsatisfied", "failed": ["brand=tesla"]}


def test_a_bad_row_is_told_with_its_line_and_stops_nothing() -> None:
    text = 'driver,gpu,cuda\n535.104.05,A100,12.2\n535.104.05,"A100,12.2\n\n5,A100,12.2\n535.104.05,Voodoo,12.2\n'
    text += "535.104.05,A100,banana\n535.104.05,A100,\n1,2,3,4\n535.104.05,A100,12.2\n"
    found = rows(text=text)
    assert [(row["line"], row["verdict"]) for row in found if row["verdict"]] == [(2, "compatible"), (10, "compatible")]
    errors = {row["line"]: str(row["error"]) for row in found if row["error"]}
    assert list(errors) == [3, 5, 6, 7, 8, 9]
    assert "CSV" in errors[3]
    assert "driver version" in errors[5]
    assert "Voodoo" in errors[6]
    assert "banana" in errors[7]
    assert check("--hosts", "-", text=text).returncode == 3


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ('{"driver": 535.104, "gpu": ["A100"], "cuda": "12.2"}', "gpu"),
        ("[1]", "no JSON object"),
        ('{"driver": "535.104.05"', "no JSON"),
        ("[" * 100_000, "nested"),
        ('{"driver": "535.104.05", "gpu": "A100", "require": [null]}', "require"),
        ('{"driver": "535.104.05", "gpu": "A100", "cuda": true}', "cuda"),
        ('{"driver": "535.104.05", "gpu": "A100", "image": "ubuntu:24.04"}', "ubuntu:24.04"),
        ('{"driver": "535.104.05", "brand": "ati", "cuda": "12.2", "gpu": "A100"}', "ati"),
    ],
    ids=lambda text: text[:30],
)
def test_a_bad_json_row_says_what_is_wrong_with_it(row: str, error: str) -> None:
    good = '{"driver": "535.104.05", "gpu": "A100", "cuda": 12.2}\n'
    bad, after = rows(text=f"{good}{row}\n{good}")[1:]
    assert (bad["verdict"], error in str(bad["error"])) == (None, True)
    assert after["verdict"] == "compatible"


def test_a_number_counts_as_it_is_spelt() -> None:
    (row,) = rows(text='{"driver": 384.130, "gpu": "V100", "cuda": 10.1}\n')
    assert (row["driver"], row["verdict"]) == ("384.130", "compatible")


def test_what_is_asked_on_the_command_line_is_asked_of_every_host() -> None:
    found = rows("--cuda", "12.2", "--require", "arch>=8.0", text="driver,gpu\n535.104.05,A100\n535.104.05,V100\n")
    assert [row["verdict"] for row in found] == ["compatible", "incompatible"]


SMI = """name, driver_version, compute_cap, memory.total [MiB]
NVIDIA A100-SXM4-40GB, 535.104.05, 8.0, 40960 MiB
GRID T4-16Q, 550.54.15, [N/A], 16384 MiB
NVIDIA GeForce RTX 408..., 550.54.15, [Not Supported], 16384 MiB
"""


def test_what_nvidia_smi_writes_as_csv_is_taken() -> None:
    found = rows("--cuda", "12.4", text=SMI)
    assert [(row["gpu"], row["driver"], row["verdict"]) for row in found] == [
        ("NVIDIA A100-SXM4-40GB", "535.104.05", "limited"),
        ("GRID T4-16Q", "550.54.15", "compatible"),
        ("NVIDIA GeForce RTX 408...", "550.54.15", "compatible"),
    ]
    named = SMI.replace("name, ", "gpu_name, ").replace("memory.total [MiB]", "hostname")
    assert [row["host"] for row in rows("--cuda", "12.4", text=named)] == ["40960 MiB", "16384 MiB", "16384 MiB"]


@pytest.mark.parametrize(
    "text",
    [
        "host,gpu,driver_version,rack\na,A100,550.54.15,r1\n",
        '{"gpu": "A100", "driver_version": "550.54.15", "rack": 1}\n',
    ],
)
def test_a_field_that_is_not_read_is_named_once(text: str) -> None:
    done = check("--hosts", "-", "--cuda", "12.4", text=text + text.splitlines()[-1] + "\n")
    assert done.returncode == 0
    assert done.stderr.decode().count("'rack' is not read") == 1
    assert "driver_version" not in done.stderr.decode()


def test_a_host_keeps_its_name_beside_a_gpu_of_its_own_field() -> None:
    (row,) = rows("--cuda", "12.4", text="name,gpu,driver_version\nnode7,A100,550.54.15\n")
    assert (row["host"], row["gpu"], row["verdict"]) == ("node7", "A100", "compatible")


@pytest.mark.parametrize(
    ("rows_given", "code"),
    [("10.1", 0), ("99.9", 3), ("12.2\n418.87,V100,99.9", 1)],
)
def test_the_worst_host_decides_the_exit_code(rows_given: str, code: int) -> None:
    assert check("--hosts", "-", text=f"driver,gpu,cuda\n418.87,V100,{rows_given}\n").returncode == code


def test_a_table_ends_with_a_summary() -> None:
    out = check("--hosts", "-", text=CSV).stdout.decode()
    assert out.splitlines()[-1] == "7 hosts: 3 compatible, 1 limited, 2 incompatible, 1 unknown."
    assert len(out.splitlines()) == 8


@pytest.mark.parametrize(
    "argv",
    [
        ("--hosts", "/bin/sh"),
        ("--hosts", "/nonexistent"),
        ("--hosts", "/"),
        ("--hosts", "/dev/null"),
        ("--hosts", "README.md"),
        ("--hosts", "-", "--driver", "535.104.05"),
    ],
    ids=" ".join,
)
def test_what_are_no_hosts_is_one_sentence_and_exit_code_2(argv: tuple[str, ...]) -> None:
    done = check(*argv)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr
    assert done.stderr.decode().count("Error: ") == 1


def test_words_of_a_row_steer_no_terminal() -> None:
    done = check(
        "--hosts", "-", text='{"host": "\\u001b[31mx", "driver": "535.104.05", "gpu": "A100", "cuda": "12.2"}\n'
    )
    assert b"\x1b" not in done.stdout


def test_memory_does_not_grow_with_the_number_of_rows() -> None:
    def lines(count: int) -> Iterator[bytes]:
        yield b"host,driver,gpu,cuda\n"
        for number in range(count):
            yield f"h{number},535.{number % 50}.05,A100,12.2\n".encode()

    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in host_verdicts(lines(count), Question()):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(100)
    assert peak(20_000) < peak(2_000) * 2


def test_a_line_without_an_end_is_a_bad_row_and_not_read_into_memory(tmp_path: Path) -> None:
    endless = tmp_path / "hosts.csv"
    good = b"535.104.05,A100,12.2\n"
    endless.write_bytes(b"driver,gpu,cuda\n" + good + b"x" * (LONGEST_LINE * 3) + b"\n" + good)
    found = [json.loads(line) for line in check("--hosts", str(endless), "--json").stdout.splitlines()]
    assert [(row["line"], row["verdict"]) for row in found] == [(2, "compatible"), (3, None), (4, "compatible")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("host,driver,gpu\n", "no rows"),
        ("host;driver;gpu\n\n  \n", "no rows"),
        ('[{"driver": "550.54.15", "gpu": "A100"}]', "jq -c '.[]'"),
        ('[\n  {"driver": "550.54.15"}\n]\n', "jq -c '.[]'"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--strict",), ("--json",)], ids=" ".join)
def test_a_file_without_a_host_passes_no_gate(text: str, says: str, options: tuple[str, ...]) -> None:
    done = check("--cuda", "12.4", "--hosts", "-", *options, text=text)
    assert (done.returncode, done.stdout) == (2, b"")
    assert says in " ".join(done.stderr.decode().split())


@pytest.mark.parametrize(
    ("separator", "quote"),
    [(";", ""), (";", '"'), ("; ", '"'), ("\t", ""), ("\t", '"'), ("|", ""), ("|", '"'), (" | ", ""), (",", '"')],
)
def test_cells_are_taken_apart_by_what_evidently_separates_them(separator: str, quote: str) -> None:
    lines = (("host", "driver", "gpu", "rack"), ("a,1", "550.54.15", "A100", "x"), ("b", "418.87", "RTX 4090", ""))
    text = "\n".join(separator.join(f"{quote}{cell}{quote}" for cell in line) for line in lines)
    assert [row["verdict"] for row in rows("--cuda", "12.4", text=text)] == ["compatible", "incompatible"]


@pytest.mark.parametrize(
    ("mark", "encoding"), [(BOM_UTF16_LE, "utf-16-le"), (BOM_UTF16_BE, "utf-16-be"), (BOM_UTF8, "utf-8")]
)
def test_what_powershell_writes_is_read(mark: bytes, encoding: str) -> None:
    text = "host,driver,gpu\r\nh\u0a0a\u00fc,550.54.15,A100\r\n"
    (row,) = rows("--cuda", "12.4", text=mark + text.encode(encoding))
    assert (row["line"], row["host"], row["verdict"]) == (2, "h\u0a0a\u00fc", "compatible")
    pasted = "| NVIDIA-SMI 550.54.15  Driver Version: 550.54.15  CUDA Version: 12.4 |\nGPU 0: NVIDIA A100\n"
    assert check("--cuda", "12.4", "--smi", "-", text=mark + pasted.encode(encoding)).returncode == 0


def test_a_first_line_that_is_no_csv_is_refused_in_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "hosts.csv"
    broken.write_text('driver,"gpu" x\n535.104.05,A100\n')
    done = check("--hosts", str(broken), "--cuda", "12.4")
    assert (done.returncode, done.stdout) == (2, b"") and b"its first line names no fields: it is no CSV" in done.stderr


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40) | st.text(max_size=40).map(str.encode), max_size=8))
def test_any_lines_give_verdicts_errors_or_one_refusal(lines: list[bytes]) -> None:
    try:
        good = b"550.54.15,A100,12.4,\n"
        found = list(host_verdicts([b"driver,gpu,cuda,require\n", *lines, good], Question()))
        found += list(host_verdicts([b'{"gpu": "A100"}\n', *lines], Question()))
    except NoHosts:
        pytest.fail("the first line is good")
    assert all((one.kind.said.verdict is None) == (one.kind.said.error is not None) for one in found)
    assert all(one.kind.said.verdict in (None, *Verdict) for one in found)


DRIVER = re.compile(r'\b[3-6][0-9]{2}(?:\.[0-9]{1,3}){1,3}\b|(?<=")[3-6][0-9]{2}(?=")')


def beside(version: str) -> Iterator[str]:
    """Yields drivers at a version, just below and just above it."""
    numbers = [int(number) for number in version.split(".")]
    for told in (numbers, [*numbers, 0], [*numbers, 1], [*numbers[:-1], numbers[-1] - 1, 999]):
        if 1 < len(told) < 5 and min(told) >= 0:
            yield ".".join(f"{number:02}" for number in told)
    yield ".".join(map(str, [*numbers[:-1], numbers[-1] + 1, 0][:4]))


TOLD = {version for path in (ROOT / "data").glob("*.jsonl") for version in DRIVER.findall(path.read_text())}
"""Every number in a table that a rule might compare a driver with."""
DRIVERS = sorted({driver for version in TOLD for driver in beside(version)})


def told_by_rules(cuda: str, driver: str, gpu: Gpu) -> list[tuple[Verdict, str, str]]:
    return [(one.verdict, one.reason.id, one.reason.message) for one in judge(resolve_cuda(cuda), driver, gpu)]


@pytest.mark.slow
@pytest.mark.parametrize("gpu", ["NVIDIA A100-SXM4-80GB", "Tesla P100-PCIE-16GB", "GeForce GTX 1080", "3.0"])
def test_no_rule_tells_a_driver_from_the_one_that_stands_for_it(gpu: str) -> None:
    known = bounds("", ())
    assert known
    assert stand_in("535.200.01", known) == stand_in("535.200.02", known)
    described, releases = gpu_described(gpu, ""), [toolkit.release for toolkit in toolkits()]
    for place, driver in enumerate(DRIVERS):
        stands = stand_in(driver, known) or driver
        for cuda in releases if driver in TOLD else releases[place % 5 :: 5]:
            told = [
                (verdict, id, message.replace(stands, driver))
                for verdict, id, message in told_by_rules(cuda, stands, described)
            ]
            assert told == told_by_rules(cuda, driver, described), (cuda, driver, stands)


REQUIRED = (
    "",
    "driver>=535.54",
    "cuda>=12.4 brand=tesla,driver>=470.57.02,driver<471",
    "driver=418.87.00",
    "driver!=550.54.1000",
    "driver>=550..3",
    "arch>=8.0,driver<00570.86",
)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(DRIVERS),
    st.sampled_from(["V100", "NVIDIA A100-SXM4-80GB", "GeForce GTX 1080", "5.2", "Tesla T4", "12.0", "Quadro K620"]),
    st.sampled_from(["7.5", "8.0", "9.1", "10.1", "11.8", "12.4.1", "12.8", "13.0"]),
    st.sampled_from(REQUIRED),
    st.sampled_from(["libnvidia-container", "go"]),
)
def test_a_host_of_a_fleet_is_told_what_it_is_told_alone(
    driver: str, gpu: str, cuda: str, require: str, by: str
) -> None:
    row = f'driver,gpu,cuda,require\n{driver},{gpu},{cuda},"{require}"\n'
    (one,) = host_verdicts(row.encode().splitlines(), Question(gate=Gate(evaluator=by)))
    said = json.loads(host_json(one))
    gate = Gate(typed=(Expression("require", require),) if require else (), evaluator=by)
    verdict, reason, requirement = brief(
        Question((typed_cuda(cuda),), gate), Machine(driver, (gpu_described(gpu, ""),))
    )
    assert reason
    assert (said["driver"], said["verdict"], said["reason"], said["message"]) == (
        driver,
        verdict.value,
        reason.id,
        reason.message,
    )
    assert said["requirement"] == (
        {"verdict": requirement.verdict, "failed": list(requirement.failed)} if requirement else None
    )


@given(st.one_of(st.text("a1,\"\r \t';", min_size=1), st.just("a," + "b" * LONGEST_CELL)))
def test_a_row_has_the_cells_that_the_reader_of_csv_finds(text: str) -> None:
    def told(read: Callable[[], list[str]]) -> list[str] | None:
        try:
            return read()
        except (ValueError, csv.Error):
            return None

    assert told(lambda: _reader(",")(text)) == told(
        lambda: next(csv.reader([text], strict=True, skipinitialspace=True))
    )


def test_a_row_goes_on_to_the_line_that_closes_its_quotes_and_one_that_nothing_closes_spoils_no_other() -> None:
    lines = [
        "host,driver,gpu,cuda",
        '"gpu1',
        'second line",535.104.05,A100,12.2',
        '"gpu2,535.104.05,A100,12.2',
        "gpu3,535.104.05,A100,12.2",
        'gpu4,535.104.05,"A100,12.2',
        '17" rack,535.104.05,A100,12.2',
        *("gpu,535.104.05,A100,12.2" for _ in range(100)),
        'gpu5,535.104.05,"A100',
        '",12.2',
    ]
    told = list(host_verdicts([f"{line}\n".encode() for line in lines], Question()))
    assert [(one.line, one.host, one.kind.said.verdict) for one in told if one.host != "gpu"] == [
        (2, "gpu1\nsecond line", Verdict.COMPATIBLE),
        (4, None, None),
        (5, "gpu3", Verdict.COMPATIBLE),
        (6, None, None),
        (7, '17" rack', Verdict.COMPATIBLE),
        (108, "gpu5", Verdict.COMPATIBLE),
    ]
    assert len(told) == 106
