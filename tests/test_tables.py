"""`gpuctl data`: tables that are newer than gpuctl take the place of its own, verified and whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate
from newer import DATA, DAY, NEWEST_DRIVER, NEXT_CUDA, NEXT_DAY, rows_of, with_next_cuda, write
from simhost import Bed, Done, SimHost

ROOT = Path(__file__).parents[1]
NOBODY = 65534
STEADY = {"PYTHONDONTWRITEBYTECODE": "1"}
SYSTEM = "/var/lib/gpuctl/data"
USER = "/home/sim/.local/share/gpuctl/data"
CHECK = ("check", f"--driver={NEWEST_DRIVER}", "--gpu=H100", "--cuda")


@pytest.fixture
def host(sim_host: Callable[..., SimHost]) -> SimHost:
    made: SimHost = sim_host(None, env=STEADY)
    return made


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where every user of the host can read."""
    with tempfile.TemporaryDirectory(prefix="gpuctl-tables-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def day_of(table: str) -> str:
    return next(str(row["as_of"]) for row in rows_of("tables") if row["table"] == table)


def marked(folder: Path, mark: str) -> Path:
    """A folder of two tables, in which every source is the mark."""
    tables = ("minor_versions", "toolkit_cves")
    return write(folder, **{table: [{**row, "source": mark} for row in rows_of(table)] for table in tables})


def marks(host: SimHost, **options: Any) -> set[str]:
    """The sources of those two tables as a run of gpuctl sees them."""
    shown = host.gpuctl("data", "show", "--json", **options)
    assert shown.code == 0, shown.err
    ours = [table for table in shown.json["tables"] if table["table"] in ("minor_versions", "toolkit_cves")]
    return {source["source"] for table in ours for source in table["sources"]}


def data(host: SimHost, command: str, *argv: str | Path, **options: Any) -> Done:
    """`gpuctl data COMMAND … --json`, whose JSON conforms to its schema."""
    done = host.gpuctl("data", command, "--json", *map(str, argv), **options)
    validate(done.json, json.loads((DATA / "schemas" / f"data-{command}.schema.json").read_text()))
    assert "Traceback" not in done.err
    return done


# What is shown and verified


def test_every_table_is_shown_with_its_rows_its_day_and_its_sources(host: SimHost) -> None:
    done = data(host, "show")
    assert (done.code, done.json["overlay"], done.json["notes"]) == (0, None, [])
    shown = {table["table"]: table for table in done.json["tables"]}
    assert sorted((*shown, "tables")) == sorted(path.stem for path in DATA.glob("*.jsonl"))
    images = shown["images"]
    assert (images["as_of"], images["rows"], images["bundled"]) == (day_of("images"), len(rows_of("images")), True)
    for table in shown.values():
        counts = [source["rows"] for source in table["sources"]]
        assert (sum(counts), counts) == (table["rows"], sorted(counts, reverse=True))
    text = host.gpuctl("data", "show").out
    assert len(text.splitlines()) == len(shown) + 1
    assert len(host.gpuctl("data", "show", "-v").out.splitlines()) > 2 * len(shown)


def test_the_bundled_tables_verify(host: SimHost) -> None:
    done = data(host, "verify")
    assert (done.code, done.json["problems"], done.json["overlay"]) == (0, [], None)
    assert host.gpuctl("data", "verify").out.endswith("(gpuctl's own tables): nothing is wrong.\n")


def test_all_that_is_wrong_is_listed_a_screenful_at_a_time(host: SimHost, folder: Path) -> None:
    write(folder, images=[{**row, "source": " "} for row in rows_of("images")])
    done = data(host, "verify", folder)
    count = len(rows_of("images"))
    assert (done.code, len(done.json["problems"])) == (1, count)
    assert done.json["problems"][7] == {
        "file": f"{folder}/images.jsonl",
        "line": 8,
        "message": "The row names no source.",
    }
    lines = host.gpuctl("data", "verify", folder.as_posix()).out.splitlines()
    assert len(lines) == 22
    assert lines[20].strip() == f"and {count - 20} more, which --json lists"
    assert lines[21].endswith(f": {count} problems.")


@pytest.mark.parametrize("command", ["verify", "use"])
def test_a_folder_that_is_not_there_or_holds_no_table_is_wrong_usage(host: SimHost, folder: Path, command: str) -> None:
    (folder / "notes.txt").write_text("none")
    for name, said in ((folder / "nowhere", "No such file or directory."), (folder, "holds no table.")):
        done = host.gpuctl("data", command, str(name))
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Error: ") and said in done.err and len(done.err.splitlines()) == 1


# What GPUCTL_DATA puts over the bundled tables


def test_newer_tables_take_the_place_of_bundled_ones_without_a_release(host: SimHost, folder: Path) -> None:
    env = {"GPUCTL_DATA": str(write(folder, **with_next_cuda()))}
    assert host.gpuctl(*CHECK, NEXT_CUDA).code == 3
    for _ in range(2):  # verified, and remembered
        done = host.gpuctl(*CHECK, NEXT_CUDA, "--json", env=env)
        assert (done.code, done.json["verdict"]) == (0, "limited"), done.err
    shown = data(host, "show", env=env).json
    assert shown["overlay"] == {"folder": str(folder), "chosen_by": "GPUCTL_DATA"}
    over = {table["table"] for table in shown["tables"] if not table["bundled"]}
    assert over == {"cuda_rows", "driver_branches", "toolkits"}
    assert {table["as_of"] for table in shown["tables"] if not table["bundled"]} == {DAY}
    assert data(host, "verify", env=env).json["overlay"] == str(folder)


def test_a_table_replaces_the_bundled_one_as_a_whole(host: SimHost, folder: Path) -> None:
    write(folder, toolkit_cves=rows_of("toolkit_cves")[:3])
    shown = data(host, "show", env={"GPUCTL_DATA": str(folder)}).json
    assert next(table["rows"] for table in shown["tables"] if table["table"] == "toolkit_cves") == 3


def test_a_mounted_configmap_and_an_editors_hidden_files_are_no_strange_names(host: SimHost, folder: Path) -> None:
    write(folder / "..2027_02_01", minor_versions=rows_of("minor_versions"))
    (folder / "..data").symlink_to("..2027_02_01")
    for name in ("minor_versions.jsonl", "tables.jsonl"):
        (folder / name).symlink_to(f"..data/{name}")
    (folder / ".minor_versions.jsonl.swp").write_bytes(b"\x00")
    assert data(host, "verify", folder).code == 0


def test_the_data_folder_of_a_checkout_is_an_overlay(host: SimHost) -> None:
    done = data(host, "verify", DATA)
    assert (done.code, done.json["problems"]) == (0, [])


def strange(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text("")


def in_place(make: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """What makes something else in a table's place."""

    def spoil(folder: Path) -> None:
        table = folder / "minor_versions.jsonl"
        table.unlink()
        make(table)

    return spoil


def huge(table: Path) -> None:
    with table.open("wb") as file:
        file.truncate(1 << 30)


def fields(**changes: Any) -> Callable[[Path], Any]:
    """What gives the first row of minor_versions other fields."""
    rows = rows_of("minor_versions")
    return lambda folder: write(folder, minor_versions=[{**rows[0], **changes}, *rows[1:]])


UNREADABLE = "minor_versions.jsonl: This file cannot be read: "
HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a misspelt name": (strange("cuda_row.jsonl"), "cuda_row.jsonl: gpuctl knows no such table."),
    "another ending": (strange("cuda_rows.json"), "cuda_rows.json: gpuctl knows no such table."),
    "a deep folder": (
        lambda folder: (folder / "deep").joinpath(*"x" * 60).mkdir(parents=True),
        "deep: gpuctl knows no such table.",
    ),
    "a FIFO": (in_place(os.mkfifo), UNREADABLE + "not a regular file."),
    "a device": (in_place(lambda table: table.symlink_to("/dev/zero")), UNREADABLE + "not a regular file."),
    "a folder": (in_place(Path.mkdir), UNREADABLE + "Is a directory."),
    "a link to itself": (in_place(lambda table: table.symlink_to(table)), UNREADABLE + "Too many levels of symbolic"),
    "a dangling link": (in_place(lambda table: table.symlink_to("nowhere")), UNREADABLE + "No such file or directory."),
    "a gigabyte": (in_place(huge), UNREADABLE + "larger than 4 MiB."),
    "binary junk": (
        in_place(lambda table: table.write_bytes(bytes(range(256)) * 100)),
        "minor_versions.jsonl:2: This line holds bytes that are no UTF-8.",
    ),
    "deep nesting": (
        in_place(lambda table: table.write_text("[" * 1_000_000)),
        "minor_versions.jsonl:1: This line is nested too deeply.",
    ),
    "an empty file": (in_place(Path.touch), "minor_versions.jsonl: The table holds no row."),
    "a wrong type": (fields(major="x"), "minor_versions.jsonl:1: major: 'x' is not of type 'integer'."),
    "no source": (fields(source="  "), "minor_versions.jsonl:1: The row names no source."),
    "no order": (fields(min_driver="9999.1"), "minor_versions.jsonl:2: `min_driver` does not ascend"),
    "no catalogue": (lambda folder: (folder / "tables.jsonl").unlink(), "tables.jsonl: This file is missing"),
    "a table without a day": (
        lambda folder: shutil.copy(DATA / "toolkit_cves.jsonl", folder),
        "tables.jsonl: No row says of which day toolkit_cves is.",
    ),
    "a day that is none": (
        lambda folder: write(folder, "2027-02-31", minor_versions=rows_of("minor_versions")),
        "tables.jsonl:1: 2027-02-31 is no day.",
    ),
    "a hole": (
        lambda folder: write(
            folder,
            minor_versions=rows_of("minor_versions"),
            cuda_rows=[row for row in rows_of("cuda_rows") if row["cuda"] != "12.4"],
        ),
        "cuda_rows.jsonl:80: CUDA 12.4 is missing between 12.3 and 12.5. It is one of ",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_an_overlay_with_anything_wrong_is_refused_whole(host: SimHost, folder: Path, what: str) -> None:
    write(folder, minor_versions=rows_of("minor_versions"))
    spoil, sentence = HOSTILE[what]
    spoil(folder)
    done = host.gpuctl(*CHECK, "12.4", env={"GPUCTL_DATA": str(folder)}, timeout=300)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"Error: The tables of GPUCTL_DATA are refused: {folder}/{sentence}")
    assert len(done.err.splitlines()) == 1
    assert data(host, "verify", folder).code == 1
    assert data(host, "use", folder).code == 1
    assert not host.path(SYSTEM).exists()


@pytest.mark.parametrize("argv", [("doctor",), ("matrix",), ("smoke",), ("install-runtime",), ("data", "show")])
def test_every_command_that_loads_tables_refuses_and_the_others_work(
    host: SimHost, folder: Path, argv: tuple[str, ...]
) -> None:
    env = {"GPUCTL_DATA": str(folder)}
    refused = host.gpuctl(*argv, env=env)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        f"Error: The tables of GPUCTL_DATA cannot be used: {folder} holds no table. "
        "Correct them or unset GPUCTL_DATA.\n"
    )
    for works in (("--version",), (*argv, "--help")):
        assert host.gpuctl(*works, env=env).code == 0
    assert "GPUCTL_DATA" not in host.gpuctl("rollback", env=env).err


def test_what_this_user_may_not_read_is_said(host: SimHost, folder: Path) -> None:
    write(folder, minor_versions=rows_of("minor_versions"))
    (folder / "minor_versions.jsonl").chmod(0)
    done = host.gpuctl("matrix", env={"GPUCTL_DATA": str(folder)}, uid=NOBODY)
    assert done.code == 2 and f"{folder}/{UNREADABLE}Permission denied." in done.err
    folder.chmod(0)
    done = host.gpuctl("matrix", env={"GPUCTL_DATA": str(folder)}, uid=NOBODY)
    assert done.code == 2 and f"cannot be used: cannot read {folder}: Permission denied." in done.err


def test_names_of_others_reach_no_terminal(host: SimHost, folder: Path) -> None:
    write(folder, minor_versions=rows_of("minor_versions"))
    (folder / "\x1b[31mred.jsonl").touch()
    (folder / os.fsdecode(b"\xff.jsonl")).touch()
    for done in (host.gpuctl("matrix", env={"GPUCTL_DATA": str(folder)}), host.gpuctl("data", "verify", str(folder))):
        assert done.code in (1, 2)
        assert "\x1b" not in done.out + done.err and "Traceback" not in done.err


# What is remembered of an overlay that was verified


def verified_anew(host: SimHost, folder: Path, **options: Any) -> bool:
    """Whether a run loads what verifies tables."""
    env = {"GPUCTL_DATA": str(folder), **options.pop("env", {})}
    argv = [sys.executable, "-X", "importtime", "-m", "gpuctl", *CHECK, "12.4"]
    done = host.run(argv, env=env, **options)
    assert done.code == 0
    loaded = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert ("jsonschema" in loaded) == ("gpuctl.compat.tables.verify" in loaded)
    return "jsonschema" in loaded


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_an_overlay_is_verified_once_and_again_after_any_change(host: SimHost, folder: Path, uid: int) -> None:
    marked(folder, "one page")
    assert verified_anew(host, folder, uid=uid)
    assert not verified_anew(host, folder, uid=uid)
    seen = (folder / "toolkit_cves.jsonl").stat()
    table = folder / "toolkit_cves.jsonl"
    table.write_text(table.read_text().replace("one page", "two page"))
    os.utime(table, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert verified_anew(host, folder, uid=uid)
    (folder / "cuda_row.jsonl").touch()
    assert host.gpuctl("matrix", env={"GPUCTL_DATA": str(folder)}, uid=uid).code == 2


def test_what_root_has_verified_nobody_verifies_again(host: SimHost, folder: Path) -> None:
    assert verified_anew(host, marked(folder, "a page"))
    assert not verified_anew(host, folder, uid=NOBODY)


def test_a_note_that_others_may_have_written_is_not_believed(host: SimHost, folder: Path) -> None:
    marked(folder, "a page")
    cache = folder.parent / f"{folder.name}-cache"
    env = {"XDG_CACHE_HOME": str(cache)}
    cache.mkdir(mode=0o777)
    cache.chmod(0o777)
    try:
        assert verified_anew(host, folder, uid=NOBODY, env=env)
        assert not verified_anew(host, folder, uid=NOBODY, env=env)
        note = cache / "gpuctl" / "verified-tables"
        os.chown(note, 1234, 1234)
        assert verified_anew(host, folder, uid=NOBODY, env=env)
        os.chown(note, NOBODY, NOBODY)
        note.parent.chmod(0o777)
        assert verified_anew(host, folder, uid=NOBODY, env=env)
        note.parent.chmod(0o755)
        note.unlink()
        os.mkfifo(note)
        os.chown(note, NOBODY, NOBODY)
        assert verified_anew(host, folder, uid=NOBODY, env=env)
    finally:
        shutil.rmtree(cache)


def test_a_user_without_a_home_verifies_each_time_and_sees_no_error(host: SimHost, folder: Path) -> None:
    marked(folder, "a page")
    for _ in range(2):
        assert verified_anew(host, folder, uid=NOBODY, env={"HOME": "/nonexistent"})
    done = host.gpuctl("data", "use", str(folder), uid=NOBODY, env={"HOME": "/nonexistent"})
    assert done.code == 1 and "Permission denied." in done.err and "Nothing was changed." in done.err
    done = host.run(["env", "-u", "HOME", sys.executable, "-m", "gpuctl", "data", "use", folder.as_posix()], uid=12345)
    assert done.code == 1 and "There is no home folder here to install tables in" in done.err


# What is installed


@pytest.mark.parametrize(("uid", "place"), [(0, SYSTEM), (NOBODY, USER)], ids=["root", "user"])
def test_installed_tables_are_what_later_runs_go_by_until_they_are_taken_away(
    host: SimHost, folder: Path, uid: int, place: str
) -> None:
    planned = data(host, "use", write(folder, **with_next_cuda()), "--dry-run", uid=uid)
    assert (planned.code, planned.json["changed"]) == (0, True)
    assert planned.json["steps"] == [
        {"text": f"install 3 tables of {folder} in {place}", "disturbs": "nothing", "undo": "", "diff": ""}
    ]
    assert not host.path(place).exists()

    done = data(host, "use", folder, uid=uid)
    assert (done.code, done.json["changed"], done.json["folder"]) == (0, True, place)
    rows = len(rows_of("cuda_rows")) + 1
    assert done.json["tables"][0] == {
        "table": "cuda_rows",
        "as_of": DAY,
        "rows": rows,
        "added": 1,
        "removed": 0,
    }
    shutil.rmtree(folder)
    folder.mkdir(mode=0o755)
    assert host.gpuctl(*CHECK, NEXT_CUDA, uid=uid).code == 0
    assert data(host, "show", uid=uid).json["overlay"]["folder"] == place

    before = everything(host.path(place).parent)
    again = data(host, "use", write(folder, **with_next_cuda()), uid=uid)
    assert (again.code, again.json["changed"], again.json["steps"]) == (0, False, [])
    assert everything(host.path(place).parent) == before

    assert data(host, "use", "--bundled", "--dry-run", uid=uid).json["changed"] is True
    back = data(host, "use", "--bundled", uid=uid)
    assert (back.code, back.json["changed"]) == (0, True)
    assert os.listdir(host.path(place).parent) == []
    assert host.gpuctl(*CHECK, NEXT_CUDA, uid=uid).code == 3
    assert data(host, "use", "--bundled", uid=uid).json["changed"] is False


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of modification of a folder and all in it."""
    found = [folder, *folder.rglob("*")]
    return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in found}


def test_gpuctl_data_comes_before_the_users_tables_and_those_before_the_systems(host: SimHost, folder: Path) -> None:
    assert data(host, "use", marked(folder / "system", "system's")).code == 0
    assert marks(host, uid=NOBODY) == {"system's"}
    assert data(host, "use", marked(folder / "user", "user's"), uid=NOBODY).code == 0
    assert marks(host, uid=NOBODY) == {"user's"}
    assert marks(host) == {"system's"}
    env = {"GPUCTL_DATA": str(marked(folder / "named", "named"))}
    assert marks(host, uid=NOBODY, env=env) == {"named"}
    assert marks(host, uid=NOBODY, env={"GPUCTL_DATA": ""}) == {"user's"}
    noted = data(host, "use", folder / "user", uid=NOBODY, env=env).json["notes"]
    assert noted == [f"GPUCTL_DATA is set: while it is, {folder}/named counts."]
    back = data(host, "use", "--bundled", uid=NOBODY).json
    assert back["notes"] == [f"The tables that root has installed in {SYSTEM} count then."]
    assert marks(host, uid=NOBODY) == {"system's"}


def test_a_home_folder_that_came_along_through_sudo_decides_nothing_for_root(host: SimHost, folder: Path) -> None:
    assert data(host, "use", marked(folder, "user's"), uid=NOBODY).code == 0
    assert data(host, "show").json["overlay"] is None


def test_what_root_installs_everybody_reads_whatever_the_umask(host: SimHost, folder: Path) -> None:
    script = f"umask 077; {sys.executable} -m gpuctl data use {marked(folder, 'a page')}"
    assert host.run(["sh", "-c", script]).code == 0
    assert marks(host, uid=NOBODY) == {"a page"}


def test_a_folder_that_gpuctl_did_not_make_is_left_alone(host: SimHost, folder: Path) -> None:
    host.path(SYSTEM).mkdir(parents=True)
    marked(host.path(SYSTEM), "by hand")
    assert marks(host) == {"by hand"}
    for argv in ([str(marked(folder, "a page"))], ["--bundled"]):
        done = host.gpuctl("data", "use", *argv)
        assert done.code == 1 and f"{SYSTEM} was not made by gpuctl. Move it away" in done.err
    assert marks(host) == {"by hand"}


def test_installed_tables_that_were_spoilt_are_refused_and_can_be_taken_away(host: SimHost, folder: Path) -> None:
    assert data(host, "use", marked(folder, "a page")).code == 0
    installed = next(path for path in host.path(SYSTEM).parent.iterdir() if not path.is_symlink())
    (installed / "minor_versions.jsonl").write_text("{}\n")
    done = host.gpuctl("matrix")
    assert done.code == 2
    assert f"The installed tables are refused: {SYSTEM}/minor_versions.jsonl:1: 'major' is a required" in done.err
    assert "As root, go back to gpuctl's own with `gpuctl data use --bundled`." in done.err
    assert data(host, "use", folder).json["changed"] is True
    assert host.gpuctl("matrix").code == 0
    installed = next(path for path in host.path(SYSTEM).parent.iterdir() if not path.is_symlink())
    (installed / "strange").touch()
    assert f"{SYSTEM}/strange: gpuctl knows no such table." in host.gpuctl("matrix").err
    assert data(host, "use", folder).json["changed"] is True
    assert data(host, "use", "--bundled").json["changed"] is True
    assert host.gpuctl("matrix").code == 0


# Older than gpuctl's own


def test_tables_older_than_gpuctls_own_are_not_installed(host: SimHost, folder: Path) -> None:
    done = data(host, "use", write(folder, "2025-01-01", minor_versions=rows_of("minor_versions")))
    sentence = f"The table minor_versions is of 2025-01-01, and gpuctl's own of {day_of('minor_versions')} is newer."
    assert (done.code, [problem["message"] for problem in done.json["problems"]]) == (1, [sentence])
    # Who names the folder for one run gets it, and is told.
    env = {"GPUCTL_DATA": str(folder)}
    assert host.gpuctl("matrix", env=env).code == 0
    assert "older than gpuctl's own, and counts all the same." in data(host, "show", env=env).json["notes"][0]


def test_an_upgrade_of_gpuctl_overtakes_installed_tables(host: SimHost, folder: Path) -> None:
    assert data(host, "use", marked(folder / "tables", "a page")).code == 0
    upgraded = folder / "upgraded"
    for part in ("gpuctl", "data"):
        shutil.copytree(ROOT / part, upgraded / part)
    catalogue = upgraded / "data" / "tables.jsonl"
    newer = [{**row, "as_of": NEXT_DAY} if row["table"] == "toolkit_cves" else row for row in rows_of("tables")]
    catalogue.write_text("".join(json.dumps(row) + "\n" for row in newer))
    env = {"PYTHONPATH": str(upgraded)}
    shown = data(host, "show", env=env).json
    note = f"{SYSTEM}: toolkit_cves is of {DAY}, older than gpuctl's own, and does not count any more."
    assert shown["notes"] == [note]
    assert [table["table"] for table in shown["tables"] if not table["bundled"]] == ["minor_versions"]
    verified = data(host, "verify", env=env)
    assert (verified.code, verified.json["notes"]) == (0, [note])
    assert note in host.gpuctl("data", "verify", env=env).out


# Whole or not at all


BEFORE = [
    "mkdir:when=1",
    "chmod:when=1",
    *(f"fchmod:when={number}" for number in range(1, 4)),
    *(f"fsync:when={number}" for number in range(1, 6)),
    "symlink:when=1",
    "rename:when=1",
]
AFTER = ["fsync:when=6", "unlinkat:when=1", "unlinkat:when=2", "rmdir:when=1", "renameat:when=1"]


def stopped(host: SimHost, folder: Path, inject: str) -> Done:
    """`gpuctl data use` under strace, which meddles with a system call."""
    strace = ["-f", "-qq", "-o", "/dev/null", "-e", f"trace={inject.partition(':')[0]}", "-e", f"inject={inject}"]
    return host.gpuctl("data", "use", str(folder), strace=strace)


def lying_beside(host: SimHost) -> int:
    """How many things lie where root's tables are installed."""
    return len(os.listdir(host.path(SYSTEM).parent))


def installed(host: SimHost) -> set[str]:
    """The sources of the two tables that are installed for all, of which each has only one."""
    found = host.path(SYSTEM).resolve()
    return {json.loads(line)["source"] for line in (found / "toolkit_cves.jsonl").read_text().splitlines()}


@pytest.fixture(scope="module")
def old_tables(bed: Bed) -> Iterator[Path]:
    """What lies in /var/lib/gpuctl when the tables marked "old" are installed."""
    with closing(SimHost(bed, None, env=STEADY)) as host, tempfile.TemporaryDirectory(prefix="gpuctl-tables-") as name:
        assert data(host, "use", marked(Path(name), "old")).code == 0
        assert marks(host) == installed(host) == {"old"}
        yield host.path(SYSTEM).parent


@pytest.fixture
def with_old(host: SimHost, old_tables: Path) -> SimHost:
    """A host on which they are installed, with the folder of the lock under which that was done."""
    shutil.copytree(old_tables, host.path(SYSTEM).parent, symlinks=True, dirs_exist_ok=True)
    host.path("/run/gpuctl").mkdir(mode=0o700)
    return host


@pytest.mark.parametrize("point", ["flock:when=1", *BEFORE, *AFTER])
def test_a_kill_at_any_point_leaves_the_old_tables_or_the_new_ones(with_old: SimHost, folder: Path, point: str) -> None:
    new = marked(folder, "new")
    assert stopped(with_old, new, point.replace(":", ":signal=KILL:")).code < 0
    assert installed(with_old) == ({"new"} if point in AFTER else {"old"})
    assert data(with_old, "use", new).code == 0
    assert (installed(with_old), lying_beside(with_old)) == ({"new"}, 2)  # the link and its folder


@pytest.mark.parametrize("point", BEFORE)
def test_a_failing_call_leaves_the_old_tables_and_nothing_else(with_old: SimHost, folder: Path, point: str) -> None:
    done = stopped(with_old, marked(folder, "new"), point.replace(":", ":error=EIO:"))
    assert done.code == 4, done.err
    assert done.err.endswith("Nothing was changed.\n") and SYSTEM in done.err
    assert (installed(with_old), lying_beside(with_old)) == ({"old"}, 2)


@pytest.mark.parametrize("point", AFTER)
def test_what_fails_after_the_new_tables_count_is_no_failure(with_old: SimHost, folder: Path, point: str) -> None:
    done = stopped(with_old, marked(folder, "new"), point.replace(":", ":error=EIO:"))
    assert (done.code, done.err) == (0, "")
    assert installed(with_old) == {"new"}


AT_ONCE = """
import json, subprocess, sys
from concurrent.futures import ThreadPoolExecutor

def run(number):
    argv = ["use", f"{sys.argv[1]}/{('one', 'other')[number % 2]}"] if number % 3 else ["show"]
    done = subprocess.run([sys.executable, "-m", "gpuctl", "data", *argv, "--json"], capture_output=True, text=True)
    shown = json.loads(done.stdout)["tables"] if argv == ["show"] else []
    ours = [table for table in shown if table["table"] in ("minor_versions", "toolkit_cves")]
    seen = {source["source"] for table in ours for source in table["sources"]}
    return done.returncode, done.stderr, " and ".join(seen)

with ThreadPoolExecutor(8) as pool:
    for end in pool.map(run, range(60)):
        print(json.dumps(end))
"""


def test_runs_at_the_same_time_see_and_leave_one_folder_whole(host: SimHost, folder: Path) -> None:
    for mark in ("one", "other"):
        marked(folder / mark, mark)
    assert data(host, "use", folder / "one").code == 0
    done = host.run([sys.executable, "-c", AT_ONCE, folder.as_posix()], timeout=300)
    assert (done.code, done.err) == (0, "")
    ends = [json.loads(line) for line in done.out.splitlines()]
    assert {(code, error) for code, error, _ in ends} == {(0, "")}
    assert {mark for _, _, mark in ends} == {"one", "other", ""}
    assert (marks(host) < {"one", "other"}, lying_beside(host)) == (True, 2)
