"""rollback restores what a file was before gpuctl's last change of it, and nothing that others did since."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from simhost import Done, SimHost

OLD = '{"debug": true}\n'


@pytest.fixture
def config() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gpuctl-rollback-") as folder:
        path = Path(folder) / "daemon.json"
        path.write_text(OLD)
        path.chmod(0o640)
        yield path


@pytest.fixture
def gpuctl(sim_host: Callable[..., SimHost], config: Path) -> Callable[..., Done]:
    """Runs a command on that file, on a host without Docker."""
    host = sim_host(None)

    def run(command: str, *options: str) -> Done:
        program = ["--runtime-path=/bin/true"] if command == "install-runtime" else []
        done: Done = host.gpuctl(command, f"--config={config}", "--json", *program, *options)
        return done

    return run


def content(config: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in config.parent.iterdir()}


def test_the_second_rollback_changes_nothing(gpuctl: Callable[..., Done], config: Path) -> None:
    assert gpuctl("install-runtime").code == 0
    new = config.read_text()
    done = gpuctl("rollback")
    assert (done.code, done.json["changed"], config.read_text()) == (0, True, OLD)
    assert Path(done.json["backup"]).read_text() == new
    assert config.stat().st_mode & 0o777 == 0o640
    seen, modified = content(config), config.stat().st_mtime_ns
    again = gpuctl("rollback")
    assert (again.code, again.json["changed"], again.json["backup"]) == (0, False, None)
    assert (content(config), config.stat().st_mtime_ns) == (seen, modified)


def test_only_the_last_change_is_rolled_back(gpuctl: Callable[..., Done], config: Path) -> None:
    gpuctl("install-runtime")
    first = config.read_text()
    gpuctl("install-runtime", "--set-default")
    assert gpuctl("rollback").code == 0
    assert config.read_text() == first


def test_later_edits_of_others_are_shown_and_only_lost_by_force(gpuctl: Callable[..., Done], config: Path) -> None:
    gpuctl("install-runtime")
    edited = config.read_text().replace("true,", "false,")
    config.write_text(edited)
    seen = content(config)
    refused = gpuctl("rollback")
    assert (refused.code, content(config)) == (1, seen)
    assert "was edited since gpuctl changed it" in refused.json["error"]
    assert '-{"debug": false' in refused.json["diff"]
    forced = gpuctl("rollback", "--force")
    assert (forced.code, config.read_text()) == (0, OLD)
    assert Path(forced.json["backup"]).read_text() == edited


def test_a_dry_run_shows_what_would_be_restored(gpuctl: Callable[..., Done], config: Path) -> None:
    gpuctl("install-runtime")
    seen = content(config)
    done = gpuctl("rollback", "--dry-run")
    assert (done.code, content(config)) == (0, seen)
    assert "+" + OLD in done.json["diff"] and len(done.json["steps"]) == 1


def test_a_file_that_gpuctl_never_changed_is_left_alone(gpuctl: Callable[..., Done], config: Path) -> None:
    done = gpuctl("rollback")
    assert (done.code, content(config)) == (0, {"daemon.json": OLD})
    assert "gpuctl has not changed" in done.json["notes"][0]


def test_a_file_that_is_not_there_leaves_nothing_to_keep(gpuctl: Callable[..., Done], config: Path) -> None:
    config.unlink()
    (step,) = gpuctl("install-runtime", "--no-reload", "--dry-run").json["steps"]
    assert (step["text"], step["undo"]) == (f"write {config}, which is not there yet", "remove it")


@pytest.mark.parametrize("command", ["history", "rollback", "uninstall-runtime"])
def test_a_user_who_has_no_runs_is_told_that_roots_are_roots(sim_host: Callable[..., SimHost], command: str) -> None:
    done = sim_host(None).gpuctl(command, uid=65534)
    assert (done.code, done.out) == (2, "")
    assert "root's are root's" in done.err and "othing" not in done.err
