"""What another user of the machine prepared turns root's gpuctl to nothing: it is not run, not read and not written."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NATIVE = Path(__file__).parent / "simhost" / "native"
REPOSITORY = Path(__file__).parents[1]
NEIGHBOUR = 64321
PLANTED = "only-root-may-read-this"


@pytest.fixture(scope="session")
def lookalike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that records as whom it is run."""
    built = tmp_path_factory.mktemp("native") / "lookalike"
    subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-o", built, NATIVE / "lookalike.c"], check=True)
    return built


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of the neighbour's, below folders that root alone may write."""
    folder = Path(tempfile.mkdtemp(prefix="neighbour-", dir="/var"))
    folder.chmod(0o755)
    os.chown(folder, NEIGHBOUR, NEIGHBOUR)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def secret() -> Iterator[Path]:
    """A file of root's that nobody else may read."""
    folder = Path(tempfile.mkdtemp(prefix="secret-", dir="/var"))
    file = folder / "token.toml"
    file.write_text(f'token = "{PLANTED}"\n')
    file.chmod(0o600)
    yield file
    shutil.rmtree(folder)


def beside(neighbour: list[str], *argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The result of gpuctl, run by root on a machine on which the neighbour's process, and no engine, is running."""
    start = f"setpriv --reuid {NEIGHBOUR} --regid {NEIGHBOUR} --clear-groups {shlex.join(neighbour)} & sleep 0.3; "
    gpuctl = shlex.join([sys.executable, "-m", "gpuctl", *argv])
    return subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", f"{start}{gpuctl}; code=$?; kill %1; exit $code"],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "HOME": "/root"},
        timeout=60,
    )


COMMANDS = (
    ("doctor",),
    ("collect", "-o", "snapshot.gz"),
    ("install-runtime", "--engine", "containerd", "--dry-run"),
    ("install-runtime", "--engine", "containerd", "--runtime-path", "/bin/true"),
    ("smoke", "--dry-run"),
    ("explain", "runtime not found"),
    ("recommend", "--cuda", "12.4"),
)


@pytest.mark.parametrize(
    ("name", "argv"),
    [("containerd", argv) for argv in COMMANDS]
    + [(name, argv) for name in ("dockerd", "crio") for argv in COMMANDS[:2]],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:4]),
)
def test_no_program_of_another_user_is_run_and_no_file_that_it_names_is_read(
    lookalike: Path, home: Path, secret: Path, tmp_path: Path, name: str, argv: tuple[str, ...]
) -> None:
    program, config = home / name, home / "config.toml"
    shutil.copy(lookalike, program)
    config.write_text(f'version = 2\nimports = ["{secret}"]\n')
    for file in (program, config):
        os.chown(file, NEIGHBOUR, NEIGHBOUR)
    daemon = [str(program), "-c", str(config), "--config", str(config), "--config-file", str(config)]
    done = beside(daemon, *argv, cwd=tmp_path)
    assert not Path(f"{program}.ran").exists(), Path(f"{program}.ran").read_text()
    written = "".join(gzip.decompress(file.read_bytes()).decode() for file in tmp_path.iterdir())
    assert PLANTED not in done.stdout + done.stderr + written
    assert config.read_text().startswith("version = 2\nimports")
    assert done.returncode in (0, 1, 3), done.stderr


def test_it_is_said_whose_process_gpuctl_does_not_go_by(lookalike: Path, home: Path, tmp_path: Path) -> None:
    program = home / "containerd"
    shutil.copy(lookalike, program)
    done = beside([str(program)], "install-runtime", "--engine", "containerd", "--json", cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["changed"]) == (3, False)
    assert f"belongs to user {NEIGHBOUR}: gpuctl goes by root's only" in answer["error"]


def test_a_program_that_every_user_may_run_as_root_passes_for_no_daemon(home: Path, tmp_path: Path) -> None:
    waiting = home / "containerd"
    shutil.copy("/bin/sleep", waiting)
    waiting.chmod(0o4755)  # root's, and set-user-ID: whoever calls it chooses its name and its words
    command = ["sh", "-c", f"cd {home}; exec ./containerd 30"]
    done = beside(command, "install-runtime", "--engine", "containerd", "--json", cwd=tmp_path)
    assert "belongs to user 0 and 64321" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6777, 0o1777])
@pytest.mark.parametrize("argv", [("doctor", "-o"), ("collect", "-o"), ("matrix", "--svg")], ids=lambda argv: argv[0])
def test_a_result_over_another_users_file_never_keeps_what_lets_others_act_as_its_owner(
    home: Path, tmp_path: Path, mode: int, argv: tuple[str, str]
) -> None:
    place = tmp_path / "result"
    place.write_text("#!/bin/sh\n")
    os.chown(place, NEIGHBOUR, NEIGHBOUR)
    place.chmod(mode)
    option = f"json={place}" if argv[0] == "doctor" else str(place)
    beside(["sleep", "9"], *argv, option)
    seen = place.stat()
    assert (seen.st_uid, seen.st_mode & 0o7133) == (0, 0)
    assert seen.st_size > 100
