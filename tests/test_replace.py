"""The file that install-runtime writes is the old one or the new one, whole, whatever happens meanwhile."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from simhost import Done, SimHost, until
from simhost.held import held, let_go
from simhost.process import PATIENCE

OLD = b'{"debug": true}\n'
NEW = b'{"debug": true, "runtimes": {"nvidia": {"path": "/bin/true"}}}\n'
KILLS = [
    "flock:when=1",
    "fchmod:when=1",
    "fchmod:when=2",
    "utimensat:when=1",
    *(f"fsync:when={number}" for number in range(1, 7)),
    "renameat2:when=1",
]


@pytest.fixture
def host(sim_host: Callable[..., SimHost]) -> SimHost:
    """Without Docker: it is the file that counts here."""
    made: SimHost = sim_host(None, env={"PYTHONDONTWRITEBYTECODE": "1"})
    return made


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gpuctl-replace-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def config(folder: Path) -> Path:
    path = folder / "daemon.json"
    path.write_bytes(OLD)
    path.chmod(0o640)
    return path


@pytest.fixture
def mount() -> Iterator[Callable[..., None]]:
    """`mount(*argv)` mounts, and unmounts at the end."""
    with ExitStack() as stack:

        def make(*argv: str | Path) -> None:
            subprocess.run(["mount", *argv], check=True)
            stack.callback(subprocess.run, ["umount", argv[-1]], check=True)

        yield make


def install(host: SimHost, config: Path, *, strace: str = "", uid: int = 0, options: Sequence[str] = ()) -> Done:
    command = [sys.executable, "-m", "gpuctl", "install-runtime"]
    argv = [*command, f"--config={config}", "--runtime-path=/bin/true", *options]
    return host.run([*_strace(strace), *argv] if strace else argv, uid=uid)


def _strace(inject: str) -> list[str]:
    only = ["-e", f"trace={inject.partition(':')[0]}"]
    return ["strace", "-f", "-qq", "-o", "/dev/null", *only, "-e", f"inject={inject}"]


def leftovers(config: Path) -> list[str]:
    return [name for name in os.listdir(config.parent) if name.endswith(".tmp")]


def kept(config: Path) -> list[Path]:
    return sorted(config.parent.glob(f"{config.name}.gpuctl-*"))


@pytest.mark.parametrize("point", KILLS)
def test_a_kill_at_any_point_leaves_the_old_file_or_the_new_one(host: SimHost, config: Path, point: str) -> None:
    assert install(host, config, strace=point.replace(":", ":signal=KILL:")).code < 0
    assert config.read_bytes() in (OLD, NEW)
    assert config.stat().st_mode & 0o777 == 0o640
    assert install(host, config).code == 0
    assert config.read_bytes() == NEW
    assert not leftovers(config)
    assert [path.read_bytes() for path in kept(config)] == [OLD]


@pytest.mark.parametrize("point", KILLS[1:])
def test_a_failing_call_leaves_the_old_file_and_nothing_else(host: SimHost, config: Path, point: str) -> None:
    done = install(host, config, strace=point.replace(":", ":error=EIO:"))
    assert done.code == 4, done.err
    assert "Nothing was changed." in done.err and "Traceback" not in done.err
    assert os.listdir(config.parent) == [config.name]
    assert config.read_bytes() == OLD


def test_a_file_system_that_cannot_exchange_files_gets_the_new_one_all_the_same(host: SimHost, config: Path) -> None:
    done = install(host, config, strace="renameat2:error=EINVAL:when=1+")
    assert (done.code, config.read_bytes(), leftovers(config)) == (0, NEW, []), done.err


def test_a_full_disk_leaves_the_old_file(host: SimHost, folder: Path, mount: Callable[..., None]) -> None:
    mount("-t", "tmpfs", "-o", "size=16k", "tmpfs", folder)
    config = folder / "daemon.json"
    config.write_bytes(OLD)
    with pytest.raises(OSError), (folder / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 512)
    done = install(host, config)
    assert (done.code, config.read_bytes()) == (4, OLD)
    assert "No space left on device. Make room" in done.err
    assert sorted(os.listdir(folder)) == ["daemon.json", "filler"]


def test_a_read_only_file_system_is_said(host: SimHost, config: Path, mount: Callable[..., None]) -> None:
    mount("--bind", config.parent, config.parent)
    subprocess.run(["mount", "-o", "remount,ro,bind", config.parent], check=True)
    done = install(host, config)
    assert (done.code, config.read_bytes()) == (1, OLD)
    assert "mounted read-only" in done.err and "Nothing was changed." in done.err


def test_a_person_who_may_not_write_is_told_to_be_root(host: SimHost, config: Path) -> None:
    config.chmod(0o644)
    done = install(host, config, uid=65534)
    assert (done.code, config.read_bytes()) == (1, OLD)
    assert "Permission denied. Run gpuctl as root." in done.err


@pytest.mark.parametrize("place", ["daemon.json", "."])
@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["write", "dry-run"])
def test_what_is_immutable_is_seen_before_writing(
    host: SimHost, config: Path, place: str, options: tuple[str, ...]
) -> None:
    subprocess.run(["chattr", "+i", config.parent / place], check=True)
    try:
        done = install(host, config, options=options)
    finally:
        subprocess.run(["chattr", "-i", config.parent / place], check=True)
    assert (done.code, config.read_bytes()) == (1, OLD)
    assert "immutable (lsattr)" in done.err
    assert os.listdir(config.parent) == [config.name]


def test_a_file_that_is_a_mount_of_its_own_is_refused(host: SimHost, config: Path, mount: Callable[..., None]) -> None:
    source = config.with_name("source.json")
    shutil.copy(config, source)
    mount("--bind", source, config)
    done = install(host, config)
    assert (done.code, source.read_bytes()) == (1, OLD)
    assert "is a mount of its own" in done.err
    assert sorted(os.listdir(config.parent)) == ["daemon.json", "source.json"]


def test_a_file_with_several_hard_links_is_refused(host: SimHost, config: Path) -> None:
    config.with_name("other.json").hardlink_to(config)
    done = install(host, config)
    assert (done.code, config.read_bytes()) == (1, OLD)
    assert "several hard links" in done.err


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "directory"])
def test_what_is_no_file_is_refused_at_once(host: SimHost, folder: Path, make: Callable[[Path], None]) -> None:
    make(folder / "daemon.json")
    done = install(host, folder / "daemon.json")
    assert done.code == 1 and f"{folder}/daemon.json is not a regular file. Move away" in done.err


def test_a_link_stays_and_its_target_is_replaced(host: SimHost, config: Path, folder: Path) -> None:
    (folder / "real").mkdir()
    target = config.rename(folder / "real" / "docker.json")
    (folder / "middle").symlink_to("real/docker.json")
    config.symlink_to(folder / "middle")
    assert install(host, config).code == 0
    assert config.is_symlink() and (folder / "middle").is_symlink()
    assert target.read_bytes() == NEW
    assert [path.read_bytes() for path in kept(target)] == [OLD]


def test_no_folders_are_made_for_a_path_that_was_mistyped(host: SimHost, folder: Path) -> None:
    done = install(host, folder / "ect" / "docker" / "daemon.json")
    assert done.code == 1 and f"there is no directory {folder}/ect, in which" in done.err
    assert os.listdir(folder) == []
    assert install(host, folder / "docker" / "daemon.json").code == 0


def test_a_link_to_a_file_that_is_not_there_yet_stays(host: SimHost, folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "daemon.json").symlink_to("real/docker.json")
    assert install(host, folder / "daemon.json").code == 0
    assert (folder / "daemon.json").is_symlink()
    assert b'"/bin/true"' in (folder / "real/docker.json").read_bytes()


def test_mode_owner_attributes_and_acl_are_kept_and_the_backup_is_no_wider(host: SimHost, config: Path) -> None:
    os.chown(config, 0, 2345)  # root's: gpuctl edits no file of another user's
    config.chmod(0o600)
    os.setxattr(config, "user.note", b"mine")
    # A default ACL of the directory that would let user 1000 read all new files in it.
    acl = bytes.fromhex("02000000 01000700ffffffff 02000700e8030000 04000500ffffffff 10000700ffffffff 20000500ffffffff")
    os.setxattr(config.parent, "system.posix_acl_default", acl)
    assert install(host, config).code == 0
    for path in (config, *kept(config)):
        seen = path.stat()
        assert (seen.st_mode & 0o7777, seen.st_uid, seen.st_gid) == (0o600, 0, 2345)
        assert os.listxattr(path) == ["user.note"]
    assert len(kept(config)) == 1


def test_another_programs_edit_meanwhile_is_not_lost(host: SimHost, config: Path) -> None:
    argv = [sys.executable, "-m", "gpuctl", "install-runtime", f"--config={config}", "--runtime-path=/bin/true"]
    run = held(host, "fsync", 3, argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert leftovers(config)
    config.write_bytes(b'{"debug": false}\n')
    let_go(run)
    _, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 4
    assert b"was changed by another program just now. Run gpuctl again. Nothing was changed." in err
    assert config.read_bytes() == b'{"debug": false}\n'
    assert os.listdir(config.parent) == [config.name]


def test_a_run_waits_for_the_lock_of_another(host: SimHost, config: Path) -> None:
    place = host.path("/run/gpuctl/lock")
    place.parent.mkdir()
    lock = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    argv = [sys.executable, "-m", "gpuctl", "install-runtime", f"--config={config}", "--runtime-path=/bin/true"]
    waiting = host.popen(argv, stdout=subprocess.DEVNULL)
    assert until(lambda: any(one.exists() and one.samefile(place) for one in Path(f"/proc/{waiting.pid}/fd").iterdir()))
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.2)
    assert os.listdir(config.parent) == [config.name]
    os.close(lock)
    assert waiting.wait(PATIENCE) == 0
    assert config.read_bytes() == NEW
