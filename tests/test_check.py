"""`gpuctl check` as a person meets it: what can be asked, together and alone, of this host and of one described."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from registry import CONFIG, MANIFEST, descriptor, docker_registry, push
from simhost import Dockerd, SimHost, Toolkit, import_image, warm

from gpuctl.compat.knowledge.images import cuda_images

ROOT = Path(__file__).parents[1]
SCHEMA = Draft202012Validator(json.loads((ROOT / "data" / "schemas" / "check.schema.json").read_text()))
A100 = ("--driver", "535.104.05", "--gpu", "A100")


def check(*argv: str) -> subprocess.CompletedProcess[str]:
    return warm.gpuctl("check", *argv)


def answer(*argv: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(check(*argv, "--json").stdout)
    SCHEMA.validate(document)
    return document


def test_a_requirement_is_told_with_what_failed_and_what_would_do() -> None:
    said = answer("--require", "cuda>=12.8", *A100)
    assert (said["verdict"], said["cuda"], said["asked"]) == ("incompatible", None, [])
    requirement = said["requirement"]
    assert (requirement["enforced"], requirement["verdict"], requirement["failed"]) == (
        None,
        "unsatisfied",
        ["cuda>=12.8"],
    )
    assert requirement["driver_branch"] in requirement["message"]
    assert check("--require", "cuda>=12.8", *A100).returncode == 1
    assert check("--require", "cuda>=12.8", "--driver-cuda", "12.8", *A100).returncode == 0


def test_a_broken_requirement_is_one_sentence_and_wrong_usage() -> None:
    for evaluator in ("libnvidia-container", "go"):
        done = check("--require", "cuda==12", "--evaluator", evaluator, *A100)
        assert (done.returncode, done.stdout) == (2, "")
        assert "'cuda==12'" in done.stderr


def test_every_version_that_is_asked_about_is_judged_and_the_worst_comes_first() -> None:
    said = answer("--cuda", "12.2", "--require", "cuda>=12.1", *A100)
    assert (said["verdict"], said["requirement"]["verdict"]) == ("compatible", "satisfied")
    both = answer("--cuda", "12.2", "--framework", "torch==2.9.1+cu130", *A100)
    judged = [(one["cuda"], one["verdict"]) for one in both["asked"]]
    assert judged == [("13.0", "needs-package"), ("12.2", "compatible")]
    assert (both["cuda"], both["verdict"]) == ("13.0", "needs-package")


def test_the_rows_that_decided_are_told_with_their_sources() -> None:
    said = answer("--cuda", "10.1", "--driver", "384.130", "--gpu", "V100")
    (row,) = said["gpus"][0]["rows"]
    assert (row["driver"], row["gpus"]) == (">= 384.111, < 385.00", "Tesla GPUs")
    assert row["source"].startswith("https://")


def test_a_brand_that_is_given_decides_about_brand_rows() -> None:
    asked = ("--cuda", "10.1", "--driver", "384.130")
    assert answer(*asked, "--gpu", "6.1")["verdict"] == "unknown"
    assert answer(*asked, "--gpu", "6.1", "--brand", "Tesla")["verdict"] == "compatible"
    said = answer(*asked, "--gpu", "V100", "--brand", "GeForce")
    assert (said["verdict"], said["gpus"][0]["brand"]) == ("incompatible", "geforce")


def test_a_framework_that_does_not_run_names_the_build_that_does() -> None:
    said = answer("--framework", "torch==2.9.1+cu130", "--driver", "535.104.05", "--gpu", "RTX 3090")
    assert said["verdict"] == "incompatible"
    assert "CUDA 12.8" in " ".join(remedy["text"] for remedy in said["remedies"])


def test_a_requirements_file_asks_for_what_it_pins(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text("numpy==2.0.1\nnvidia-cuda-runtime-cu12==12.8.90\n")
    assert [one["cuda"] for one in answer("--requirements", str(pins), *A100)["asked"]] == ["12.8"]
    pins.write_text("numpy==2.0.1\n")
    done = check("--requirements", str(pins), *A100)
    assert (done.returncode, "requirements.txt" in done.stderr) == (2, True)


def test_an_image_is_judged_by_its_tag_where_it_cannot_be_read() -> None:
    said = answer("--image", "nvidia/cuda:12.4.1-base-ubuntu22.04", "--offline", *A100)
    assert (said["cuda"], said["verdict"], said["requirement"]["verdict"]) == ("12.4.1", "limited", "satisfied")
    assert [reason["id"] for reason in said["reasons"]] == ["image.by-tag"]
    nowhere = answer("--image", "example/app:1", "--offline", *A100)
    assert (nowhere["verdict"], [reason["id"] for reason in nowhere["reasons"]]) == ("unknown", ["image.unreadable"])
    assert (nowhere["image"], nowhere["cuda"]) == ("example/app:1", None)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((*A100,), "nothing to check"),
        (("--cuda", "banana", *A100), "banana"),
        (("--cuda", "", *A100), "CUDA version"),
        (("--cuda", "12.2", "--driver", "5", "--gpu", "A100"), "5"),
        (("--cuda", "12.2", "--driver", "535.104.05", "--gpu", "A1000000"), "A1000000"),
        (("--cuda", "12.2", "--driver-cuda", "x", *A100), "x"),
        (("--cuda", "12.2", "--brand", "ati", *A100), "ati"),
        (("--require", "cuda>=1", "--evaluator", "c", *A100), "evaluator"),
        (("--framework", "caffe3==1", *A100), "caffe3"),
        (("--requirements", "/nonexistent", *A100), "/nonexistent"),
        (("--requirements", "/bin/sh", *A100), "/bin/sh"),
        (("--requirements", "/", *A100), "/"),
        (("--image", "nvidia/CUDA:1", *A100), "nvidia/CUDA"),
        (("--image", "", *A100), "image"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_sentence_and_exit_code_2(argv: tuple[str, ...], said: str) -> None:
    done = check(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert said in done.stderr.partition("Error: ")[2]


@pytest.mark.parametrize("framework", ["torch==99.0", "torch>=2.99", "ngc:99.01", "vllm==99.0"])
def test_a_framework_that_is_not_in_the_table_is_unknown_like_a_cuda_version_that_is_not(framework: str) -> None:
    done = check("--framework", framework, "--json", *A100)
    said = json.loads(done.stdout)
    SCHEMA.validate(said)
    assert (done.returncode, said["verdict"], said["cuda"]) == (3, "unknown", None)
    assert said["gpus"][0]["reasons"][0]["id"] == "build.not-known"


def test_a_question_at_the_gate_of_a_described_host_starts_no_process_and_loads_neither_rich_nor_docker() -> None:
    argv = ["check", "--cuda=12.2", "--require=cuda>=12.2", "--framework=torch==2.4.0", "--json", *A100]
    traced = ["strace", "-f", "-qq", "-e", "trace=execve", sys.executable, "-X", "importtime", "-m", "gpuctl", *argv]
    done = subprocess.run(traced, capture_output=True, text=True, cwd=ROOT)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"rich", "docker", "requests", "gpuctl.facts.gather"} & loaded
    assert done.stderr.count("execve(") == 1
    SCHEMA.validate(json.loads(done.stdout))


def test_an_image_is_read_from_the_docker_of_this_host(
    sim_host: Callable[..., SimHost], new_dockerd: Callable[..., Dockerd], toolkit: Toolkit
) -> None:
    toolkit.install("v100")
    daemon = new_dockerd(path=[toolkit.directory])
    import_image(daemon, "app:1", env={"CUDA_VERSION": "10.1.243", "NVIDIA_REQUIRE_CUDA": "cuda>=99"})
    done = sim_host("v100", dockerd=daemon, toolkit=toolkit).gpuctl("check", "--image", "app:1", "--json")
    SCHEMA.validate(done.json)
    assert (done.json["cuda"], done.json["verdict"]) == ("10.1.243", "incompatible")
    requirement = done.json["requirement"]
    assert (requirement["verdict"], requirement["enforced"]) == ("unsatisfied", True)
    reasons = [reason["id"] for reason in done.json["gpus"][0]["reasons"]]
    assert reasons == ["gate.unsatisfied", "driver.table-row"]


def test_an_image_is_read_from_its_registry_and_not_pulled(tmp_path: Path) -> None:
    config = json.dumps(
        {"os": "linux", "architecture": "amd64", "config": {"Env": ["CUDA_VERSION=12.8.1"]}, "rootfs": {}}
    ).encode()
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": []}
    with docker_registry(tmp_path / "registry") as address:
        push(address, "team/app", "1", manifest, config)
        said = answer("--image", f"{address}/team/app:1", *A100)
        assert (said["cuda"], said["verdict"]) == ("12.8.1", "incompatible")
        assert said["requirement"]["failed"] == ["cuda>=12.8"]
        assert said["asked"][0]["source"] == f"the registry {address}"
        missing = answer("--image", f"{address}/team/app:2", *A100)
    assert (missing["verdict"], missing["reasons"][0]["id"]) == ("unknown", "image.unreadable")


def test_every_cuda_version_that_is_named_is_judged() -> None:
    elsewhere = ("--driver", "535.54.03", "--gpu", "A100")
    for asked in (("--cuda", "12.2", "--cuda", "13.0"), ("--cuda", "12.2,13.0")):
        done = check(*asked, *elsewhere)
        assert done.returncode == 1
        assert "CUDA 12.2" in done.stdout and "CUDA 13.0" in done.stdout
    assert check("--cuda", "12.2,11.8", *elsewhere).returncode == 0


@pytest.mark.parametrize(
    ("image", "cuda", "verdict"),
    [
        ("pytorch/pytorch:2.3.0-cuda12.1-cudnn8-runtime", "12.1", "compatible"),
        ("rapidsai/base:25.08-cuda12.0-py3.11", "12.0", "compatible"),
        ("rapidsai/base:26.02-cuda13-py3.13", "13.0", "needs-package"),
        ("vllm/vllm-openai:v0.21.0-cu129", "12.9", "limited"),
        ("nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0", "12.5.0", "limited"),
        ("polusai/ubuntu-cuda:focal-20210416-cuda-11-3", "11.3", "compatible"),
        ("tensorflow/tensorflow:2.15.0-gpu-jupyter", "12.2", "compatible"),
        ("tensorflow/tensorflow:1.15.5-gpu-py3", "10.0", "compatible"),
        ("tensorflow/tensorflow:2.15.0-jupyter", None, "compatible"),
        ("vllm/vllm-openai:v0.6.0", None, "unknown"),
        ("huggingface/transformers-pytorch-gpu:4.35.2", None, "unknown"),
        ("team/cuda12.4:1", None, "unknown"),
        ("team/app:cuda99.1", None, "unknown"),
        ("team/app:v1-focus12", None, "unknown"),
    ],
)
def test_an_image_of_any_publisher_is_judged_by_what_its_tag_tells(image: str, cuda: str | None, verdict: str) -> None:
    said = answer("--image", image, "--offline", "--driver", "535.104.05", "--gpu", "T4")
    assert (said["cuda"], said["verdict"]) == (cuda, verdict)
    reads = [command for remedy in said["remedies"] for command in remedy["commands"]]
    assert (reads == [f"gpuctl check --image {image}"]) == (verdict == "unknown")


@pytest.mark.parametrize(
    ("tag", "moves"),
    [
        (":latest", True),
        ("", True),
        (":latest-gpu", True),
        (":cu130-nightly", True),
        (":server-cuda", True),
        (":server-cuda13", True),
        (":server-cuda13-b9445", False),
        (":full-cuda12.4", False),
        (":2.3.0-cuda12.1-cudnn8-runtime", False),
        ("@sha256:" + "0" * 64, False),
        (":latest@sha256:" + "0" * 64, False),
    ],
)
def test_a_moving_tag_is_said_to_move(tag: str, moves: bool) -> None:
    said = answer("--image", f"localhost:5000/team/app{tag}", "--offline", *A100)
    assert ("image.moving" in [reason["id"] for reason in said["reasons"]]) == moves


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ("nvidia/cuda", "no tag latest"),
        ("nvidia/cuda:latest", "no tag latest"),
        ("docker.io/nvidia/cuda:latest", "no tag latest"),
        ("nvcr.io/nvidia/cuda:devel", "no tag devel"),
        ("nvidia/cuda:12.4.1", "a flavour (base, cudnn-devel, cudnn-runtime, devel, runtime) and"),
        ("nvcr.io/nvidia/cuda:11.8.0", "as in 11.8.0-base-"),
        ("nvidia/cuda:12", "no tag 12: its tags name CUDA, a flavour and an operating system"),
        ("nvidia/cuda:12.4.1-base-ubuntu24.04", "on no list of NVIDIA's tags"),
        ("nvidia/cuda:12.4.1-cudnn8-devel-ubuntu22.04", "on no list of NVIDIA's tags"),
        ("nvidia/cuda:12.4.1-base-ubuntu22.04", ""),
        ("nvidia/cuda:10.0-base", ""),  # the old ones name no system
        ("nvidia/cuda@sha256:" + "0" * 64, ""),
        ("localhost:5000/nvidia/cuda:latest", ""),
    ],
)
def test_a_tag_that_nvidias_cuda_images_lack_is_said_to_be_none(image: str, says: str) -> None:
    said = answer("--image", image, "--offline", *A100)
    told = [reason["message"] for reason in said["reasons"] if reason["id"] == "image.no-such-tag"]
    assert bool(told) is bool(says) and all(says in one for one in told)
    if says:
        assert said["verdict"] == "unknown" and said["remedies"] == []
        assert "image.moving" not in [reason["id"] for reason in said["reasons"]]


def test_a_tag_that_nvidia_took_off_its_lists_is_told_by_check_for_one_host_and_for_many_as_by_lint(
    tmp_path: Path,
) -> None:
    runs = [row for row in cuda_images() if row.cuda.startswith("11.") and "base" in row.flavours]
    row = next(row for row in runs if row.status == "delisted" and row.last_listed)
    tag = row.reference("base")
    (told,) = (one for one in answer("--image", tag, "--offline", *A100)["reasons"] if one["id"] == "image.delisted")
    assert tag in told["message"] and (row.last_listed or "") in told["message"]
    fleet = tmp_path / "fleet.csv"
    fleet.write_text(f"driver,gpu,image\n{A100[1]},{A100[3]},{tag}\n")
    assert json.loads(check("--hosts", str(fleet), "--json").stdout)["message"] == told["message"]
    linted = warm.gpuctl("dockerfile", "lint", "-", stdin=f"FROM {tag}\n")
    assert told["message"] in linted.stdout


@pytest.mark.parametrize(
    ("image", "gpu", "verdict", "says"),
    [
        ("nvcr.io/nvidia/l4t-pytorch:r35.2.1-pth2.0-py3", "A100", "incompatible", "Jetson Linux 35.2.1 (JetPack 5.1, "),
        ("nvcr.io/nvidia/l4t-base:r32.7.1", "T4", "incompatible", "Jetson Linux 32.7.1"),
        ("nvcr.io/nvidia/l4t-jetpack:r36.4.0", "Jetson AGX Orin", "unknown", "Jetson Linux 36.4.0 (JetPack 6.1"),
        ("dustynv/pytorch:2.1-r36.2.0", "GH200", "incompatible", "and GH200 is none"),
        ("dustynv/ros:humble-desktop-l4t-r99.9.9", "Jetson Orin Nano", "unknown", "Jetson Linux 99.9.9:"),
        ("nvcr.io/nvidia/pytorch:24.12-py3-igpu", "A100", "incompatible", "is for a Jetson, and A100 is none."),
        ("nvcr.io/nvidia/pytorch:24.12-py3-igpu", "Jetson AGX Orin", "unknown", "is for a Jetson: "),
        ("ultralytics/ultralytics:latest-jetson-jetpack6", "RTX 3090", "incompatible", "and GeForce RTX 3090 is none"),
        ("nvcr.io/nvidia/deepstream-l4t:6.2-samples", "T4", "incompatible", "and T4 is none"),
        ("someone/app:r535.2", "A100", "unknown", ""),
    ],
)
def test_an_image_for_jetson_is_said_to_be_for_its_jetson_linux(image: str, gpu: str, verdict: str, says: str) -> None:
    said = answer("--image", image, "--offline", "--gpu", gpu, "--driver", "550.54.15")
    told = [reason["message"] for reason in said["reasons"] if reason["id"] == "image.for-jetson"]
    assert said["verdict"] == verdict
    assert bool(told) is bool(says) and all(says in one for one in told)


@pytest.mark.parametrize(
    ("image", "l4t", "board", "verdict"),
    [
        ("pytorch:23.08-py3", "36.4.3", "Jetson AGX Orin", "limited"),
        ("tritonserver:25.02-py3", "39.2", "Jetson Orin Nano", "limited"),
        ("pytorch:25.08-py3", "38.4", "Jetson AGX Thor", "compatible"),
    ],
)
def test_a_months_image_for_servers_is_limited_on_a_jetson_that_has_images_of_its_own(
    image: str, l4t: str, board: str, verdict: str
) -> None:
    said = answer("--image", f"nvcr.io/nvidia/{image}", "--offline", "--gpu", board, "--driver", l4t)
    told = [reason["message"] for reason in said["reasons"] if reason["id"] == "image.for-servers"]
    assert said["verdict"] == verdict
    assert bool(told) is (verdict == "limited") and all("-igpu" in one for one in told)


def test_a_branch_of_the_driver_is_judged_by_its_first_and_its_last_known_release() -> None:
    apart = answer("--cuda", "12.4.1", "--driver", "550", "--gpu", "A100")
    first = answer("--cuda", "12.4.1", "--driver", apart["driver"], "--gpu", "A100")
    assert (apart["driver"].split(".")[0], apart["verdict"]) == ("550", "limited") == ("550", first["verdict"])
    [reason] = [reason for reason in apart["reasons"] if reason["id"] == "driver.branch-ends"]
    last = re.findall(r"[0-9.]+[0-9]", reason["message"])[-1]
    assert answer("--cuda", "12.4.1", "--driver", last, "--gpu", "A100")["verdict"] == "compatible"
    assert reason["message"].endswith(f"{last} it is compatible.")
    same = answer("--cuda", "12.9", "--driver", "535", "--gpu", "A100")
    assert (same["verdict"], same["reasons"][0]["message"].endswith(": the same answer.")) == ("limited", True)


A_BRANCH = ("--driver", "550", "--gpu", "A100")
"""Its first known release runs CUDA 12.4.1 with limits, its last one without."""


def told(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return warm.gpuctl(*argv, stdin=stdin)


def branch_ends() -> tuple[str, str]:
    first, last = json.loads(told("matrix", *A_BRANCH, "--json").stdout)["branch_ends"]
    return first, last


VERDICT: dict[tuple[str, ...], Callable[[Any], str]] = {
    ("check",): lambda said: said["verdict"],
    ("matrix",): lambda said: said["grid"][0]["verdict"],
    ("image",): lambda said: said["images"][0]["verdict"],
    ("recommend",): lambda said: said["verdict"],
    ("dockerfile", "new"): lambda said: said["base"]["verdict"],
}


@pytest.mark.parametrize("argv", VERDICT, ids=" ".join)
def test_a_branch_is_judged_by_its_worse_end_and_both_are_named(argv: tuple[str, ...]) -> None:
    first, last = branch_ends()
    asked = (*argv, "--cuda", "12.4.1", "--gpu", "A100", "--driver")
    verdicts = [VERDICT[argv](json.loads(told(*asked, one, "--json").stdout)) for one in (first, last, "550")]
    assert verdicts == ["limited", "compatible", "limited"]
    done = told(*asked, "550")
    assert f"the first and the last release of it in gpuctl's tables, {first} and {last}: " in done.stdout + done.stderr


def test_a_branch_that_is_to_run_an_image_is_judged_by_its_worse_end() -> None:
    image = "FROM nvidia/cuda:13.0.2-base-ubuntu24.04\n"
    done = told("dockerfile", "lint", "-", "--driver", "535", "--gpu", "RTX 4090", stdin=image)
    assert done.returncode == 1 and re.search(
        r"driver 535 \(535[.0-9]+ to 535[.0-9]+\) with GeForce RTX 4090", done.stdout
    )


def test_a_branch_in_a_row_of_hosts_is_judged_by_its_worse_end() -> None:
    first, last = branch_ends()
    rows = "driver,gpu\n" + "".join(f"{driver},A100\n" for driver in ("550", first, last, "5x"))
    done = told("check", "--cuda", "12.4.1", "--hosts", "-", "--json", stdin=rows)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["verdict"] for one in said] == ["limited", "limited", "compatible", None]
    ends = f"the first and the last release of it in gpuctl's tables, {first} and {last}"
    branch = f"550 is a branch of the driver, judged by {ends}: the one that fares worse counts."
    assert said[0]["message"] == f"{said[1]['message']} {branch}"
