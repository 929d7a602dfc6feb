"""The units that `gpuctl migrate run --target quadlet` writes, read by Podman's own generator."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from realhost import FORKY, build_root

from gpuctl.compat.knowledge.run_options import run_options
from gpuctl.migrate.run import line_of, migrated_to_unit

pytestmark = pytest.mark.bench
KINDS = [json.loads(line) for line in (Path(__file__).parent / "data/migrated_runs.jsonl").read_text().splitlines()]
VALUES = {
    **{"--cap-add": "SYS_NICE", "--cap-drop": "ALL", "--device": "/dev/snd", "--dns": "1.1.1.1", "--label": "a=b c"},
    **{"--env": "A=$X 100%", "--env-file": "/e", "--expose": "80", "--gidmap": "0:1:2", "--uidmap": "0:1:2"},
    **{"--mount": "type=tmpfs,destination=/t", "--network": "host", "--publish": "8080:80", "--pull": "always"},
    **{"--shm-size": "8g", "--sysctl": "net.core.somaxconn=9", "--ulimit": "memlock=-1", "--user": "1:2"},
    **{"--volume": "/a:/b:ro", "--workdir": "/w", "--annotation": "a=b", "--secret": "s", "--tmpfs": "/t:size=1g"},
    **{"--ip": "10.0.0.2", "--ip6": "fd00::2", "--userns": "keep-id", "--entrypoint": '["a", "b"]', "--tz": "local"},
}
"""Of options that have a key, and of which a made-up word would be no value."""


@pytest.fixture(scope="module")
def root() -> Path:
    return build_root(FORKY)


def started_by(root: Path, unit: str, folder: Path) -> list[str]:
    """The words with which the generated service starts the container."""
    (folder / "app.container").write_text(unit)
    script = 'mount --bind "$1" "$0"/mnt && QUADLET_UNIT_DIRS=/mnt exec chroot "$0" /usr/libexec/podman/quadlet -dryrun'
    argv = ["unshare", "--mount", "sh", "-c", script, str(root), str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "unsupported" in line or "error" in line.lower()]
    (start,) = [line for line in done.stdout.splitlines() if line.startswith("ExecStart=")]
    return [_said(word) for word in shlex.split(start.partition("=")[2])]


def _said(word: str) -> str:
    """A word as systemd hands it on."""
    return word.replace("\\x20", " ").replace("$$", "$").replace("%%", "%")


UNITS = [kind for kind in KINDS if kind["after"] and "$" not in kind["before"] and not kind["left"]]


@pytest.mark.parametrize("kind", UNITS, ids=lambda kind: kind["kind"])
def test_podman_reads_the_unit_of_each_command_that_needs_no_shell(
    root: Path, tmp_path: Path, kind: dict[str, str]
) -> None:
    done = migrated_to_unit(kind["before"])
    assert done.after.startswith("[Container]\n"), done.left
    assert any(word.startswith("nvidia.com/gpu=") for word in started_by(root, done.after, tmp_path))


def test_every_key_of_the_table_is_one_that_podman_takes_and_means_the_option(root: Path, tmp_path: Path) -> None:
    options = [row for row in {row.option: row for row in run_options("podman").values()}.values() if row.quadlet]
    words = [word for row in options for word in _given(row.option, row.takes_value)]
    done = migrated_to_unit(line_of(["podman", "run", *words, "example.org/app:1", "sh", "-c", 'echo "$X" 100%']))
    assert done.after.startswith("[Container]\n"), done.left
    started = started_by(root, done.after, tmp_path)
    assert started[-4:] == ["example.org/app:1", "sh", "-c", 'echo "$X" 100%']
    line = " ".join(started)
    missing = [
        value for option, value in VALUES.items() if value not in line and option not in ("--cap-add", "--cap-drop")
    ]
    assert missing == []


def _given(option: str, takes_value: bool) -> tuple[str, ...]:
    if option in ("--net", "--dns-opt", "--env-host"):
        return ()
    return (option, VALUES.get(option, "1")) if takes_value else (option,)
