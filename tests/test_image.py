"""`gpuctl image`: the nvidia/cuda tags that run here, and how their tags are read."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from simhost import SimHost, warm

from gpuctl.compat.answer.tags import SCREENFUL, ImageList, Wanted, list_images, newest_image
from gpuctl.compat.ask.question import Machine
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.compat.knowledge.images import Tag, cuda_images, newest_base_images, parse_tag
from gpuctl.compat.tables.loader import branches
from gpuctl.model import Verdict

ROOT = Path(__file__).parents[1]


def machine(driver: str | None, *gpus: str) -> Machine:
    return Machine(driver, tuple(find_gpu(gpu) for gpu in gpus))


def references(found: ImageList) -> list[str]:
    return [image.reference.removeprefix("nvidia/cuda:") for image in found.images]


# Tags


@pytest.mark.parametrize(
    ("reference", "tag"),
    [
        ("nvidia/cuda:10.1-base", Tag("10.1", None, "base", None)),
        ("nvidia/cuda:7.5-cudnn5-devel-centos7", Tag("7.5", "cudnn5", "devel", "centos7")),
        ("nvcr.io/nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04", Tag("12.4.1", "cudnn", "devel", "ubuntu22.04")),
        ("nvidia/cuda:12.4.1-base-ubi9@sha256:0f1e", Tag("12.4.1", None, "base", "ubi9")),
        ("nvidia/cuda:13.0.0-tensorrt-devel-ubuntu24.04", Tag("13.0.0", "tensorrt", "devel", "ubuntu24.04")),
        ("nvidia/cuda:11.0-base-rc", Tag("11.0", None, "base", None)),
        ("nvidia/cuda:latest", None),
        ("nvidia/cuda", None),
        ("localhost:5000/nvidia/cuda", None),
        ("nvidia/cuda:12.4.1-base-", None),
        ("nvidia/cuda:12.4.1-base-ubuntu22.04\n", None),
        ("example.org/nvidia/cuda:12.4.1-base-ubuntu22.04", None),
        ("", None),
    ],
)
def test_a_tag_is_read_part_by_part(reference: str, tag: Tag | None) -> None:
    assert parse_tag(reference) == tag


def test_every_listed_tag_reads_back_with_its_system_and_its_cudnn() -> None:
    for row in cuda_images():
        for flavour in row.flavours:
            tag = parse_tag(row.reference(flavour))
            assert tag is not None
            assert (tag.cuda, tag.os) == (row.cuda, row.os)
            assert (tag.cudnn is not None) == ("cudnn" in flavour)
    bare = parse_tag("nvidia/cuda:12.6.3-cudnn-devel-ubuntu24.04")
    assert bare is not None
    assert bare.cudnn == 9


# The list


def test_the_newest_update_of_every_cuda_stands_first_at_most_a_screenful() -> None:
    found = list_images(Wanted(), machine("580.95.05", "V100"))
    assert references(found)[:4] == [
        "12.9.1-base-ubuntu24.04",
        "12.8.1-base-ubuntu24.04",
        "12.6.3-base-ubuntu24.04",
        "12.5.1-base-ubuntu24.04",
    ]
    assert len(found.images) == SCREENFUL
    everything = list_images(Wanted(), machine("580.95.05", "V100"), everything=True)
    assert (len(everything.images), everything.more) == (len(found.images) + found.more, 0)


def test_no_tag_is_listed_that_does_not_run_and_every_other_is_counted() -> None:
    for driver, gpu in (("418.87", "V100"), ("535.161.08", "A100"), ("580.95.05", "RTX 5090"), ("470.256.02", "K80")):
        found = list_images(Wanted(), machine(driver, gpu), everything=True)
        assert {image.verdict for image in found.images} <= {Verdict.COMPATIBLE, Verdict.LIMITED, Verdict.NEEDS_PACKAGE}
        assert len(found.images) + found.not_running == sum(len(row.flavours) for row in cuda_images())


def test_the_best_base_image_is_the_one_that_smoke_would_take() -> None:
    for driver, gpu in (("418.87", "V100"), ("535.161.08", "A100"), ("550.54.15", "L4"), ("470.256.02", "K80")):
        best = list_images(Wanted(flavour="base"), machine(driver, gpu)).best
        assert best is not None
        assert best.reference == next(newest_base_images(driver, [find_gpu(gpu)]))


@pytest.mark.parametrize("driver", ["470.256.02", "535.54.03", *(one.newest_version or "" for one in branches()[-6:])])
def test_the_best_image_has_no_compiler_that_nobody_asked_for(driver: str) -> None:
    best = list_images(Wanted(), machine(driver, "A100")).best
    assert best and best.tag.flavour != "devel"
    asked = list_images(Wanted(flavour="devel"), machine(driver, "A100")).best
    assert asked and asked.tag.flavour == "devel"


def test_a_version_gives_one_tag_for_each_system_and_a_system_one_for_each_flavour() -> None:
    systems = list_images(Wanted("12.4"), machine("580.95.05", "A100"))
    assert references(systems)[:3] == ["12.4.1-base-ubuntu22.04", "12.4.1-base-ubuntu20.04", "12.4.1-base-ubi9"]
    flavours = list_images(Wanted("12.4", os="ubuntu2204"), machine("580.95.05", "A100"))
    assert references(flavours) == [
        "12.4.1-base-ubuntu22.04",
        "12.4.1-runtime-ubuntu22.04",
        "12.4.1-devel-ubuntu22.04",
        "12.4.1-cudnn-runtime-ubuntu22.04",
        "12.4.1-cudnn-devel-ubuntu22.04",
    ]


def test_flavour_cudnn_and_system_choose() -> None:
    found = list_images(Wanted(flavour="devel", cudnn=True, os="rocky"), machine("580.95.05", "H100"), everything=True)
    assert found.images
    for image in found.images:
        assert (image.tag.flavour, image.tag.cudnn is not None) == ("devel", True)
        assert (image.tag.os or "").startswith("rockylinux")


def test_what_is_gone_is_listed_only_where_nothing_else_runs() -> None:
    assert all(image.row.status != "delisted" for image in list_images(Wanted(), machine("535.161.08", "A100")).images)
    old = list_images(Wanted("10.1"), machine("418.87", "V100"))
    assert {image.row.status for image in old.images} == {"delisted"}


def test_without_a_driver_the_lowest_is_told_and_what_no_driver_runs_is_left_out() -> None:
    found = list_images(Wanted(), machine(None, "V100"))
    assert (found.images[0].verdict, found.images[0].lowest_driver) == (None, "575.57.08")
    assert list_images(Wanted("13"), machine(None, "V100")).images == ()


def test_a_driver_alone_is_judged_by_the_gpus_that_fare_best() -> None:
    found = list_images(Wanted("12"), machine("535.161.08"))
    assert {image.row.cuda: image.verdict for image in found.images}["12.2.2"] == Verdict.COMPATIBLE


def test_the_newest_image_of_a_cuda_version() -> None:
    here = machine(None, "A100")
    assert newest_image("12.4", "580.95.05", here) == "nvidia/cuda:12.4.1-base-ubuntu22.04"
    assert newest_image("13.5", "620.70.06", here) is None
    assert newest_image("12.4", "418.87", here) is None


# The command


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return warm.gpuctl("image", *argv, env={**os.environ, "COLUMNS": "100"})


def told(*argv: str) -> Any:
    return json.loads(run(*argv, "--json").stdout)


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("--driver", "535.161.08", "--gpu", "A100"), 0),
        (("--driver", "580.95.05", "--gpu", "V100", "--cuda", "13"), 1),
        (("--driver", "580.95.05", "--gpu", "V100", "--cuda", "12.2.1"), 1),
        (("--driver", "384.130", "--gpu", "6.1", "--cuda", "10.1"), 3),
        (("--driver", "580.95.05", "--gpu", "V100", "--cuda", "13.9"), 3),
        (("--cuda", "banana"), 2),
        (("--os", "windows"), 2),
        (("--flavour", "huge"), 2),
        (("--flavour", "base", "--cudnn"), 2),
    ],
)
def test_exit_codes(argv: tuple[str, ...], code: int) -> None:
    assert run(*argv).returncode == code


def test_a_wrong_system_is_told_the_right_ones() -> None:
    assert "ubuntu24.04" in run("--os", "windows").stderr


def test_one_screen_explains_the_flavours_and_names_what_may_fit_better() -> None:
    lines = run("--driver", "580.95.05", "--gpu", "H100").stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 40
    for start in ("base", "runtime", "devel", "cudnn"):
        assert len([line for line in lines if line.startswith(start + " ")]) == 1
    out = "\n".join(lines)
    for word in ("no nvidia/cuda:latest", "ufoym/deepo", "nvcr.io/nvidia/pytorch", "--all"):
        assert word in out


def test_a_state_is_told_with_its_date_and_a_plan_as_a_plan() -> None:
    out = run("--driver", "580.95.05", "--gpu", "A100", "--cuda", "11.3.1").stdout
    assert "unsupported 2025-08-18, deletion was planned for 2024-01-01" in " ".join(out.split())
    gone = run("--driver", "418.87", "--gpu", "V100", "--cuda", "10.1").stdout
    assert "gone or due to be (delisted after" in " ".join(gone.split())


def test_this_hosts_driver_and_gpus_decide(sim_host: Callable[..., SimHost]) -> None:
    done = sim_host("a100x8").gpuctl("image", "--json")
    assert (done.code, done.json["driver"], done.json["best"]) == (
        0,
        "535.161.08",
        "nvidia/cuda:12.2.2-base-ubuntu22.04",
    )
    assert done.json["more"] > 1000


def test_without_driver_and_gpu_the_tags_are_listed_without_verdicts(sim_host: Callable[..., SimHost]) -> None:
    done = sim_host(None).gpuctl("image", "--cuda", "12.4", "--os", "ubuntu22.04", "--json")
    assert (done.code, done.json["driver"]) == (3, None)
    assert [(image["flavour"], image["verdict"]) for image in done.json["images"]][:2] == [
        ("base", None),
        ("runtime", None),
    ]


def test_a_framework_image_is_judged_by_the_cuda_inside() -> None:
    others = told("--driver", "580.95.05", "--gpu", "A100")["others"]
    assert {other["image"]: other["verdict"] for other in others}["ufoym/deepo"] == "compatible"
