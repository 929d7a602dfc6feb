"""`gpuctl explain` as people run it: where the text comes from, what is shown, how it ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from simhost import SimHost, warm

from gpuctl.checks.every import CHECKS
from gpuctl.compat.knowledge.dockerfile_rules import dockerfile_rules
from gpuctl.compat.knowledge.errors.failures import families
from gpuctl.k8s.checks import CHECKS as OF_CLUSTERS

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "data" / "schemas" / "explain.schema.json").read_text())
NO_DRIVER = 'could not select device driver "" with capabilities: [[gpu]]'
TIMED_OUT = "nvidia-container-cli: initialization error: driver rpc error: timed out: unknown."


def explain(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return warm.gpuctl("explain", "--no-probe", *argv, **options)


def document(text: str) -> Any:
    told = json.loads(text)
    Draft202012Validator(SCHEMA).validate(told)
    return told


def test_text_comes_from_arguments_from_a_file_or_from_stdin(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"first\n{TIMED_OUT}\n")
    given = (
        explain("--json", *TIMED_OUT.split()),
        explain("--json", "-f", str(log)),
        explain("--json", "-f", "-", stdin=f"first\n{TIMED_OUT}\n"),
        explain("--json", "-", stdin=f"first\n{TIMED_OUT}\n"),
        explain("--json", stdin=f"first\n{TIMED_OUT}\n".encode("utf-16")),
    )
    assert [done.returncode for done in given] == [1] * 5
    told = [document(done.stdout) for done in given]
    assert [one["matches"][0]["id"] for one in told] == ["driver-init-timeout"] * 5
    assert [one["matches"][0]["evidence"][0]["line"] for one in told] == [1, 2, 2, 2, 2]
    assert told[1]["matches"][0]["evidence"] == [{"line": 2, "text": TIMED_OUT}]


def test_json_says_how_sure_it_is_why_and_what_to_do() -> None:
    told = document(explain("--json", NO_DRIVER).stdout)
    assert (told["probed"], told["collect"]) == (False, [])
    confidences = [match["confidence"] for match in told["matches"]]
    assert confidences == ["likely", "possible", "possible", "possible", "resembling"]
    best = told["matches"][0]
    assert (best["id"], best["here"], best["look"]) == ("no-gpu-device-driver", None, "gpuctl doctor")
    assert "gpuctl install-runtime" in best["remedies"][0]["commands"]


TAKEN_BACK = (
    'level=warning msg="Ignoring previous errors updating spec" error="CDI device injection failed: '
    'unresolvable CDI devices nvidia.com/gpu=all"\n'
)


def test_what_docker_went_on_from_is_no_failure_and_hides_none() -> None:
    alone = explain("--json", stdin=TAKEN_BACK)
    assert (alone.returncode, [one["id"] for one in document(alone.stdout)["matches"]]) == (0, ["docker-cdi-fallback"])
    both = explain("--json", stdin=TAKEN_BACK + TIMED_OUT)
    assert (both.returncode, [one["id"] for one in document(both.stdout)["matches"]]) == (1, ["driver-init-timeout"])
    folded = (TAKEN_BACK + "level=info msg=started\n" * 100 + TIMED_OUT).replace("\n", "\\n")
    assert [one["id"] for one in document(explain("--json", stdin=folded).stdout)["matches"]] == ["driver-init-timeout"]


@pytest.mark.parametrize(
    ("failure", "code", "first"),
    [
        ("Failed to initialize NVML: Driver Not Loaded", 1, "nvml-driver-not-loaded"),
        ("nvidia: gres records, duplicate ones, in the conf of a fatal slurmd", 3, "slurm-gres-mismatch"),
    ],
)
def test_in_a_log_a_line_without_a_failure_comes_neither_before_a_likely_one_nor_before_a_resemblance(
    failure: str, code: int, first: str
) -> None:
    told = explain("--json", "--no-probe", stdin=f"level=info msg=started\n{TAKEN_BACK * 3}{failure}\n")
    assert (told.returncode, document(told.stdout)["matches"][0]["id"]) == (code, first)
    assert "docker-cdi-fallback" not in told.stdout


def test_a_message_that_programs_write_where_all_works_is_called_that() -> None:
    told = explain("--json", "--no-probe", "ldconfig.real: /usr/lib/wsl/lib/libcuda.so.1 is not a symbolic link")
    assert (told.returncode, document(told.stdout)["matches"][0]["id"]) == (0, "message-without-failure")


def test_where_nothing_is_recognised_it_says_what_to_collect() -> None:
    done = explain(stdin="all is well\n")
    assert done.returncode == 3
    assert done.stdout.startswith("No failure that gpuctl knows is in this text.\n")
    assert "$ gpuctl doctor -v\n" in done.stdout
    told = document(explain("--json", stdin="").stdout)
    assert told["matches"] == [] and "nvidia-smi" in told["collect"]


def test_a_text_without_a_known_line_is_told_what_it_resembles_and_what_to_collect() -> None:
    text = "nvidia: gres records, duplicate ones, in the conf of a fatal slurmd"
    done = explain("--no-probe", text)
    assert done.returncode == 3
    assert done.stdout.startswith("No failure that gpuctl knows is in this text.\n")
    assert "RESEMBLING" in done.stdout and "slurm-gres-mismatch" in done.stdout
    assert "$ gpuctl doctor -v\n" in done.stdout
    told = document(explain("--json", "--no-probe", text).stdout)
    assert {match["confidence"] for match in told["matches"]} == {"resembling"}
    assert "nvidia-smi" in told["collect"]


def test_beside_a_line_that_is_not_certain_stands_what_the_text_resembles_and_beside_a_certain_one_nothing() -> None:
    vague = "Failed to initialize NVML: Unknown Error in a Slurm job, gres count reported lower than configured"
    told = document(explain("--json", "--no-probe", vague).stdout)["matches"]
    assert told[0]["confidence"] == "likely" and told[-1]["confidence"] == "resembling"
    assert "slurm-gres-mismatch" in {match["id"] for match in told}
    assert len({match["id"] for match in told}) == len(told)
    assert explain("--no-probe", vague).returncode == 1
    shown = explain("--no-probe", vague).stdout
    assert re.search(r"^resembling +Slurm counts other GPUs .* slurm-gres-mismatch$", shown, re.M)
    certain = document(explain("--json", "--no-probe", TIMED_OUT).stdout)["matches"]
    assert {match["confidence"] for match in certain} == {"certain"}


def test_of_a_log_only_known_lines_are_told() -> None:
    log = f"{NO_DRIVER}\n" + "level=info msg=gres gpu count reported lower than configured\n" * 400
    told = document(explain("--json", stdin=log).stdout)["matches"]
    assert "resembling" not in {match["confidence"] for match in told}


def test_on_the_sick_host_the_doctor_decides_and_its_remedy_comes_first(sim_host: Callable[..., SimHost]) -> None:
    done = sim_host(None).gpuctl("explain", "--json", NO_DRIVER)
    told = document(done.out)
    assert (done.code, told["probed"]) == (1, True)
    (match,) = told["matches"]
    assert (match["id"], match["confidence"]) == ("no-nvidia-gpu-in-host", "certain")
    assert match["here"]["check"] == "hardware.gpu-present"
    shown = sim_host(None).gpuctl("explain", NO_DRIVER).out
    assert "This host: No NVIDIA GPU is visible to this host" in shown
    assert "Of a text from another host: gpuctl explain --no-probe." in shown


def test_a_number_of_an_xid_is_never_taken_for_another_one_that_was_mistyped() -> None:
    told = document(explain("--json", "--no-probe", "xid-79").stdout)["matches"]
    assert told[0]["id"] == "xid79-off-the-bus"
    mistyped = explain("--no-probe", "nvswitch-xsid")
    assert (mistyped.returncode, "Did you mean nvswitch-sxid?" in mistyped.stderr) == (2, True)


def test_text_fits_on_one_screen_and_v_shows_every_line() -> None:
    log = "".join(f"{number}\n{TIMED_OUT}\n" for number in range(3)) + f"{NO_DRIVER}\n"
    short, long = explain(stdin=log).stdout, explain("-v", stdin=log).stdout
    assert short.startswith("CERTAIN  The driver takes too long to initialise  driver-init-timeout\n")
    assert "line 2: nvidia-container-cli" in short and "line 4: " not in short
    assert len(short.splitlines()) <= 40
    assert "line 4: " in long and "line 6: " in long
    assert "https://github.com/NVIDIA/" in long


@pytest.mark.parametrize(
    "symptom", ["NVIDIA-SMI has failed because it couldn't communicate", "No CUDA GPUs are available"]
)
def test_what_is_found_behind_a_symptom_is_a_line_each_with_the_look_that_decides_and_whole_in_json(
    symptom: str,
) -> None:
    shown = explain("--no-probe", symptom).stdout
    told = document(explain("--json", "--no-probe", symptom).stdout)["behind"]
    listed = shown.partition("Also found behind such lines, likeliest first:\n")[2].splitlines()[:-1]
    looks = [families()[one["id"]].look for one in told]
    lines = [
        f"  {one['title']}: {one['tells_apart']} $ {look}  {one['id']}" for one, look in zip(told, looks, strict=True)
    ]
    assert lines == listed != []
    assert all(looks) and all(one["remedies"] for one in told)
    assert len(shown.splitlines()) <= 40


def test_of_what_is_possible_the_first_way_to_mend_it_is_told_and_a_line_is_not_told_twice() -> None:
    shown = explain("--no-probe", NO_DRIVER).stdout
    assert shown.count("line 1: ") == 1
    assert "Mend: Use the engine from packages" in shown


def test_what_a_log_holds_cannot_steer_the_terminal() -> None:
    for env in ({}, {"FORCE_COLOR": "1", "TERM": "xterm"}):
        done = explain(stdin=f"\x1b]0;owned\x07[red]{TIMED_OUT}\x1b[2J\x9b1m\u202e\n", env={**os.environ, **env})
        assert "[red]nvidia-container-cli" in done.stdout
        said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout) if env else done.stdout  # gpuctl's own colours
        assert not {letter for letter in said if not letter.isprintable()} - {"\n"}


@pytest.mark.slow
def test_every_entry_can_be_read_by_its_id() -> None:
    listed = document(explain("--list", "--json").stdout)["entries"]
    assert [entry["id"] for entry in listed] == [*families(), *CHECKS, *dockerfile_rules(), *OF_CLUSTERS]
    text = explain("--list")
    assert text.returncode == 0
    assert "  shm-too-small " in text.stdout and "  docker.kind " in text.stdout
    for id in ("shm-too-small", "no-gpu-device-driver", "docker.kind", "dockerfile.old-key", "k8s.gpu.gone"):
        done = explain(id)
        assert (done.returncode, done.stderr) == (0, "")
        (entry,) = document(explain(id, "--json").stdout)["entries"]
        assert entry["id"] == id
    assert "$ docker run --shm-size=8g" in explain("shm-too-small").stdout
    assert "NVIDIA changed the key in April 2022" in explain("dockerfile.old-key").stdout
    assert "do not reach the GPUs." in " ".join(explain("docker.kind").stdout.split())


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("",), "it is empty"),
        (("text", "--list"), "give one of TEXT, --file and --list"),
        (("-f", "-", "text"), "give one of TEXT, --file and --list"),
        (("-f", "/no-such-file"), "No such file or directory"),
        (("-f", "/"), "Is a directory"),
        (("--frobnicate",), "No such option"),
    ],
)
def test_wrong_usage_is_one_sentence(argv: tuple[str, ...], sentence: str) -> None:
    done = explain(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_without_any_text_on_a_terminal_it_says_how_to_give_some() -> None:
    ours, theirs = os.openpty()
    try:
        command = [sys.executable, "-m", "gpuctl", "explain"]
        done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=300, cwd=ROOT)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    assert "give TEXT or --file FILE, or pipe a log into it" in done.stderr


@pytest.mark.parametrize(
    ("came", "says"),
    [
        (b"", "No text came"),
        (b" \n\r\n\t", "No text came"),
        (bytes(range(256)) * 40, "What came is no text"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 3000, "What came is no text"),
        ("Ошибка: не удалось; 错误\n".encode(), "No failure that gpuctl knows"),
        ("Fehler: das Gerät\n".encode("latin-1"), "No failure that gpuctl knows"),
        (b"\x1b[31mred\x1b[0m\r\n", "No failure that gpuctl knows"),
        ("plain words".encode("utf-16"), "No failure that gpuctl knows"),
    ],
    ids=["empty", "blank", "binary", "program", "utf-8", "latin-1", "coloured", "utf-16"],
)
def test_what_is_no_text_is_told_from_a_text_that_shows_nothing(came: bytes, says: str) -> None:
    done = explain(stdin=came)
    assert done.returncode == 3 and done.stdout.startswith(says)
    assert "RESEMBLING" not in done.stdout
    assert document(explain("--json", stdin=came).stdout)["matches"] == []


def test_a_file_in_the_place_of_a_text_is_not_taken_for_one(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(f"{TIMED_OUT}\n")
    for named in (str(log), f"{tmp_path}/../{tmp_path.name}/log.txt"):
        done = explain(named)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"gpuctl explain -f {named}" in done.stderr.replace("\n", "")
    assert explain("/nonexistent/libnvidia-ml.so.1").returncode == 3
    assert explain(str(tmp_path)).returncode == 3
    assert explain(f"cannot open {log}").returncode == 3


def test_closed_stdin_is_no_text() -> None:
    command = ["bash", "-c", 'exec "$@" <&-', "bash", sys.executable, "-m", "gpuctl", "explain"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 2
    assert "nothing to explain" in done.stderr
