"""`gpuctl matrix`: the grid of CUDA, driver and architecture as text, JSON, CSV and picture."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from newer import NEWEST_CUDA, NEXT_CUDA
from simhost import SimHost, warm

from gpuctl.compat.answer.answer import check_cuda
from gpuctl.compat.answer.matrix import Cell, asked_versions, grid, narrow_columns, whole_matrix
from gpuctl.compat.ask.question import Machine
from gpuctl.compat.knowledge.gpus.gpus import Gpu, find_gpu, gpu_of_every_kind
from gpuctl.compat.knowledge.jetpack import without_driver
from gpuctl.compat.tables.loader import architectures, cuda_versions
from gpuctl.compat.versions import compare
from gpuctl.model import Verdict
from gpuctl.render.draw.matrix_svg import matrix_svg

ROOT = Path(__file__).parents[1]
NOBODY = 65534
SVG = "{http://www.w3.org/2000/svg}"
GRID = grid(asked_versions(None))


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return warm.gpuctl("matrix", *argv)


def cell(cuda: str, capability: str) -> Cell:
    return next(one for one in GRID if one.cuda == cuda and capability in one.compute_capabilities)


# The grid


def test_there_is_a_cell_for_every_cuda_and_every_compute_capability_with_a_driver_of_its_own() -> None:
    discrete = {row.compute_capability for row in architectures().values() if not row.integrated}
    for cuda in cuda_versions():
        of_cuda = [one for cell in GRID if cell.cuda == cuda for one in cell.compute_capabilities]
        assert sorted(of_cuda) == sorted(discrete), cuda


@pytest.mark.parametrize(
    ("cuda", "capability", "lowest", "limits"),
    [
        ("8.0", "6.0", "375.51", None),
        ("8.0", "6.1", "367.48", None),
        ("9.0", "2.0", None, None),
        ("11.4", "3.7", "470.42.01", "450.80.02"),
        ("11.5", "3.7", None, "450.80.02"),
        ("11.5", "3.0", None, None),
        ("12.4", "7.0", "550.54.14", "525.60.13"),
        ("12.0", "7.0", "525.60.13", None),
        ("12.4", "12.0", None, "570"),
        ("13.0", "7.0", None, None),
        ("13.5", "10.7", "620", "615"),
    ],
)
def test_a_cell_says_from_which_driver_on_and_from_which_with_limits(
    cuda: str, capability: str, lowest: str | None, limits: str | None
) -> None:
    found = cell(cuda, capability)
    assert (found.lowest_driver, found.with_limits_from) == (lowest, limits)


thorough = settings(max_examples=200, deadline=None)
kinds = st.sampled_from(gpu_of_every_kind())


@thorough
@given(st.sampled_from(cuda_versions()), kinds, st.integers(300, 640), st.integers(0, 120))
def test_check_gives_no_driver_below_a_cell_what_the_cell_promises_from_there_on(
    cuda: str, gpu: Gpu, branch: int, minor: int
) -> None:
    found = cell(cuda, gpu.compute_capability)
    driver = f"{branch}.{minor}"
    verdict = check_cuda(cuda, driver, [gpu]).verdict
    driven = found.below is None or compare(driver, found.below) < 0
    if verdict == Verdict.COMPATIBLE and not closed_range(cuda, gpu):
        assert found.lowest_driver is not None
        assert compare(driver, found.lowest_driver) >= 0
    if found.lowest_driver and compare(driver, found.lowest_driver) >= 0 and driven:
        assert verdict == Verdict.COMPATIBLE
    if found.with_limits_from and compare(driver, found.with_limits_from) >= 0 and driven:
        assert verdict in (Verdict.COMPATIBLE, Verdict.LIMITED)


def closed_range(cuda: str, gpu: Gpu) -> bool:
    """P100 with CUDA 8.0 also runs on exactly 361.93, below the driver from which on every newer one does."""
    return cuda == "8.0" and gpu.compute_capability == "6.0"


def test_a_named_gpu_has_a_cell_of_its_own_and_an_update_its_own_driver() -> None:
    (found,) = grid(asked_versions("12.4.1"), [find_gpu("V100")], "535.161.08")
    assert (found.gpu, found.lowest_driver, found.verdict) == ("Tesla V100", "550.54.15", Verdict.LIMITED)


@pytest.mark.parametrize(
    ("asked", "versions"),
    [("12.4", ["12.4"]), ("12.4.1", ["12.4.1"]), ("7", ["7.0", "7.5"]), ("12.7", ["12.7"]), ("99", ["99"])],
)
def test_a_major_means_all_its_versions(asked: str, versions: list[str]) -> None:
    assert [cuda.text for cuda in asked_versions(asked)] == versions


def test_nothing_differs_within_a_column_of_the_picture_and_the_newest_stand_last() -> None:
    columns = narrow_columns(GRID)
    heads = dict.fromkeys(column.head for column in columns)
    assert list(heads) == list(dict.fromkeys(row.architecture for row in architectures().values()))
    assert ("Kepler", ("3.0",)) in [(column.head, column.compute_capabilities) for column in columns]
    assert ("Kepler", ("3.5", "3.7")) in [(column.head, column.compute_capabilities) for column in columns]
    assert all(tuple(column.cells) == cuda_versions() for column in columns)


# Text


def test_the_table_fits_80_columns_and_all_of_the_text_100() -> None:
    for options in ((), ("--driver", "535.161.08"), ("--cuda", "12.4.1")):
        lines = [line.rstrip() for line in run(*options).stdout.splitlines()]
        assert max(map(len, lines)) <= 100, options
        assert max(len(line) for line in lines if ">=" in line or "Volta" in line or "Rubin" in line) <= 80, options


def test_a_hosts_verdict_stands_beside_each_version_in_80_columns(sim_host: Callable[..., SimHost]) -> None:
    lines = sim_host("v100").gpuctl("matrix").out.splitlines()
    table = [line.rstrip() for line in lines if line[:1].isdigit() and ">=" in line]
    assert len(table) == len(cuda_versions()) and max(map(len, table)) <= 80 and max(map(len, lines)) <= 100
    marks = {line.split()[0]: line.split()[1] for line in table}
    assert (marks["10.1"], marks["10.2"], marks["9.0"]) == ("+", "p", "+")


def test_rows_for_certain_gpus_stand_below_their_cuda() -> None:
    lines = run("--cuda", "10.1").stdout.splitlines()
    general = next(number for number, line in enumerate(lines) if line.startswith("10.1"))
    assert ">= 418.39" in lines[general]
    assert lines[general + 1].strip() == ">= 384.111, < 385.00 on Tesla GPUs"
    assert lines[general + 2].strip() == ">=410.72, < 411.00 on Tesla GPUs"


def test_a_driver_alone_is_marked_for_every_architecture() -> None:
    out = run("--driver", "535.161.08", "--cuda", "12").stdout
    row = next(line for line in out.splitlines() if line.startswith("12.4")).split()
    assert row[3:] == ["-", "-", *["~"] * 7, "-", "-", "-"]
    row = next(line for line in out.splitlines() if line.startswith("12.2")).split()
    assert row[3:] == ["-", "-", *["yes"] * 7, "-", "-", "-"]


def test_an_unknown_cuda_is_said_and_exits_with_3(tmp_path: Path) -> None:
    for options in ((), ("--json",), ("--csv",), ("--svg", str(tmp_path / "x.svg"))):
        done = run("--cuda", NEXT_CUDA, *options)
        assert done.returncode == 3, options
        assert f"the newest CUDA version known here is {NEWEST_CUDA}" in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


# CSV


def test_csv_has_a_header_and_a_row_for_every_cell() -> None:
    command = [sys.executable, "-m", "gpuctl", "matrix", "--csv", "--cuda", "11.5"]
    out = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=300).stdout.decode()
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert out.count("\r\n") == len(rows) + 1
    assert len(rows) == len([one for one in GRID if one.cuda == "11.5"])
    kepler = [row for row in rows if row["architecture"] == "Kepler"]
    assert [(row["compute_capabilities"], row["lowest_driver"], row["with_limits_from"]) for row in kepler] == [
        ("3.0", "", ""),
        ("3.5 3.7", "", "450.80.02"),
    ]
    assert all(row["source"] and row["reason"] for row in rows)


# The picture


def picture(*options: str, folder: Path) -> ElementTree.Element:
    file = folder / "matrix.svg"
    done = run(*options, "--svg", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    return parsed(file.read_bytes())


def parsed(raw: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(raw)  # noqa: S314 - our own


def words(svg: ElementTree.Element) -> list[str]:
    return [" ".join(text.itertext()) for text in svg.iter(f"{SVG}text")]


def test_the_picture_says_every_number_of_the_grid_and_its_sources(tmp_path: Path) -> None:
    svg = picture(folder=tmp_path)
    said = " ".join(words(svg))
    assert svg.find(f"{SVG}title") is not None
    assert svg.find(f"{SVG}desc") is not None
    for one in GRID:
        assert one.lowest_driver is None or one.lowest_driver in said, one
        assert one.with_limits_from is None or one.with_limits_from in said, one
        assert one.source in said
        assert one.architecture.split()[-1] in said


def test_nothing_in_the_picture_lies_outside_it(tmp_path: Path) -> None:
    svg = picture("--driver", "535.161.08", "--gpu", "A100", folder=tmp_path)
    width, height = float(svg.get("width", "0")), float(svg.get("height", "0"))
    for element in svg.iter():
        if element.tag in (f"{SVG}text", f"{SVG}rect"):
            assert 0 <= float(element.get("x", "0")) + float(element.get("width", "0")) <= width
            assert 0 <= float(element.get("y", "0")) + float(element.get("height", "0")) <= height


def test_what_a_host_calls_its_gpu_is_text_in_the_picture_and_nothing_else() -> None:
    strange = replace(find_gpu("A100"), name='<script>&"\x1b]0;x\x07</script>')
    svg = parsed(matrix_svg(whole_matrix("12", Machine("535.161.08", (strange,)))))
    assert not list(svg.iter(f"{SVG}script"))
    assert any("<script>" in text for text in words(svg))


def test_the_picture_replaces_a_file_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "matrix.svg"
    file.write_text("old")
    file.chmod(0o640)
    picture(folder=tmp_path)
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["matrix.svg"]


@pytest.mark.parametrize("argv", [(), ("--driver", "550.54.15"), ("--gpu", "A100"), ("--cuda", "12")], ids=" ".join)
def test_no_line_ends_in_blanks_and_a_version_has_80_columns(argv: tuple[str, ...]) -> None:
    lines = run(*argv).stdout.splitlines()
    assert max(len(line) for line in lines if re.match("[0-9]", line)) <= 80
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize("place", [".", "missing/x.svg", "fifo", ""])
def test_what_is_no_place_for_a_file_is_wrong_usage(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = run("--svg", str(tmp_path / place) if place else "")
    assert done.returncode == 2
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]


def test_a_directory_that_may_not_be_written_is_named_and_asks_for_no_root(
    tmp_path: Path, sim_host: Callable[..., SimHost]
) -> None:
    done = sim_host(None).gpuctl("matrix", "--svg", "/etc/matrix.svg", uid=NOBODY)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("cannot write /etc/matrix.svg: Permission denied. The folder /etc is closed to this")
    assert "as root" not in done.err


@pytest.mark.parametrize("two", [("--json", "--csv"), ("--csv", "--svg", "x.svg"), ("--json", "--svg", "x.svg")])
def test_the_forms_exclude_each_other(two: tuple[str, ...]) -> None:
    done = run(*two)
    assert (done.returncode, done.stdout) == (2, "")
    assert "exclude each other" in done.stderr


def test_where_no_driver_is_known_what_was_given_is_not_asked_for_again() -> None:
    assert without_driver(["6.1"]).endswith("describe one with --driver.")
    assert without_driver([]).endswith("describe one with --driver and --gpu.")
