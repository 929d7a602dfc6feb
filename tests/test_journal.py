"""What gpuctl changes is written down before it is done: history lists it, doctor warns, rollback finishes an undo."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hosts
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import validate
from simhost import Done, SimHost

from gpuctl.checks.engine import ask
from gpuctl.checks.every import CHECKS
from gpuctl.facts.gather import gather
from gpuctl.facts.machine.system import System
from gpuctl.facts.own.journal import ROOT_FOLDER, SCHEMA, Changes, probe_changes
from gpuctl.facts.own.journal_entries import (
    FileWrite,
    Installation,
    JournalEntry,
    Restart,
    TakeUp,
    line_of,
    parse_entry,
)
from gpuctl.host.decode import parse_object
from gpuctl.host.write.replacement import Replacement
from gpuctl.model import Status
from gpuctl.render.views.history import history_json, history_text

SCHEMAS = Path(__file__).parents[1] / "data" / "schemas"
OLD = '{"debug": true}\n'
POINTS = ["fsync:when=4", "fsync:when=5", "fsync:when=6", "fsync:when=7", "renameat2:when=1"]


@pytest.fixture
def config() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gpuctl-journal-") as folder:
        path = Path(folder) / "daemon.json"
        path.write_text(OLD)
        yield path


@pytest.fixture
def host(sim_host: Callable[..., SimHost]) -> SimHost:
    """Without Docker: it is the file and the journal that count here."""
    made: SimHost = sim_host(None, env={"PYTHONDONTWRITEBYTECODE": "1"})
    return made


def gpuctl(host: SimHost, command: str, config: Path, *options: str, kill: str = "", **how: Any) -> Done:
    program = ["--runtime-path=/bin/true"] if command == "install-runtime" else []
    strace = ["-f", "-qq", "-o", "/dev/null", "-e", f"inject={kill.replace(':', ':signal=KILL:')}"]
    argv = (command, f"--config={config}", "--json", *program, *options)
    done = host.gpuctl(*argv, strace=strace if kill else (), **how)
    if not kill:
        validate(done.json, json.loads((SCHEMAS / f"{command}.schema.json").read_text()))
    return done


def history(host: SimHost, **how: Any) -> list[dict[str, Any]]:
    done = host.gpuctl("history", "--json", **how)
    validate(done.json, json.loads((SCHEMAS / "history.schema.json").read_text()))
    assert done.code == 0, done.err
    runs: list[dict[str, Any]] = done.json["runs"]
    return runs


def states(host: SimHost) -> list[tuple[str, str]]:
    return [(run["command"], run["state"]) for run in history(host)]


def test_history_lists_each_run_that_changed_something_and_how_it_stands(host: SimHost, config: Path) -> None:
    assert host.gpuctl("history").out == "gpuctl has changed nothing on this host.\n"
    done = gpuctl(host, "install-runtime", config)
    gpuctl(host, "install-runtime", config)
    gpuctl(host, "install-runtime", config, "--dry-run", "--set-default")
    assert states(host) == [("install-runtime", "done")]
    assert history(host)[0]["run"] == done.json["run"]
    assert history(host)[0]["files"] == done.json["files"] == [{"path": str(config), "backup": done.json["backup"]}]
    assert gpuctl(host, "rollback", config).code == 0
    assert states(host) == [("rollback", "done"), ("install-runtime", "undone")]
    assert str(config) in host.gpuctl("history").out


@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_at_any_step_the_next_run_says_so_and_rollback_finishes_the_undo(
    host: SimHost, config: Path, point: str
) -> None:
    assert gpuctl(host, "install-runtime", config, kill=point).code < 0
    assert states(host) == [("install-runtime", "interrupted")]
    other = config.with_name("other.json")
    assert "was cut short. `gpuctl rollback` undoes" in gpuctl(host, "install-runtime", other).json["notes"][-1]
    undone = gpuctl(host, "rollback", config)
    assert (undone.code, config.read_text()) == (0, OLD), undone.err
    assert [state for _, state in states(host)].count("interrupted") == 0
    assert not list(config.parent.glob(".*.tmp"))
    assert gpuctl(host, "rollback", config).json["changed"] is False


@pytest.mark.parametrize("point", POINTS)
def test_a_rollback_that_was_killed_is_finished_by_the_next(host: SimHost, config: Path, point: str) -> None:
    gpuctl(host, "install-runtime", config)
    assert gpuctl(host, "rollback", config, kill=point).code < 0
    assert ("rollback", "interrupted") in states(host)
    assert (gpuctl(host, "rollback", config).code, config.read_text()) == (0, OLD)
    assert [state for _, state in states(host) if state == "interrupted"] == []


def test_a_run_that_goes_on_where_another_was_cut_short_is_rolled_back_with_it(host: SimHost, config: Path) -> None:
    gpuctl(host, "install-runtime", config, kill="fsync:when=7")
    assert gpuctl(host, "install-runtime", config, "--set-default").json["changed"]
    assert states(host) == [("install-runtime", "done")] * 2
    assert (gpuctl(host, "rollback", config).code, config.read_text()) == (0, OLD)


def test_the_run_to_roll_back_can_be_named(host: SimHost, config: Path) -> None:
    first = gpuctl(host, "install-runtime", config).json["run"]
    gpuctl(host, "install-runtime", config.with_name("other.json"))
    assert (host.gpuctl("rollback", first).code, config.read_text()) == (0, OLD)
    missing = host.gpuctl("rollback", "20200101T000000.000000Z")
    assert (missing.code, "There is no run 20200101T000000" in missing.err) == (1, True)


def test_a_journal_that_cannot_be_written_stops_a_run_before_it_changes_anything(host: SimHost, config: Path) -> None:
    blocked = host.path("/var/lib/gpuctl")
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("")
    done = gpuctl(host, "install-runtime", config)
    assert (done.code, config.read_text()) == (1, OLD)
    assert "/var/lib/gpuctl" in done.json["error"] and "Nothing was changed." in done.json["error"]


def test_torn_and_hostile_lines_of_a_journal_count_as_not_there() -> None:
    junk = [
        '{"run": 7}',
        "[1]",
        '{"begins": 0, "kind": "write"}',
        '{"begins": 0, "kind": "write", "path": 3}',
        "[" * 9999,
    ]
    head = json.dumps({"run": "install-runtime", "at": "x", "pid": 1, "boot": "other"})
    begun = json.dumps({"begins": 0, "kind": "engine", "engine": "docker"})
    texts = {"1": "\n".join(junk), "2": f"{head}\n{begun}\n{{'torn", "3": f"{head}\n{begun}\n" + '{"end": "evil"}'}
    files = {f"{ROOT_FOLDER}/2026112{name}T000000.000000Z.jsonl": text for name, text in texts.items()}
    finding = ask(CHECKS["changes.complete"], gather(hosts.host(files=files)))
    assert finding.status is Status.WARN
    assert [seen.text[:9] for seen in finding.evidence] == ["20261122T", "20261123T"]
    assert hosts.shown(finding.remedy) == ("gpuctl rollback",)


def journal(host: SimHost) -> Path:
    (file,) = host.path(ROOT_FOLDER).glob("*.jsonl")
    return file


def test_runs_are_in_the_order_in_which_they_were_whatever_the_clock_said(host: SimHost, config: Path) -> None:
    gpuctl(host, "install-runtime", config)
    ahead = journal(host)
    ahead.rename(ahead.with_name("20991231T235959.000000Z.jsonl"))
    first = config.read_text()
    second = gpuctl(host, "install-runtime", config, "--set-default").json["run"]
    assert [run["run"] for run in history(host)] == [second, "20991231T235959.000000Z"]
    undone = gpuctl(host, "rollback", config)
    assert (undone.code, config.read_text()) == (0, first), undone.json["error"]


def test_runs_without_a_number_come_before_all_others() -> None:
    begun = json.dumps({"begins": 0, "kind": "engine", "engine": "docker"})
    heads = {"2030": {"run": "old"}, "2031": {"run": "older", "schema": SCHEMA}, "2020": {"run": "new", "sequence": 1}}
    files = {
        f"{ROOT_FOLDER}/{year}1122T000000.000000Z.jsonl": f"{json.dumps(head)}\n{begun}" for year, head in heads.items()
    }
    changes = probe_changes(hosts.host(files=files))
    assert ([run.command for run in changes.runs.get() or ()], changes.last.value) == (["old", "older", "new"], 1)


@pytest.mark.parametrize(
    "old, new",
    [
        ('"gpuctl.journal/1"', '"gpuctl.journal/2"'),
        ('"sequence": 1', '"sequence": "1"'),
        ('"kind": "write"', '"kind": "firewall"'),
        ('"engine": "docker"', '"engine": null'),
    ],
)
def test_a_run_that_is_not_understood_is_not_undone_in_part(host: SimHost, config: Path, old: str, new: str) -> None:
    gpuctl(host, "install-runtime", config)
    file, written = journal(host), config.read_text()
    changed = file.read_text().replace(old, new)
    assert changed != file.read_text()
    file.write_text(changed)
    for command in ("rollback", "uninstall-runtime"):
        done = gpuctl(host, command, config)
        assert (done.code, config.read_text(), file.read_text()) == (1, written, changed)
        assert str(file.name) in done.json["error"] and "Nothing was changed." in done.json["error"]
    listed = host.gpuctl("history", "--json")
    assert (listed.code, file.name in listed.json["unknown"]) == (3, True)


LINES = st.dictionaries(
    st.sampled_from(
        ["schema", "sequence", "run", "at", "by", "pid", "begins", "kind", "before", "sets", "end", "continues"]
    ),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([SCHEMA, "write", "packages", "done", "\ud800"])
    | st.lists(st.integers())
    | st.dictionaries(st.text(max_size=2), st.integers()),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=4))
def test_no_line_of_a_journal_takes_its_reader_down(lines: list[dict[str, Any]]) -> None:
    text = "\n".join(map(json.dumps, [{"run": "install-runtime"} | lines[0], {"begins": 0, "kind": "engine"}, *lines]))
    facts = gather(hosts.host(files={f"{ROOT_FOLDER}/20261122T000000.000000Z.jsonl": text}), [Changes, System])
    changes = facts.known(Changes)
    assert "crashed" not in ask(CHECKS["changes.complete"], facts).message
    validate(json.loads(history_json(changes)), json.loads((SCHEMAS / "history.schema.json").read_text()))
    assert history_text(changes).plain


TEXT = st.text(max_size=3)
SETTINGS = st.tuples(st.lists(TEXT).map(tuple), st.none() | TEXT | st.dictionaries(TEXT, st.booleans()))
ENTRIES = (
    st.builds(
        FileWrite,
        TEXT,
        st.builds(Replacement, TEXT, st.none() | TEXT, st.none() | TEXT, TEXT),
        st.none() | st.lists(SETTINGS, max_size=2).map(tuple),
    )
    | st.builds(TakeUp, TEXT)
    | st.builds(Restart, TEXT)
    | st.builds(Installation, TEXT, st.dictionaries(TEXT, st.none() | TEXT))
)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 99), ENTRIES)
def test_what_was_written_down_is_what_is_read(number: int, entry: JournalEntry) -> None:
    assert parse_entry(parse_object(json.dumps(line_of(number, entry)))) == entry


def test_lines_of_earlier_versions_are_read_as_they_always_were() -> None:
    whole = {"path": "/a", "before": None, "after": "12", "kept": "/b", "engine": "docker"}
    write = {"begins": 0, "kind": "write", **whole}
    sets = [[["runtimes", "nvidia"], {"path": "/bin/true"}]]
    values = ((("runtimes", "nvidia"), {"path": "/bin/true"}),)
    assert parse_entry(write) == FileWrite("docker", Replacement("/a", None, "12", "/b"))
    assert parse_entry({**write, "sets": sets}) == FileWrite("docker", Replacement("/a", None, "12", "/b"), values)
    packages = {"begins": 1, "kind": "packages", "manager": "apt", "before": {"one": "1.0", "two": None}}
    assert parse_entry(packages) == Installation("apt", {"one": "1.0", "two": None})
    for name in whole:
        with pytest.raises(ValueError, match=r"does not know \('write'\)"):
            parse_entry({key: value for key, value in write.items() if key != name})


@pytest.fixture
def installed(host: SimHost, config: Path) -> Path:
    assert gpuctl(host, "install-runtime", config, "--set-default").code == 0
    return config


def test_uninstalling_gives_an_untouched_file_its_old_bytes_again(host: SimHost, installed: Path) -> None:
    done = gpuctl(host, "uninstall-runtime", installed)
    assert (done.code, installed.read_text()) == (0, OLD)
    again = gpuctl(host, "uninstall-runtime", installed)
    assert (again.code, again.json["changed"], again.json["steps"]) == (0, False, [])


def test_uninstalling_keeps_what_others_have_added_since(host: SimHost, installed: Path) -> None:
    added = installed.read_text().replace('"runtimes": {', '"runtimes": {"kata": {"path": "/bin/kata"}, ')
    installed.write_text(added.replace("true,", "false,"))
    assert gpuctl(host, "uninstall-runtime", installed).code == 0
    assert installed.read_text() == '{"debug": false, "runtimes": {"kata": {"path": "/bin/kata"}}}\n'


def test_uninstalling_brings_back_what_force_had_replaced(host: SimHost, config: Path) -> None:
    config.write_text('{"default-runtime": "kata", "runtimes": {"nvidia": {"path": "/bin/false"}}}')
    gpuctl(host, "install-runtime", config, "--set-default", "--force")
    config.write_text(config.read_text().replace("{", '{"debug": true, ', 1))
    assert gpuctl(host, "uninstall-runtime", config).code == 0
    back = {"debug": True, "default-runtime": "kata", "runtimes": {"nvidia": {"path": "/bin/false"}}}
    assert json.loads(config.read_text()) == back


def test_a_conflict_is_shown_and_nothing_guessed(host: SimHost, installed: Path) -> None:
    mine = installed.read_text().replace('"/bin/true"', '"/opt/mine"')
    installed.write_text(mine)
    done = gpuctl(host, "uninstall-runtime", installed)
    assert (done.code, installed.read_text()) == (1, mine)
    assert (
        'runtimes.nvidia is {"path": "/opt/mine"} now, and gpuctl had set {"path": "/bin/true"}.' in done.json["error"]
    )


def test_a_file_that_gpuctl_made_goes_away_with_it(host: SimHost, config: Path) -> None:
    config.unlink()
    gpuctl(host, "install-runtime", config)
    config.write_text(json.dumps(json.loads(config.read_text())))  # somebody formats it
    assert gpuctl(host, "uninstall-runtime", config).code == 0
    assert not config.exists()


def test_uninstalling_where_gpuctl_put_nothing_changes_nothing(host: SimHost, config: Path) -> None:
    done = gpuctl(host, "uninstall-runtime", config)
    assert (done.code, done.json["changed"], config.read_text()) == (0, False, OLD)
    assert "nothing to take out" in done.json["notes"][0]


def test_a_run_that_was_cut_short_behind_a_link_is_completed_by_the_next(host: SimHost, config: Path) -> None:
    link = config.with_name("link.json")
    link.symlink_to(config)
    gpuctl(host, "install-runtime", link, kill="fsync:when=7")
    assert gpuctl(host, "install-runtime", link).code == 0
    assert states(host) == [("install-runtime", "done")]
