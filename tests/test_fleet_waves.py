"""Waves, and the folder of a run that changes hosts: each host in one wave, each outcome read back."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gpuctl.fleet.ansible import Access, EngineProblem, Target
from gpuctl.fleet.apply import carry_out, not_ready
from gpuctl.fleet.asking import Asking, Entry, Way
from gpuctl.fleet.begin import among
from gpuctl.fleet.changes import APPLIED, BEGUN, Change, ChangeRun, add, change_of, create, read
from gpuctl.fleet.drain.wish import DrainWish
from gpuctl.fleet.limits import Limits
from gpuctl.fleet.parcel import Supplies
from gpuctl.fleet.payload import Call, Payload
from gpuctl.fleet.plan import FleetPlan, Group
from gpuctl.fleet.run_folder import BadRun, HostOutcome, State
from gpuctl.fleet.states import Told
from gpuctl.fleet.waves import DEFAULT, Domains, Size, sizes, waves
from gpuctl.host.write.files import FileProblem
from gpuctl.model import Disturbs, Step

ROOT = Path(__file__).parents[1]
HOSTS = st.lists(st.from_regex(r"[a-z]{1,4}", fullmatch=True), unique=True, max_size=60)
SIZES = st.lists(
    st.builds(Size, st.integers(1, 30), st.just(False)) | st.builds(Size, st.floats(0.1, 100), st.just(True)),
    min_size=1,
    max_size=4,
)


@given(HOSTS, SIZES, st.data())
def test_each_host_is_in_one_wave_and_no_wave_is_empty(
    hosts: list[str], wanted: list[Size], data: st.DataObject
) -> None:
    of = {host: data.draw(st.sampled_from("xyz")) for host in hosts if data.draw(st.booleans())}
    domains = data.draw(st.sampled_from([None, Domains(of), Domains(of, 2)]))
    found = waves(hosts, wanted, domains)
    assert sorted(host for wave in found for host in wave) == sorted(hosts)
    assert all(found)


@given(HOSTS, SIZES)
def test_without_domains_waves_have_their_sizes_and_the_order_of_the_inventory(
    hosts: list[str], wanted: list[Size]
) -> None:
    found = waves(hosts, wanted)
    assert [host for wave in found for host in wave] == hosts
    for number, wave in enumerate(found[:-1]):
        assert len(wave) == wanted[min(number, len(wanted) - 1)].of(len(hosts))


@given(HOSTS, SIZES, st.data())
def test_a_domain_is_kept_whole(hosts: list[str], wanted: list[Size], data: st.DataObject) -> None:
    of = {host: data.draw(st.sampled_from("wxyz")) for host in hosts if data.draw(st.booleans())}
    found = waves(hosts, wanted, Domains(of))
    assert (
        max(Counter(domain for wave in found for domain in {of[h] for h in wave if h in of}).values(), default=1) == 1
    )


@given(HOSTS, SIZES, st.integers(1, 3), st.data())
def test_no_more_of_a_domain_are_touched_at_once(
    hosts: list[str], wanted: list[Size], most: int, data: st.DataObject
) -> None:
    of = {host: data.draw(st.sampled_from("wxyz")) for host in hosts if data.draw(st.booleans())}
    for wave in waves(hosts, wanted, Domains(of, most)):
        assert max(Counter(of[host] for host in wave if host in of).values(), default=0) <= most


def test_a_thousand_hosts_go_by_one_canary_one_percent_ten_percent_and_the_rest() -> None:
    assert [len(wave) for wave in waves([f"h{n}" for n in range(1000)], sizes(DEFAULT))] == [1, 10, 100, 889]


@pytest.mark.parametrize("text", ["", "0", "1,,2", "-1", "101%", "0%", "a", "1.5", "nan%", "1e9"])
def test_what_is_no_size_of_a_wave_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size of a wave such as 1 or 5%"):
        sizes(text)


STEP = Step("write /etc/docker/daemon.json", Disturbs.NOTHING, "put back what it was", "+a\n")
PLAN = FleetPlan("1.0", 5.0, ("install-runtime",), (Group("0" * 16, ("a", "b", "c"), (STEP,), ()),), (), ())


@pytest.fixture
def run(tmp_path: Path) -> ChangeRun:
    how = True, DrainWish("slurm"), Limits(max_fail="2%", stop_on=("docker",), pause=600.0)
    made = ChangeRun(str(tmp_path / "RUN"), 6.0, PLAN, *how, (("a",), ("b", "c")), {})
    create(made.folder, "1.0", made)
    return made


@pytest.mark.parametrize("cut", ['{"host": "b", "state": "app', '{"host": "b", "detail": "no {runtimes}'])
def test_a_run_is_read_back_with_the_last_word_on_each_host_whatever_a_cut_left(run: ChangeRun, cut: str) -> None:
    schema = json.loads((ROOT / "data/schemas/fleet-change.schema.json").read_text())
    Draft202012Validator(schema).validate(json.loads(Path(run.folder, "run.json").read_text()))
    assert read(run.folder) == run
    add(run.folder, [Change("a", BEGUN, 7.0), Change("b", BEGUN, 7.0)])
    add(run.folder, [Change("a", APPLIED, 8.0, ("20261130T094744.002378Z",), found=("docker.runtime",), drained=True)])
    with Path(run.folder, "changes.jsonl").open("a") as file:
        file.write(cut)
    found = read(run.folder)
    assert {one.host: one.state for one in found.changes.values()} == {"a": APPLIED, "b": BEGUN}
    assert [one.host for one in found.applied] == ["a"]
    assert [one.host for one in found.failed] == ["b"]
    assert found.left(("a", "b", "c")) == ("b", "c")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"a"], ["b", "c"]]', '"a"], ["b", "b"]]'),
        ('["b", "c"]]', '["z"]]'),
        ("fleet-change/1", "x"),
        ("write", "rm"),
        ('"2%"', '"all"'),
        ("600.0", "-1"),
    ],
)
def test_a_folder_that_gpuctl_has_not_written_so_is_none(run: ChangeRun, old: str, new: str) -> None:
    file = Path(run.folder, "run.json")
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(BadRun):
        read(run.folder)


def test_a_run_of_a_gpuctl_that_kept_no_limits_is_gone_on_with_by_the_usual_ones(run: ChangeRun) -> None:
    file = Path(run.folder, "run.json")
    file.write_text(
        json.dumps({name: value for name, value in json.loads(file.read_text()).items() if name != "limits"})
    )
    assert read(run.folder) == replace(run, limits=Limits())


def test_of_a_host_whose_answer_was_lost_it_stays_known_that_it_may_have_been_changed(run: ChangeRun) -> None:
    add(run.folder, [Change("a", BEGUN, 7.0), Change("b", "not-drained", 7.0)])
    found = read(run.folder)
    problems = {"a": "Jobs are on it.", "b": "Jobs are on it.", "c": "Jobs are on it."}
    told = [(one.host, one.state) for one in not_ready(found, problems, "not-drained")]
    assert told == [("a", BEGUN), ("b", "not-drained"), ("c", "not-drained")]
    assert (found.perhaps_changed, found.standing) == ({"a"}, {"a"})


@pytest.mark.parametrize("raw", [b"[]", b"{}", b'{"ended": "\\u001b[2J"}', b'{"ended": 1}', b"\xff"])
def test_an_answer_that_is_none_is_broken(raw: bytes) -> None:
    assert change_of(HostOutcome("a", State.REPORTED, 9.0), raw, False).state == "broken"


@pytest.mark.bench  # mounts
def test_a_full_disk_cuts_off_no_host_and_what_was_written_is_gone_on_with(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", tmp_path], check=True)
    answered: list[str] = []
    filler, changes = tmp_path / "filler", tmp_path / "RUN" / "changes.jsonl"

    def fill() -> None:
        """Leaves room for a part of a line, behind lines that are empty."""
        with suppress(OSError):
            filler.write_bytes(b"." * (1 << 16))
        with changes.open("ab") as file:
            file.write(b"\n" * (-file.tell() % 4096 - 50))

    def ask_by(call: Call) -> Asking:
        def ask(hosts: Sequence[str], pipelining: bool) -> Iterator[tuple[str, Told]]:
            for host in hosts:
                if answered == ["a"]:
                    fill()
                answered.append(host)
                yield host, Told(State.REPORTED, snapshot=b'{"ended": "applied", "runs": ["20261130T094744.002378Z"]}')

        return ask

    try:
        made = ChangeRun(str(tmp_path / "RUN"), 6.0, PLAN, False, None, Limits(), (("a", "b", "c"),), {})
        create(made.folder, "1.0", made)
        with pytest.raises(FileProblem, match="No space left on device"):
            carry_out(made, made.hosts, Supplies(), ask_by, lambda change: None)
        assert answered == ["a", "b", "c"]
        cut = read(made.folder)
        assert [cut.changes[host].state for host in "abc"] == [APPLIED, BEGUN, BEGUN]
        os.unlink(filler)
        done = carry_out(cut, cut.hosts, Supplies(), ask_by, lambda change: None)
        assert answered == ["a", "b", "c", "b", "c"]
        assert {one.state for one in done.changes.values()} == {APPLIED}
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def entry(*hosts: str, limit: str | None = None) -> Entry:
    return Entry(hosts, Way(Target(("hosts.ini",), limit), Access(), 0.0, lambda: Payload(b"", "")))


def test_hosts_that_the_inventory_lacks_are_left_out_only_where_that_is_meant() -> None:
    assert among({"a", "b"}, entry("z", "b", "a"), "run") == ("b", "a")
    assert among({"a", "b"}, entry("b", limit="all"), "run") == ("b",)
    for some, words in (
        (
            entry("b"),
            "The run is for a, and the inventory has no such host. Those that it has are meant by --limit all.",
        ),
        (entry("z"), "The run is for a, b, and the inventory has no such host."),
        (entry("z", limit="z"), "The run is for a, b, and --limit picks no such host."),
    ):
        with pytest.raises(EngineProblem) as problem:
            among({"a", "b"}, some, "run")
        assert str(problem.value) == words
