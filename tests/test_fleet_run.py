"""A run's folder: what came of a host stays, whatever ends the run, and a stranger's folder leads nowhere."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.fleet.run_folder import BadRun, HostOutcome, Run, State, add_host, create_run, read_run, snapshot_place
from gpuctl.host.write.files import FileProblem

RUN = Run("0.9.0", 1764000000.5, ("doctor",), ("gpu01", "gpu02", "gpu03"))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    path = str(tmp_path / "RUN")
    create_run(path, RUN)
    return path


def test_what_was_written_down_is_read_back_and_the_others_are_still_to_be_asked(folder: str) -> None:
    add_host(folder, HostOutcome("gpu02", State.UNREACHABLE, 5.0, "ssh: no route to host\x1b[2J"))
    add_host(folder, HostOutcome("gpu01", State.REPORTED, 6.0), b"its snapshot")
    found = read_run(folder)
    assert found.run == RUN
    assert list(found.outcomes) == ["gpu02", "gpu01"]
    assert found.outcomes["gpu02"].detail == "ssh: no route to host\N{REPLACEMENT CHARACTER}[2J"
    assert found.snapshot(found.outcomes["gpu01"]) == b"its snapshot"
    assert found.unasked == ("gpu03",)
    assert found.unreported == ("gpu02", "gpu03")


@pytest.mark.bench  # mounts
def test_of_a_run_that_a_full_disk_does_not_take_nothing_is_left(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", tmp_path], check=True)
    try:
        (tmp_path / "full").write_bytes(b"." * 4096)
        with pytest.raises(FileProblem, match="No space left on device"):
            create_run(str(tmp_path / "RUN"), RUN)
        assert os.listdir(tmp_path) == ["full"]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_run_that_ended_before_its_first_host_has_all_of_them_before_it(folder: str) -> None:
    assert read_run(folder).unasked == RUN.hosts


def test_the_last_line_of_a_host_counts(folder: str) -> None:
    add_host(folder, HostOutcome("gpu01", State.LOST, 5.0))
    add_host(folder, HostOutcome("gpu01", State.REPORTED, 9.0), b"x")
    assert read_run(folder).outcomes["gpu01"].state is State.REPORTED


@given(cut=st.integers(1, 120))
def test_a_line_that_was_cut_is_none_and_the_next_one_begins_behind_it(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = str(tmp_path_factory.mktemp("cut") / "RUN")
    create_run(folder, RUN)
    for host in ("gpu01", "gpu02"):
        add_host(folder, HostOutcome(host, State.UNREACHABLE, 5.0, "no route"))
    path = Path(folder, "hosts.jsonl")
    whole = path.read_bytes()
    last = whole.index(b"\n") + 1
    path.write_bytes(whole[: max(last, len(whole) - 1 - cut)])
    assert list(read_run(folder).outcomes) == ["gpu01"]
    add_host(folder, HostOutcome("gpu03", State.BROKEN, 7.0))
    assert list(read_run(folder).outcomes) == ["gpu01", "gpu03"]


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_each_name_has_a_file_of_its_own_in_the_folder(one: str, other: str) -> None:
    place = snapshot_place(one)
    assert os.path.dirname(os.path.normpath(place)) == "snapshots"
    assert not os.path.basename(place).startswith(".")
    assert len(os.path.basename(place).encode()) < 230
    assert place.isascii()
    assert one == other or place != snapshot_place(other)


def test_nobody_else_may_look_into_it(folder: str) -> None:
    add_host(folder, HostOutcome("gpu01", State.REPORTED, 5.0), b"x")
    assert os.stat(folder).st_mode & 0o777 == 0o700
    for name in ("run.json", "hosts.jsonl", "snapshots/gpu01.jsonl.gz"):
        assert os.stat(os.path.join(folder, name)).st_mode & 0o777 == 0o600


def test_a_run_is_never_written_over_what_is_there(folder: str) -> None:
    with pytest.raises(FileProblem, match="not empty"):
        create_run(folder, RUN)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"snapshot": "../../etc/shadow"}, "its snapshot is not snapshots/gpu01"),
        ({"snapshot": "snapshots/gpu02.jsonl.gz"}, "its snapshot is not snapshots/gpu01"),
        ({"state": "fine"}, "none of the states"),
        ({"state": "lost"}, "another one has none"),
        ({"at": "now"}, "no time"),
        ({"host": "a\u001b[2J", "snapshot": None}, "no name of a host"),
        ({"host": 7}, "its host is no text"),
    ],
)
def test_a_line_that_gpuctl_would_not_write_is_refused_with_its_number(
    folder: str, line: dict[str, object], why: str
) -> None:
    whole = {"host": "gpu01", "state": "reported", "at": 5.0, "detail": "", "snapshot": "snapshots/gpu01.jsonl.gz"}
    Path(folder, "hosts.jsonl").write_text(json.dumps(whole) + "\n" + json.dumps(whole | line) + "\n")
    with pytest.raises(BadRun, match=f"hosts.jsonl, line 2: .*{why}"):
        read_run(folder)


@pytest.mark.parametrize("head", ["", "{", "[]", '{"schema": "gpuctl.fleet-run/2"}', '{"schema": 1, "hosts": 3}'])
def test_a_folder_that_is_no_run_is_said_to_be_none(folder: str, head: str) -> None:
    Path(folder, "run.json").write_text(head)
    with pytest.raises(BadRun, match=r"run.json: "):
        read_run(folder)
