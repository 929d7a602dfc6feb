"""gpuctl fleet judge, merge and diff as a person meets them: exit codes, what is printed, what is left untouched."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import synthetic
from fleets import snapshot
from jsonschema import validate
from prometheus_client.parser import text_string_to_metric_families
from simhost import warm

from gpuctl.fleet.run_folder import CHANGE_SCHEMA, SCHEMA, WHOSE, HostOutcome, Run, State, add_host, create_run
from gpuctl.host.record.archive import OPENED_LIMIT

ROOT = Path(__file__).parents[1]
OLD_DRIVER = synthetic.driver(synthetic.UBUNTU_22[3], "535.161.08", "12.2", synthetic.T4, 4)
APT_LOG = """Start-Date: 2026-11-20  06:12:44
Commandline: apt install nvidia-driver-535
Downgrade: nvidia-driver-535:amd64 (580.95.05-1, 535.161.08-1)
End-Date: 2026-11-20  06:14:02
"""
HOSTILE = "<script>alert(1)</script>|`=cmd()\x1b[2J"


def gpuctl(*argv: str, **how: Any) -> subprocess.CompletedProcess[str]:
    return warm.gpuctl("fleet", *argv, **how)


def write_run(folder: Path, hosts: dict[str, bytes], silent: dict[str, tuple[State, str]] | None = None) -> str:
    """A run whose hosts have reported these bytes."""
    others = silent or {}
    create_run(str(folder), Run("1.0", 1764000000.0, ("doctor",), (*hosts, *others)))
    for host, raw in hosts.items():
        add_host(str(folder), HostOutcome(host, State.REPORTED, 1764000001.0), raw)
    for host, (state, why) in others.items():
        add_host(str(folder), HostOutcome(host, state, 1764000002.0, why))
    return str(folder)


def healthy(count: int) -> dict[str, bytes]:
    return {f"gpu{number}": snapshot(f"gpu{number}") for number in range(1, count + 1)}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Six alike, one with an older driver, one whose GPU 2 has another link, one broken, one unreachable."""
    hosts = healthy(6)
    log = {"files": {"/var/log/apt/history.log": APT_LOG}}
    hosts["old"] = snapshot("old", {**OLD_DRIVER, "nvml": with_driver("old", "535.161.08")}, log)
    hosts["slow"] = snapshot("slow", {"nvml": with_link("slow", 2)})
    hosts["cut"] = snapshot("cut")[:-500]
    silent = {"away": (State.UNREACHABLE, f"ssh: {HOSTILE}")}
    return write_run(tmp_path_factory.mktemp("fleet") / "RUN", hosts, silent)


LINK = {"pcie_generation": 4, "pcie_width": 16, "vbios": "90.04.38.00.03"}


def nvml(name: str, **more: Any) -> list[dict[str, Any]]:
    first, *gpus = synthetic.driver("", *synthetic.DRIVER_580, synthetic.T4, 4)["nvml"]
    return [first, *({**one, **LINK, **more, "uuid": f"GPU-{name}-{one['index']}"} for one in gpus)]


def with_driver(name: str, version: str) -> list[dict[str, Any]]:
    first, *gpus = nvml(name)
    return [{**first, "driver": version, "nvml": f"12.{version}", "cuda": "12.2"}, *gpus]


def with_link(name: str, odd: int) -> list[dict[str, Any]]:
    first, *gpus = nvml(name)
    return [first, *({**one, "pcie_width": 8 if one["index"] == odd else 16} for one in gpus)]


def schema(name: str) -> Any:
    return json.loads((ROOT / "data" / "schemas" / f"{name}.schema.json").read_text())


def test_a_fleet_is_told_in_classes_with_those_that_are_not_like_the_others(fleet: str) -> None:
    done = gpuctl("judge", fleet)
    assert (done.returncode, done.stderr) == (3, "")
    assert "8 of 10 hosts reported" in done.stdout
    assert re.search(
        r"7x {2}4 x Tesla T4, Ubuntu 22.04, .*driver 580.95.05.*\n.*\n? +gpu1, gpu2, gpu3 and 4 more", done.stdout
    )
    since = "2026-11-20 06:12 nvidia-driver-535 downgraded 580.95.05-1 → 535.161.08-1 by apt install"
    assert "driver: 580.95.05 on 7 of 8 hosts with Tesla T4\n" in done.stdout
    assert f"      535.161.08 on old, since {since}\n" in done.stdout
    assert "slow: PCIe link: GPU 2 has generation 4 x8; 3 others have generation 4 x16" in done.stdout
    assert re.search(r"1x {2}broken +cut\n +cut: its snapshot was not judged: it is damaged", done.stdout)
    assert re.search(r"1x {2}unreachable +away\n", done.stdout)
    assert "gpu6" not in done.stdout
    assert "gpu6" in gpuctl("judge", fleet, "-v").stdout


def test_the_json_is_as_its_schemas_say(fleet: str) -> None:
    whole = json.loads(gpuctl("judge", fleet, "--json").stdout)
    validate(whole, schema("fleet"))
    assert whole["summary"]["hosts"] == 10
    lines = [json.loads(line) for line in gpuctl("judge", fleet, "--format", "jsonl").stdout.splitlines()]
    for line in lines:
        validate(line, schema("fleet-host"))
    by_class = {name: one["class"] for one in whole["classes"] for name in one["hosts"]}
    assert {one["host"]: one["class"] for one in lines if one["state"] == "reported"} == by_class
    validate(json.loads(Path(fleet, "run.json").read_text()), schema("fleet-run"))


class Page(HTMLParser):
    """The elements and attributes of a page, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.open += [tag] if tag != "meta" else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_every_format_reads_as_what_it_is_and_words_of_others_stay_words(fleet: str, tmp_path: Path) -> None:
    names = ("html", "csv", "junit", "prometheus", "markdown")
    done = gpuctl("judge", fleet, *(f"-o{name}={tmp_path / name}" for name in names))
    assert done.returncode == 3
    texts = {name: (tmp_path / name).read_text() for name in names}
    assert not any("\x1b" in text for text in texts.values())

    page = Page(texts["html"])
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(page.tags)
    assert all(value and value.startswith("#class-") for name, value in page.attributes if name == "href")
    assert not any(name.startswith("on") or name == "src" for name, _ in page.attributes)
    assert "away: ssh: <script>alert(1)</script>" in page.words

    rows = list(csv.DictReader(texts["csv"].splitlines()))
    assert [row["host"] for row in rows if row["standing"] == ""] == ["cut", "away"]
    assert {row["driver"] for row in rows if row["host"] == "old"} == {"535.161.08"}

    suites = ElementTree.fromstring(texts["junit"])  # noqa: S314  # our own
    cases = {case.get("name"): [child.tag for child in case] for case in suites.iter("testcase")}
    assert len(cases) == 10 == int(suites.get("tests") or 0)
    assert (cases["cut"], cases["away"]) == (["error"], ["error"])

    metrics = {one.name: one.samples for one in text_string_to_metric_families(texts["prometheus"])}
    states = {sample.labels["state"]: sample.value for sample in metrics["gpuctl_fleet_hosts"]}
    assert (states["reported"], states["broken"], states["unreachable"]) == (8, 1, 1)
    assert {sample.labels["host"] for sample in metrics["gpuctl_fleet_host_code"]} == {row["host"] for row in rows}

    assert "<script>" not in re.sub(r"(`+).*?\1", "", texts["markdown"])


def test_a_cell_of_a_spreadsheet_is_no_formula(tmp_path: Path) -> None:
    run = write_run(tmp_path / "RUN", {}, {"=cmd|'/c calc'!A0": (State.LOST, "@SUM(1)")})
    (row,) = csv.DictReader(gpuctl("judge", run, "--format", "csv").stdout.splitlines())
    assert (row["host"], row["detail"]) == ("'=cmd|'/c calc'!A0", "'@SUM(1)")


def bomb() -> bytes:
    """Little that is very much when opened."""
    return gzip.compress(b'{"schema": "gpuctl.snapshot/1"}\n' + b" " * (OPENED_LIMIT + 1), 1)


def deep() -> bytes:
    return b'{"schema": "gpuctl.snapshot/1", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (bomb(), "larger than"),
        (deep(), "not JSON"),
        (b"", "does not begin as a snapshot"),
        (b"\x1f\x8b" + b"\x00" * 50, "damaged"),
        (b'{"schema": "gpuctl.snapshot/1", "at": "now"}\n', "`at` is of the wrong type"),
        (b'{"schema": "gpuctl.snapshot/1"}\n{"kind": "read", "source": 7}\n', "`source` is of the wrong type"),
        (b'{"schema": "gpuctl.snapshot/1"}\n[1]\n', "line 2"),
        (snapshot("bad", {"nvml": [{"driver": "1.2", "count": 999}]}), "it tells of more than 256 GPUs"),
    ],
)
def test_a_hostile_snapshot_breaks_its_host_and_the_others_go_on(raw: bytes, why: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "RUN", {"bad": raw, "good": snapshot("good")})
    done = gpuctl("judge", run, "--json")
    whole = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (3, "")
    ((broken,),) = [one["hosts"] for one in whole["silent"]]
    assert broken["host"] == "bad"
    assert why in broken["detail"]
    assert "\n" not in broken["detail"]
    assert [one["hosts"] for one in whole["classes"]] == [["good"]]


@pytest.mark.slow
def test_a_snapshot_that_takes_too_long_to_judge_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    """What the judging process may take is real here; only the seconds are fewer."""
    contents = (b"spin", b"eat", b"good", b"spin", b"good", b"talk", b"once")
    run = write_run(tmp_path / "RUN", dict(zip("abcdefg", contents, strict=True)))
    program = """if True:
        import sys
        from pathlib import Path
        from gpuctl.host.act import confined
        confined.SECONDS = 1
        from gpuctl.fleet.run_folder import read_run
        run, mark = read_run(sys.argv[1]), Path(sys.argv[1], "mark")
        def work(one):
            raw = run.snapshot(one)
            if raw == b"spin":
                while True: pass
            try:
                if raw == b"eat": bytearray(1 << 30)
                if raw == b"once" and not mark.exists():
                    mark.touch()
                    while True: pass
                if raw == b"talk": return b"." * (5 << 20)
            except MemoryError:
                return b"full"
            return raw
        for one, answer in confined.each_confined(tuple(run.outcomes.values()), work):
            print(one.host, answer if isinstance(answer, confined.Exceeded) else answer.decode())
    """
    done = subprocess.run([sys.executable, "-c", program, run], capture_output=True, text=True, timeout=300, cwd=ROOT)
    much = "what is said of it is longer than 4 MiB"
    late = "it takes more than 1 seconds of processor time"
    expected = [f"a {late}", "b full", "c good", f"d {late}", "e good", f"f {much}", "g once"]
    assert done.stdout.splitlines() == expected, done.stderr


def test_a_host_listed_twice_is_told(tmp_path: Path) -> None:
    same = snapshot("gpu1", machine="0" * 31 + "1")
    done = gpuctl("judge", write_run(tmp_path / "RUN", {"gpu1": same, "10.0.0.1": same}))
    assert "gpu1, 10.0.0.1 are one host" in done.stdout
    assert done.returncode == 0


# Bad input


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["judge", "{tmp}/none"], "cannot read {tmp}/none/run.json: No such file"),
        (["judge", "{tmp}/empty"], "cannot read {tmp}/empty/run.json"),
        (
            ["judge", "{tmp}/list"],
            f"{{tmp}}/list is no run of {WHOSE[SCHEMA]}: run.json: it is no JSON object but a list",
        ),
        (
            ["judge", "{tmp}/change"],
            f"{{tmp}}/change is no run of {WHOSE[SCHEMA]}: run.json: it is one of gpuctl fleet apply",
        ),
        (["judge", "{tmp}/line"], "hosts.jsonl, line 2: 'fine' is none of the states"),
        (["judge", "{tmp}/line", "--max-unreachable", "many"], "no number of hosts"),
        (["judge", "{tmp}/line", "--format", "xml"], "xml"),
        (["judge", "{tmp}/line", "-o", "csv"], "no FORMAT=FILE"),
        (["merge", "{tmp}/none", "-o", "{tmp}/new"], "cannot read {tmp}/none"),
        (["merge", "{tmp}/empty", "-o", "{tmp}/new"], "there is no file *.jsonl.gz or *.jsonl in {tmp}/empty"),
        (["merge", "{tmp}/list/run.json", "-o", "{tmp}/new"], "is no snapshot that gpuctl can read"),
        (["merge", "{tmp}/host.jsonl"], "--output"),
        (["merge", "{tmp}/host.jsonl", "-o", "{tmp}/line"], "it is there, and not empty"),
        (["merge", "{tmp}/host.jsonl", "-o", "{tmp}/away/new"], "no such directory"),
        (["diff", "{tmp}/line", "{tmp}/none"], "hosts.jsonl, line 2"),
    ],
)
def test_wrong_input_is_one_sentence_and_nothing_is_written(argv: list[str], why: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "run.json").write_text("[]")
    (tmp_path / "change").mkdir()
    (tmp_path / "change" / "run.json").write_text(json.dumps({"schema": CHANGE_SCHEMA}))
    line = write_run(tmp_path / "line", {"a": b"x"})
    with Path(line, "hosts.jsonl").open("a") as file:
        file.write('{"host": "b", "state": "fine", "at": 1}\n')
    (tmp_path / "host.jsonl").write_bytes(gzip.decompress(snapshot("host")))
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    done = gpuctl(*(one.replace("{tmp}", str(tmp_path)) for one in argv))
    assert (done.returncode, done.stdout) == (2, "")
    assert why.replace("{tmp}", str(tmp_path)) in re.sub(r"\s+", " ", done.stderr)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


# Merging


def test_what_was_brought_becomes_a_run_named_after_its_hosts(tmp_path: Path) -> None:
    brought = tmp_path / "brought" / "rack1"
    brought.mkdir(parents=True)
    (brought / "a.jsonl.gz").write_bytes(snapshot("gpu1"))
    (brought / "b.jsonl").write_bytes(gzip.decompress(snapshot("gpu2")))
    (brought / "c.jsonl.gz").write_bytes(snapshot("gpu2", machine="f" * 32))
    (brought / "bad.jsonl").write_text("nothing")
    (brought / "README").write_text("no snapshot")
    run = str(tmp_path / "RUN")
    done = gpuctl("merge", str(tmp_path / "brought"), "-o", run, "--json")
    whole = json.loads(done.stdout)
    assert sorted(host for one in whole["classes"] for host in one["hosts"]) == ["gpu1", "gpu2", "gpu2#c"]
    assert [host["host"] for one in whole["silent"] for host in one["hosts"]] == ["bad"]
    assert json.loads(gpuctl("judge", run, "--json").stdout) == whole
    assert os.stat(run).st_mode & 0o777 == 0o700


def test_the_newest_snapshot_of_a_host_counts_and_the_others_are_named(tmp_path: Path) -> None:
    text = gzip.decompress(snapshot("gpu1"))
    (tmp_path / "new.jsonl").write_bytes(text)
    (tmp_path / "old.jsonl").write_bytes(text.replace(b'"at": 1764000000.0', b'"at": 1700000000.0'))
    done = gpuctl("merge", str(tmp_path / "new.jsonl"), str(tmp_path / "old.jsonl"), "-o", str(tmp_path / "RUN"))
    assert done.returncode == 0
    assert done.stderr == f"Left aside: {tmp_path}/old.jsonl, since a newer snapshot of that host is there.\n"
    assert "1 of 1 host reported" in done.stdout


def test_a_snapshot_may_come_by_standard_input(tmp_path: Path) -> None:
    done = gpuctl("merge", "-", "-o", str(tmp_path / "RUN"), stdin=snapshot("gpu1"))
    assert (done.returncode, "1 of 1 host reported" in done.stdout) == (0, True), done.stderr


def test_runs_of_parts_of_a_fleet_become_one_with_their_silent_hosts(tmp_path: Path) -> None:
    one = write_run(tmp_path / "ONE", {"gpu1": snapshot("gpu1")}, {"gpu2": (State.UNREACHABLE, "no route")})
    other = write_run(tmp_path / "OTHER", {"gpu3": snapshot("gpu3")})
    done = gpuctl("merge", one, other, "-o", str(tmp_path / "RUN"), "--json")
    whole = json.loads(done.stdout)
    assert done.returncode == 3
    assert [one["hosts"] for one in whole["classes"]] == [["gpu1", "gpu3"]]
    assert whole["silent"] == [{"state": "unreachable", "hosts": [{"host": "gpu2", "detail": "no route"}]}]


def test_anonymised_snapshots_are_named_after_their_files_and_are_not_one_host(tmp_path: Path) -> None:
    for name in ("a", "b"):
        text = gzip.decompress(snapshot("host-1", machine="0" * 32)).replace(
            b'"anonymised": false', b'"anonymised": true'
        )
        (tmp_path / f"{name}.jsonl").write_bytes(text)
    done = gpuctl("merge", str(tmp_path), "-o", str(tmp_path / "RUN"), "--json")
    whole = json.loads(done.stdout)
    assert ([one["hosts"] for one in whole["classes"]], whole["not_one_host"]) == ([["a", "b"]], [])


# Two runs


def test_a_difference_between_runs_is_told_in_groups_and_by_the_exit_code(fleet: str, tmp_path: Path) -> None:
    upgraded = {
        name: snapshot(name, {**OLD_DRIVER, "nvml": with_driver(name, "535.161.08")}) for name in ("gpu1", "gpu2")
    }
    later = write_run(tmp_path / "LATER", {**healthy(6), **upgraded, "away": snapshot("away")})
    done = gpuctl("diff", fleet, later)
    assert done.returncode == 1
    assert "driver: 580.95.05 → 535.161.08 on 2 hosts: gpu1, gpu2" in done.stdout
    assert "state    unreachable → reported on 1 host: away" in done.stdout
    assert "went     on 3 hosts: old, slow, cut" in done.stdout
    found = json.loads(gpuctl("diff", fleet, later, "--json").stdout)
    validate(found, schema("fleet-diff"))
    assert found["moved"] == ["gpu1", "gpu2"]
    same = gpuctl("diff", fleet, fleet)
    assert (same.returncode, same.stdout.splitlines()[-1]) == (0, "Nothing differs.")


def test_none_of_this_needs_ansible(fleet: str) -> None:
    hidden = "import sys; sys.modules.update({'ansible': None, 'ansible_runner': None}); "
    run = f"{hidden}sys.argv = ['gpuctl', 'fleet', 'judge', {fleet!r}]; from gpuctl.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 3, done.stderr
