"""What every command promises to whoever calls it: exit codes, streams, JSON, on hosts that lack things."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from simhost import Dockerd, SimHost, Toolkit, is_running, until, warm

from gpuctl.cli.frame.app import COMMANDS

ROOT = Path(__file__).parents[1]
NOBODY = 65534
NEEDS_A_HOST = (
    ("doctor",),
    ("explain", "could not select device driver"),
    ("check", "--cuda", "10.1"),
    ("matrix",),
    ("recommend", "--cuda", "12.4"),
    ("image",),
    ("install-runtime",),
    ("uninstall-runtime",),
    ("rollback",),
    ("history",),
    ("smoke",),
)
GO_BY_THE_JOURNAL = dict.fromkeys(("uninstall-runtime", "rollback", "history"), 0)
"""They look at a host's engine only where gpuctl has changed something."""
HERE = [sys.executable, "-m", "gpuctl"]


def run(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return warm.gpuctl(*argv, **options)


def conforms(command: str, text: str) -> bool:
    document = json.loads(text)
    schema = json.loads((ROOT / "data" / "schemas" / f"{command}.schema.json").read_text())
    Draft202012Validator(schema).validate(document)
    return bool(document["schema"] == f"gpuctl.{command}/1")


def says_a_sentence(out: str, err: str) -> bool:
    return "Traceback" not in out + err and bool((out + err).strip())


@pytest.mark.parametrize("argv", NEEDS_A_HOST, ids=lambda argv: argv[0])
def test_on_a_host_without_gpu_and_docker(argv: tuple[str, ...], sim_host: Callable[..., SimHost]) -> None:
    done = sim_host(None).gpuctl(*argv)
    assert says_a_sentence(done.out, done.err)
    assert done.code == {**GO_BY_THE_JOURNAL, "matrix": 0, "image": 3}.get(argv[0], 1)


@pytest.mark.parametrize("argv", NEEDS_A_HOST, ids=lambda argv: argv[0])
def test_json_is_all_there_is_on_stdout_even_where_the_answer_is_no(
    argv: tuple[str, ...], sim_host: Callable[..., SimHost]
) -> None:
    assert conforms(argv[0], sim_host(None).gpuctl(*argv, "--json").out)


@pytest.mark.parametrize("argv", NEEDS_A_HOST, ids=lambda argv: argv[0])
def test_without_permission_to_ask_docker(
    argv: tuple[str, ...], sim_host: Callable[..., SimHost], dockerd: Dockerd
) -> None:
    done = sim_host("v100", dockerd=dockerd).gpuctl(*argv, uid=NOBODY)
    assert says_a_sentence(done.out, done.err)
    asks_no_docker = dict.fromkeys(("matrix", "check", "recommend", "image"), 0)
    of_root = dict.fromkeys(GO_BY_THE_JOURNAL, 2)  # whose runs are not to be read
    assert done.code == {**asks_no_docker, **of_root, "install-runtime": 3, "collect": 3}.get(argv[0], 1)


@pytest.mark.parametrize(
    ("argv", "option"),
    [
        (("collect",), "-o"),
        (("collect", "-o", "/etc/host.jsonl.gz"), ""),
        (("fleet", "doctor", "-i", "localhost,"), "--run"),
        (("fleet", "doctor", "-i", "localhost,", "--run", "/etc/run"), "--run"),
    ],
)
def test_a_result_that_the_folder_does_not_take_names_the_folder(
    argv: tuple[str, ...], option: str, sim_host: Callable[..., SimHost]
) -> None:
    done = sim_host(None).gpuctl(*argv, uid=NOBODY, cwd="/")
    assert (done.code, done.out) == (3, "")
    said = " ".join(done.err.split())
    assert re.search(r"Permission denied\. The folder /(etc)? ?is closed to this user", said), said
    assert "as root" not in said and said.endswith(f"{option} names it." if option else "in another.")


def test_a_change_that_cannot_begin_says_what_to_do(sim_host: Callable[..., SimHost], dockerd: Dockerd) -> None:
    done = sim_host("v100", dockerd=dockerd).gpuctl("install-runtime", uid=NOBODY)
    assert "Permission denied. Nothing was changed.\n  Run gpuctl as root" in done.err
    lost = sim_host("v100", env={"DOCKER_HOST": "tcp://[::1"}).gpuctl("install-runtime")
    assert lost.code == 3
    assert "'tcp://[::1' is no address. Nothing was changed.\n" in lost.err and "gpuctl doctor" in lost.err


@pytest.mark.parametrize("argv", NEEDS_A_HOST, ids=lambda argv: argv[0])
def test_with_stdin_closed(argv: tuple[str, ...], sim_host: Callable[..., SimHost]) -> None:
    done = sim_host(None).gpuctl(*argv, stdin=None)
    assert says_a_sentence(done.out, done.err)
    assert done.code in (0, 1, 3)


def test_json_conforms_on_a_host_with_gpus(
    sim_host: Callable[..., SimHost], toolkit: Toolkit, dockerd: Dockerd
) -> None:
    host = sim_host("a100x8", dockerd=dockerd)
    assert conforms("doctor", host.gpuctl("doctor", "--json").out)
    for command in ("matrix", "recommend", "image"):
        assert conforms(command, host.gpuctl(command, "--json").out)
    done = host.gpuctl("check", "--cuda", "12.2", "--json")
    assert conforms("check", done.out)
    assert [gpu["verdict"] for gpu in done.json["gpus"]] == ["compatible"] * 8


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("--cuda", "10.1", "--driver", "418.87", "--gpu", "V100"), 0),
        (("--cuda", "12.4", "--driver", "525.60.13", "--gpu", "T4"), 0),
        (("--cuda", "12.4", "--driver", "525.60.13", "--gpu", "T4", "--strict"), 1),
        (("--cuda", "13.0", "--driver", "535.161.08", "--gpu", "A100"), 1),
        (("--cuda", "10.1", "--driver", "384.130", "--gpu", "GeForce GTX 1080"), 1),
        (("--cuda", "99.0", "--driver", "580.65.06", "--gpu", "H100"), 3),
    ],
    ids=["compatible", "limited", "limited-strict", "needs-package", "incompatible", "unknown"],
)
def test_the_verdict_decides_the_exit_code(argv: tuple[str, ...], code: int) -> None:
    assert run("check", *argv).returncode == code


@pytest.mark.parametrize(
    "argv",
    [
        ("check", "--cuda", "banana", "--driver", "418.87", "--gpu", "V100"),
        ("check", "--cuda", "10.1", "--driver", "5", "--gpu", "V100"),
        ("check", "--cuda", "10.1", "--driver", "418.87", "--gpu", "Voodoo 2"),
        ("check", "--cuda", "10.1", "--driver", "418.87", "--gpu", "RTX"),
        ("check",),
        ("matrix", "--cuda", "\x1b[31m"),
        ("matrix", "--gpu", "Voodoo 2"),
        ("matrix", "--json", "--csv"),
        ("recommend", "--cuda", "12,4"),
        ("image", "--os", "\x1b[31m"),
        ("doctor", "--only", "dokcer"),
        ("doctor", "--only", ""),
        ("doctor", "--only", "docker", "--skip", "docker"),
        ("smoke", "--gpus", "device="),
        ("install-runtime", "--name", "../x"),
        ("install-runtime", "--timeout", "nan"),
        ("install-runtime", "--timeout", "inf"),
        ("install-runtime", "--config", ""),
        ("install-runtime", "--runtime-path", ""),
        ("install-runtime", "--from-bundle", ""),
        ("install-runtime", "--from-bundle", "nowhere"),
        ("install-runtime", "--from-bundle", "README.md"),
        ("bundle",),
        ("bundle", "--os", "debian12"),
        ("bundle", "--os", "\x1b[31m", "-o", "x"),
        ("bundle", "--os", "debian12", "-o", "nowhere/x", "--zipapp", "README.md"),
        ("rollback", "--timeout", "1e300"),
        ("rollback", "--config", ""),
        ("smoke", "--timeout", "nan"),
        ("smoke", "--pull-timeout", "x"),
        ("smoke", "--image", ""),
        ("smoke", "--runtime", ""),
        ("data", "verify", ""),
        ("doctor", "--from", ""),
        ("doctor", "--from", "nowhere"),
        ("smoke", "--from", "nowhere"),
        ("collect", "--output", ""),
        ("diff", "nowhere"),
        ("diff", "nowhere", "nowhere"),
        ("diff", "-", "-"),
        ("frobnicate",),
        ("doctor", "--frobnicate"),
        ("data", "frobnicate"),
        ("data", "use"),
        ("data", "use", "tables", "--bundled"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_sentence_on_stderr_and_exit_code_2(argv: tuple[str, ...]) -> None:
    done = run(*argv)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    narrow = run(*argv, env={**os.environ, "COLUMNS": "60"})
    assert narrow.stderr.split() == done.stderr.split()
    assert all(len(line) <= 60 for line in narrow.stderr.splitlines())


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (("dcotor",), "doctor"),
        (("help", "chek"), "check"),
        (("data", "vrify"), "verify"),
        (("fleet", "report"), "judge"),
        (("doctor", "--only", "drivr"), "driver"),
        (("doctor", "--skip", "driver.nvm"), "driver.nvml"),
        (("doctor", "--jsno"), "--json"),
        (("explain", "no-gpu-device-drver"), "no-gpu-device-driver"),
        (("explain", "dokcer.client"), "docker.client"),
    ],
    ids=" ".join,
)
def test_a_mistyped_word_is_told_what_it_may_have_meant(argv: tuple[str, ...], meant: str) -> None:
    done = run(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert meant in re.split(r"Did you mean|Possible options", done.stderr)[1]


def test_a_word_that_may_be_a_programs_own_is_a_text_to_explain() -> None:
    assert run("explain", "--no-probe", "cuda-error").returncode == 3


FILES = {name: import_module(f"gpuctl.cli.{name.replace('-', '_')}") for name in COMMANDS}
GROUPS = {name for name, file in FILES.items() if not hasattr(file, "command")}
"""Commands that only have others below them."""
BELOW = [f"{name} {own}" for name, file in FILES.items() for own in getattr(file, "commands", ())]


@pytest.mark.slow
@pytest.mark.parametrize("command", [*COMMANDS, *BELOW])
def test_help_is_whole_at_60_columns_and_ends_with_examples(command: str) -> None:
    narrow = {**os.environ, "COLUMNS": "60"}
    asked, helped = run(*command.split(), "-h", env=narrow), run("help", *command.split(), env=narrow)
    assert asked.returncode == 0
    assert asked.stdout == helped.stdout
    assert all(len(line) <= 60 for line in asked.stdout.splitlines())
    assert "..." not in asked.stdout.replace("]...", "")
    if command not in GROUPS:
        examples = [line for line in asked.stdout.splitlines() if f"gpuctl {command}" in line.partition("$ ")[2]]
        assert len(examples) == 2
        assert [_usage(line) for line in examples] == [0, 0]


def _usage(example: str) -> int:
    """Whether the options of an example are there: with --help behind them they are read, and nothing is done."""
    words = shlex.split(example.partition("gpuctl ")[2].replace("| gpuctl", ""))
    return run(*words, "--help").returncode


@pytest.mark.parametrize(
    ("argv", "named"), [(("diff", "a"), "NEW"), (("k8s", "why"), "POD"), (("dockerfile", "lint"), "FILE")]
)
def test_an_argument_that_is_missing_is_named(argv: tuple[str, ...], named: str) -> None:
    done = run(*argv)
    assert (done.returncode, done.stdout) == (2, "") and f"Missing argument '{named}" in done.stderr


def test_help_of_all_says_what_each_command_does_in_a_whole_sentence() -> None:
    done = run("help", env={**os.environ, "COLUMNS": "60"})
    assert done.stdout == run("--help", env={**os.environ, "COLUMNS": "60"}).stdout
    assert "..." not in done.stdout.replace("[ARGS]...", "")
    assert all(len(line) <= 60 for line in done.stdout.splitlines())
    assert run("-V").stdout == run("--version").stdout


def test_version_loads_neither_rich_nor_the_docker_sdk() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gpuctl", "--version"], capture_output=True, text=True, cwd=ROOT
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"rich", "docker", "pynvml", "subprocess_fork"} & loaded
    assert "gpuctl.cli.frame.app" in loaded


@pytest.mark.parametrize("file", ["doctor.command", "migrate.run", "dockerfile.lint.lint"])
def test_the_options_of_quick_commands_are_values_when_they_are_loaded(file: str) -> None:
    module, _, name = file.rpartition(".")
    options = getattr(import_module(f"gpuctl.cli.{module}"), name).__annotations__
    assert [option for option, kind in options.items() if isinstance(kind, str)] == []


def test_check_of_a_described_host_starts_no_process_and_loads_neither_rich_nor_docker() -> None:
    argv = [*HERE[:1], "-X", "importtime", *HERE[1:], "check", "--cuda=10.1", "--driver=418.87", "--gpu=V100", "--json"]
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=execve", *argv], capture_output=True, text=True, cwd=ROOT
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"rich", "docker", "gpuctl.facts.gather"} & loaded
    assert done.stderr.count("execve(") == 1
    assert conforms("check", done.stdout)


@pytest.mark.parametrize(
    "argv",
    [
        ("check", "--cuda=10.1", "--driver=418.87", "--gpu=V100"),
        ("dockerfile", "lint", "tests/data/dockerfiles/source-document.Dockerfile"),
        ("migrate", "run", "--", "nvidia-docker", "run", "--device", "/dev/nvidia0", "app"),
    ],
    ids=lambda argv: argv[0],
)
def test_a_quick_command_reads_no_table_twice(argv: tuple[str, ...]) -> None:
    traced = ["strace", "-f", "-qq", "-e", "trace=openat", *HERE, *argv]
    done = subprocess.run(traced, capture_output=True, text=True, cwd=ROOT)
    read = re.findall(r"/data/(\w+)\.jsonl", done.stderr)
    assert read and len(read) == len(set(read)), read


def test_only_shows_a_layer_or_a_check(sim_host: Callable[..., SimHost]) -> None:
    host = sim_host("v100")
    layer = host.gpuctl("doctor", "--only", "driver", "--json").json["findings"]
    assert {finding["layer"] for finding in layer} == {"driver"}
    one = host.gpuctl("doctor", "--only", "driver.nvml", "--json").json["findings"]
    assert [(finding["id"], finding["status"]) for finding in one] == [("driver.nvml", "pass")]


def test_only_a_layer_that_was_skipped_shows_the_cause_and_is_not_good(sim_host: Callable[..., SimHost]) -> None:
    host = sim_host("no-driver")
    driver = host.gpuctl("doctor", "--only", "driver", "--json")
    assert driver.code == 1
    findings = driver.json["findings"]
    causes = {finding["rests_on"] for finding in findings if finding["status"] == "skip"}
    assert causes == {finding["id"] for finding in findings if finding["layer"] == "kernel"}
    assert {finding["status"] for finding in findings if finding["id"] in causes} == {"fail"}
    assert "FAIL  " in host.gpuctl("doctor", "--only", "driver.nvml").out
    assert host.gpuctl("doctor", "--only", "hardware").code == 0


def test_verbose_shows_what_was_seen_and_where(sim_host: Callable[..., SimHost]) -> None:
    out = sim_host("v100").gpuctl("doctor", "-v").out
    assert "/proc/driver/nvidia/version: 418.87.00" in out


def test_strict_turns_warnings_into_exit_code_1(sim_host: Callable[..., SimHost]) -> None:
    host = sim_host("v100")
    assert host.gpuctl("doctor", "--only", "driver.branch-supported").code == 0
    assert host.gpuctl("doctor", "--only", "driver.branch-supported", "--strict").code == 1


def test_a_hanging_gpu_does_not_hang_doctor_and_is_unknown(sim_host: Callable[..., SimHost]) -> None:
    done = sim_host("hang").gpuctl("doctor", "--only", "driver", "--json", timeout=300)
    assert done.code == 3
    unknown = [finding for finding in done.json["findings"] if finding["status"] == "unknown"]
    assert [(finding["id"], "no answer within" in finding["message"]) for finding in unknown] == [("driver.nvml", True)]


def test_a_mismatch_of_driver_and_libraries_is_named_once(sim_host: Callable[..., SimHost]) -> None:
    done = sim_host("mismatch").gpuctl("doctor", "--only", "driver", "--json")
    assert done.code == 1
    failed = [finding["id"] for finding in done.json["findings"] if finding["status"] == "fail"]
    assert len(failed) == 1


def test_control_characters_of_a_host_reach_no_terminal(sim_host: Callable[..., SimHost]) -> None:
    host = sim_host("v100", files={"/etc/os-release": 'ID=x\nNAME="\x1b]0;owned\x07[red]x[/red]"\n'})
    out = host.gpuctl("doctor").out
    assert "\x1b" not in out
    assert "[red]x[/red]" in out


def test_colour_on_a_terminal_or_where_it_is_forced_and_never_with_no_color() -> None:
    argv = ("check", "--cuda", "10.1", "--driver", "418.87", "--gpu", "V100")
    for env, coloured in (
        ({"TTY_COMPATIBLE": "1"}, False),
        ({"FORCE_COLOR": "1", "TERM": "xterm"}, True),
        ({"FORCE_COLOR": "1", "TERM": "xterm", "NO_COLOR": "1"}, False),
    ):
        for command in (argv, ("matrix", *argv[1:])):
            assert ("\x1b[" in run(*command, env={**os.environ, **env}).stdout) == coloured
    assert "\x1b[" in on_a_terminal(*argv, env={})
    assert "\x1b[" not in on_a_terminal(*argv, env={"NO_COLOR": "1"})


def on_a_terminal(*argv: str, env: dict[str, str]) -> str:
    ours, theirs = os.openpty()
    surroundings = {**os.environ, "TERM": "xterm-256color", **env}
    process = subprocess.Popen([*HERE, *argv], stdout=theirs, stderr=theirs, stdin=theirs, cwd=ROOT, env=surroundings)
    os.close(theirs)
    pieces = []
    try:
        while piece := os.read(ours, 65536):
            pieces.append(piece)
    except OSError:  # the other end has been closed
        pass
    process.wait(300)
    os.close(ours)
    return b"".join(pieces).decode()


WRITERS = (
    (("--version",), 0),
    (("--help",), 0),
    (("matrix",), 0),
    (("check", "--cuda", "10.1", "--driver", "418.87", "--gpu", "V100"), 0),
    (("check", "--cuda", "10.1", "--driver", "418.87", "--gpu", "V100", "--json"), 0),
    (("check", "--cuda", "13.0", "--driver", "418.87", "--gpu", "V100"), 1),
    (("doctor",), 1),
    (("rollback", "--config", "/nonexistent/daemon.json", "--json"), 0),
)


def test_wrong_usage_is_folded_at_the_width_of_the_terminal() -> None:
    argv = ("matrix", "--gpu", "NVIDIA Voodoo 2 with a name that is longer than a line of a terminal has room for")
    shown = on_a_terminal(*argv, env={"COLUMNS": "72"})
    assert shown.split() == run(*argv).stderr.split()
    assert 60 < max(len(line) for line in shown.splitlines()) <= 72


def shell(script: str, *argv: str) -> subprocess.CompletedProcess[str]:
    # Python's own buffer is what hides a write that fails: not with PYTHONUNBUFFERED.
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = ["bash", "-c", script, "bash", *HERE, *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, env=surroundings)


NAMES_A_FILE = (
    ("doctor", "--from", "nowhere"),
    ("diff", "nowhere", "nowhere"),
    ("check", "--cuda", "12.4", "--hosts", "nowhere"),
    ("check", "--cuda", "12.4", "--smi", "nowhere"),
    ("check", "--requirements", "nowhere"),
    ("explain", "--file", "nowhere"),
    ("dockerfile", "lint", "nowhere"),
    ("dockerfile", "lint", "README.md", "--hosts", "nowhere"),
    ("migrate", "run", "nowhere"),
    ("migrate", "compose", "nowhere"),
    ("install-runtime", "--from-bundle", "nowhere"),
    ("bundle", "--os", "ubuntu22.04", "-o", "x", "--zipapp", "nowhere"),
    ("data", "verify", "nowhere"),
)


@pytest.mark.parametrize("argv", NAMES_A_FILE, ids=" ".join)
def test_a_file_that_is_not_there_is_told_in_one_way(argv: tuple[str, ...]) -> None:
    done = shell('exec "$@"', *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: cannot read nowhere: No such file or directory.\n"


@pytest.mark.parametrize(("argv", "code"), WRITERS, ids=[" ".join(argv) for argv, _ in WRITERS])
def test_a_reader_that_goes_away_changes_neither_the_exit_code_nor_says_anything(
    argv: tuple[str, ...], code: int
) -> None:
    done = shell('"$@" | true; exit ${PIPESTATUS[0]}', *argv)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Broken" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("argv", "code"), WRITERS, ids=[" ".join(argv) for argv, _ in WRITERS])
def test_output_that_cannot_be_written_is_one_sentence_and_no_success(argv: tuple[str, ...], code: int) -> None:
    done = shell('exec "$@" > /dev/full', *argv)
    assert done.returncode == (code or 3)
    assert done.stderr.endswith("gpuctl: the output could not be written: No space left on device.\n")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_change_the_answer(closed: str) -> None:
    for argv, code in WRITERS:
        assert shell(f'exec "$@" {closed}', *argv).returncode == code


@pytest.mark.parametrize(("where", "why"), [(">&-", "it is closed."), ("> /dev/full", "No space left on device.")])
def test_a_result_that_stdout_does_not_take_is_not_called_written(where: str, why: str) -> None:
    for argv in (("collect", "-o", "-"), ("matrix", "--svg", "-")):
        done = shell(f'exec "$@" {where}', *argv)
        assert (done.returncode, "Wrote" in done.stderr) == (3, False)
        assert f"cannot write standard output: {why}" in done.stderr


def test_a_bug_is_one_sentence_and_exit_code_70(tmp_path: Path) -> None:
    # A table that is not JSON is the one fault of gpuctl's own that a test can make from outside.
    subprocess.run(["cp", "-r", ROOT / "gpuctl", ROOT / "data", tmp_path], check=True)
    (tmp_path / "data" / "cuda_rows.jsonl").write_text("{\n")
    done = subprocess.run([*HERE, "matrix"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 70
    assert done.stderr.startswith("gpuctl: a bug: ")
    assert "Traceback" not in done.stderr
    debug = subprocess.run([*HERE, "--debug", "matrix"], capture_output=True, text=True, cwd=tmp_path)
    assert "Traceback" in debug.stderr


def content(path: Path) -> str:
    """What a file of /proc holds; "" where its process has ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def asking_nvml(pid: int) -> list[int]:
    """The children of a process that ask NVML, which hangs."""
    files = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for file in files for child in content(file).split()]
    return [child for child in children if "gpuctl.host.look.nvml" in content(Path(f"/proc/{child}/cmdline"))]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_hangs_does_not_outlive_a_gpuctl_that_is_interrupted(
    sim_host: Callable[..., SimHost], number: int
) -> None:
    run = sim_host("hang").popen([*HERE, "doctor"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert until(lambda: bool(asking_nvml(run.pid)))
    children = asking_nvml(run.pid)
    os.kill(run.pid, number)
    _, err = run.communicate(timeout=300)
    assert run.returncode == 128 + number
    assert "gpuctl: interrupted." in str(err)
    assert "Traceback" not in str(err)
    assert until(lambda: not any(map(is_running, children)))
