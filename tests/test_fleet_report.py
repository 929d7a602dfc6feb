"""A fleet's report: what is planted is found, nothing else is, and a stranger's snapshot harms nobody but its host."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from dataclasses import replace

import pytest
from fleets import GPU, HOST, judged, named, told
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.fleet.difference import difference
from gpuctl.fleet.identity import Shared, twins
from gpuctl.fleet.judge import JudgedHost, SaidFinding
from gpuctl.fleet.key_facts import KeyFacts
from gpuctl.fleet.report import FleetReport, folded
from gpuctl.fleet.run_folder import HostOutcome, RecordedRun, Run, State
from gpuctl.fleet.silence import share
from gpuctl.model import Status
from gpuctl.render.views.fleet import fleet_text

ALL = share("0%")
FAILED = SaidFinding("driver.nvml", Status.FAIL, "NVML does not start.", "Load the module.", ("modprobe nvidia",))
WARNED = SaidFinding("outlook.images", Status.WARN, "An image is old.")


def differing(report: FleetReport) -> set[tuple[str, str, str]]:
    return {(spread.fact.name, one.host, one.value) for spread in report.spreads for one in spread.differing}


# Outliers

ODD = st.dictionaries(
    st.integers(0, 99), st.tuples(st.sampled_from(sorted(HOST)), st.sampled_from(["odd", "odder"])), max_size=12
)


@settings(max_examples=150, deadline=None)
@given(size=st.integers(5, 60), planted=ODD)
def test_hosts_are_odd_where_most_are_alike_and_only_there(size: int, planted: dict[int, tuple[str, str]]) -> None:
    odd = {number: one for number, one in planted.items() if number < size}
    hosts = [judged(named(number), dict([odd[number]] if number in odd else [])) for number in range(size)]
    expected = set()
    for fact in HOST:
        counts = Counter(dict([odd[number]] if number in odd else []).get(fact, HOST[fact]) for number in range(size))
        value, count = counts.most_common(1)[0]
        if count >= 5 and count >= 0.6 * size:
            told_odd = {number: one for number, (name, one) in odd.items() if name == fact}
            values = {number: told_odd.get(number, HOST[fact]) for number in range(size)}
            expected |= {(fact, named(number), one) for number, one in values.items() if one != value}
    assert differing(told(hosts)) == expected


@settings(max_examples=100, deadline=None)
@given(
    size=st.integers(5, 30),
    fact=st.sampled_from(sorted(GPU)),
    planted=st.dictionaries(st.integers(0, 9), st.sets(st.integers(0, 7), min_size=1, max_size=8), max_size=3),
)
def test_a_gpu_unlike_those_of_the_fleet_is_named_by_its_index(
    size: int, fact: str, planted: dict[int, set[int]]
) -> None:
    odd = {number: gpus for number, gpus in planted.items() if number < size}
    hosts = [
        judged(named(number), gpus={index: {fact: "odd"} for index in odd.get(number, ())}) for number in range(size)
    ]
    report = told(hosts)
    is_majority = size - len(odd) >= max(5, 0.6 * size)
    found = {(one.host, one.gpus) for spread in report.spreads for one in spread.differing}
    assert found == (
        {(named(number), tuple(sorted(gpus)) if len(gpus) < 8 else ()) for number, gpus in odd.items()}
        if is_majority
        else set()
    )


@pytest.mark.parametrize(("alike", "odd"), [(4, 1), (5, 4), (6, 5), (59, 40)])
def test_nobody_is_odd_without_a_majority(alike: int, odd: int) -> None:
    drivers = ["580.95.05"] * alike + ["535.161.08"] * odd
    report = told([judged(named(number), {"driver": driver}) for number, driver in enumerate(drivers)])
    assert not report.outliers
    spread = next(one for one in report.spreads if one.fact.name == "driver")
    assert (spread.majority, spread.values) == (None, (("580.95.05", alike), ("535.161.08", odd)))


@pytest.mark.parametrize(("alike", "odd"), [(5, 3), (6, 4), (60, 40)])
def test_sixty_of_a_hundred_and_five_are_a_majority(alike: int, odd: int) -> None:
    drivers = ["580.95.05"] * alike + ["535.161.08"] * odd
    report = told([judged(named(number), {"driver": driver}) for number, driver in enumerate(drivers)])
    assert len(differing(report)) == odd


def test_who_does_not_tell_is_counted_and_is_not_odd() -> None:
    hosts = [judged(named(number)) for number in range(6)] + [judged("silent", {"driver": None})]
    spread = next(one for one in told(hosts).spreads if one.fact.name == "driver")
    assert (spread.hosts, spread.silent, spread.differing) == (6, 1, ())


def test_hosts_of_another_product_are_no_yardstick() -> None:
    hosts = [judged(named(number)) for number in range(6)]
    hosts += [judged(named(10 + number), {"driver": "535.161.08"}, product="Tesla T4") for number in range(6)]
    assert not told(hosts).outliers


def test_a_host_whose_driver_is_gone_is_one_of_its_product_by_its_pci_ids() -> None:
    hosts = [judged(named(number)) for number in range(6)]
    key = hosts[5].key
    assert key is not None
    bare = type(key)(
        key.machine, ("8", *key.values[1:3], "none", *key.values[4:]), (), (("20b0", None),) * 8, ("",) * 4
    )
    gone = JudgedHost(hosts[5].outcome, 1.0, named(5), bare)
    assert differing(told([*hosts[:5], gone])) == {("driver", named(5), "none")}


def test_it_is_told_since_which_change_of_packages_a_host_is_odd() -> None:
    change = "2026-11-20 06:12 nvidia-driver-535 downgraded 580 → 535 by apt install --password=hunter2x"
    hosts = [judged(named(number)) for number in range(6)]
    odd = judged("odd", {"driver": "535.161.08", "cdi": "/etc/cdi/a.yaml (0.5.0)"}, changes={"driver": change})
    found = {spread.fact.name: one.since for spread in told([*hosts, odd]).spreads for one in spread.differing}
    assert found["driver"].startswith("2026-11-20 06:12 nvidia-driver-535 downgraded 580 → 535")
    assert "hunter2x" not in found["driver"]
    assert found["cdi"] == ""


def test_one_gpu_of_eight_is_odd_on_a_host_that_stands_alone() -> None:
    (odd,) = told([judged("alone", gpus={3: {"vbios": "92.00.19.00.01"}})]).odd
    assert (odd.host, odd.fact.name, odd.usual, odd.count) == ("alone", "vbios", GPU["vbios"], 7)
    assert odd.odd == ((3, "92.00.19.00.01"),)


def test_half_of_a_hosts_gpus_are_not_odd() -> None:
    assert not told([judged("alone", gpus={index: {"pcie": "generation 4 x8"} for index in range(4)})]).odd


def test_an_odd_gpu_is_told_once_where_the_fleet_tells_of_it_too() -> None:
    hosts = [judged(named(number)) for number in range(9)]
    report = told([*hosts, judged("odd", gpus={0: {"pcie": "generation 4 x8"}})])
    assert not report.odd
    assert [(one.host, one.gpus) for spread in report.outliers for one in spread.differing] == [("odd", (0,))]


# Classes


def test_hosts_with_the_same_findings_and_facts_are_one_class_worst_first() -> None:
    hosts = [judged(named(number), findings=[WARNED]) for number in range(7)]
    hosts += [judged(f"bad{number}", findings=[FAILED]) for number in range(2)]
    hosts += [judged("old", {"driver": "535.161.08"}, findings=[WARNED])]
    report = told(hosts)
    assert [len(one.hosts) for one in report.classes] == [2, 7, 1]
    assert [(one.finding.id, len(one.hosts)) for one in report.findings] == [("driver.nvml", 2), ("outlook.images", 8)]
    assert report.findings[1].classes == (2, 3)


def test_words_that_differ_from_host_to_host_are_said_to() -> None:
    other = SaidFinding(FAILED.id, FAILED.status, FAILED.message, FAILED.remedy, ("modprobe nvidia-current",))
    (found,) = told([judged("a", findings=[FAILED]), judged("b", findings=[other])]).findings
    assert found.varies
    (found,) = told([judged("a", findings=[FAILED]), judged("b", findings=[FAILED])]).findings
    assert not found.varies


def silent(name: str, state: State) -> JudgedHost:
    return JudgedHost(HostOutcome(name, state, 1.0, "why"))


@pytest.mark.parametrize(
    ("findings", "states", "allowed", "strict", "code"),
    [
        ([], [], "0%", False, 0),
        ([WARNED], [], "0%", False, 0),
        ([WARNED], [], "0%", True, 1),
        ([FAILED], [State.LOST], "0%", False, 1),
        ([SaidFinding("a", Status.UNKNOWN, "?")], [], "0%", False, 3),
        ([SaidFinding("a", Status.FAIL, "!", waived="known")], [], "0%", False, 0),
        ([], [State.UNREACHABLE], "0%", False, 3),
        ([], [State.UNREACHABLE], "2%", False, 0),
        ([], [State.UNREACHABLE] * 3, "2%", False, 3),
        ([], [State.LOST] * 2, "2", False, 0),
        ([], [State.BROKEN], "100%", False, 3),
    ],
)
def test_the_exit_code_is_that_of_the_worst_host(
    findings: list[SaidFinding], states: list[State], allowed: str, strict: bool, code: int
) -> None:
    hosts = [judged(named(number)) for number in range(98)] + [judged("x", findings=findings)]
    hosts += [silent(f"silent{number}", state) for number, state in enumerate(states)]
    assert told(hosts).code(share(allowed), strict) == code


# Not one host each


def test_a_host_listed_twice_is_told_and_one_image_is_another_matter() -> None:
    hosts = [
        judged("gpu1", machine="m", uuids="GPU-x"),
        judged("10.0.0.1", machine="m", uuids="GPU-x", hostname="gpu1"),
        judged("gpu2", machine="cloned"),
        judged("gpu3", machine="cloned"),
        judged("gpu4"),
    ]
    report = told(hosts)
    assert [(one.shared, one.hosts) for one in report.twins] == [
        (Shared.ALL, ("gpu1", "10.0.0.1")),
        (Shared.MACHINE, ("gpu2", "gpu3")),
    ]
    assert not report.silent
    assert report.code(ALL, False) == 0
    assert report.code(ALL, True) == 1


def test_without_a_gpu_that_is_seen_a_boot_tells_a_host_from_its_clones() -> None:
    def bare(boot: str | None) -> KeyFacts:
        return KeyFacts("m", (), (), (), (), boot)

    found = twins({"a": bare("1"), "again": bare("1"), "clone": bare("2")})
    assert [(one.shared, one.hosts) for one in found] == [
        (Shared.ALL, ("a", "again")),
        (Shared.MACHINE, ("a", "again", "clone")),
    ]


def test_a_gpu_in_two_machines_is_told_by_its_uuid() -> None:
    (one,) = told([judged("a", uuids="GPU-x"), judged("b", uuids="GPU-x")]).twins
    assert (one.shared, one.hosts, one.what) == (Shared.GPU, ("a", "b"), "GPU-x-0")


@pytest.mark.parametrize(
    ("hosts", "broken"),
    [
        ({"gpu1": "gpu2", "gpu2": "gpu2"}, ["gpu1"]),
        ({"gpu1.lab": "gpu2.lab", "gpu2.lab": "gpu2"}, ["gpu1.lab"]),
        ({"gpu1.east": "gpu1", "gpu1.west": "gpu1"}, []),
        ({"10.0.0.1": "gpu1", "10.0.0.2": "gpu2"}, []),
        ({"gpu1": "localhost", "localhost": "localhost"}, []),
        ({"login": "ip-10-0-0-7", "gpu1": "ip-10-0-0-8"}, []),
    ],
)
def test_a_snapshot_that_says_to_be_another_host_of_the_run_is_none_of_its_host(
    hosts: dict[str, str], broken: list[str]
) -> None:
    report = told([judged(name, hostname=hostname) for name, hostname in hosts.items()])
    assert [host for one in report.silences for host, _ in one.hosts] == broken
    assert all(one.state is State.BROKEN for one in report.silences)


# What a person reads


def test_a_screen_is_not_flooded_by_classes_and_values_and_v_shows_them_all() -> None:
    hosts = [judged(named(number)) for number in range(300)]
    hosts += [judged(f"odd{number:03d}", {"kernel": f"5.15.0-{number}"}) for number in range(60)]
    text, whole = (fleet_text(told(hosts), verbose).plain for verbose in (False, True))
    assert "46x  in 46 more classes" in text
    assert "55 more values on 55 hosts" in text
    assert len(text.splitlines()) < 60
    assert all(f"odd{number:03d}" in whole and named(number) in whole for number in range(60))
    assert "more classes" not in whole


@pytest.mark.slow
def test_what_is_held_of_a_host_is_small_and_does_not_grow_with_what_it_said() -> None:
    words = SaidFinding(WARNED.id, WARNED.status, "x" * 2000, "y" * 2000)

    def held(count: int) -> int:
        tracemalloc.start()
        hosts = (judged(named(number), findings=[replace(words, message=f"{number}" * 400)]) for number in range(count))
        run = RecordedRun("RUN", Run("1.0", 1.0, ("doctor",), tuple(map(named, range(count)))), {})
        report = folded(run, hosts)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(report.hosts) == count
        return size

    size = (held(1200) - held(200)) / 1000
    assert size < 5_000


# Two runs


def test_a_difference_names_who_changed_and_what() -> None:
    before = told([judged("a"), judged("b", findings=[FAILED]), judged("gone"), judged("c"), judged("same")])
    after = told(
        [
            judged("a", {"driver": "590.44.01"}, {2: {"vbios": "new"}, 3: {"vbios": "new"}}),
            judged("b"),
            silent("c", State.UNREACHABLE),
            judged("same"),
            judged("come", findings=[FAILED]),
        ]
    )
    found = difference(before, after)
    assert (found.came, found.went, found.moved, found.compared) == (("come",), ("gone",), ("a", "b"), 3)
    assert [(one.old, one.new, one.hosts) for one in found.states] == [("reported", "unreachable", ("c",))]
    assert [(one.finding.id, one.is_new, one.hosts) for one in found.findings] == [("driver.nvml", False, ("b",))]
    assert [(one.fact.name, one.old, one.new, one.hosts) for one in found.facts] == [
        ("driver", "580.95.05", "590.44.01", ("a",)),
        ("vbios", GPU["vbios"], "new", ("a",)),
    ]
    assert difference(before, before).equal
