"""A Jetson judged: by its release of Jetson Linux, and by its own word on what runs on it."""

from __future__ import annotations

import json

import pytest
from hosts import host, shown
from simhost import warm
from synthetic import FOLDER
from test_reported_hosts import BASE, PODMAN, cdi, jetson

from gpuctl.checks.every import diagnose
from gpuctl.checks.questions.host_answer import GATE_SUBJECTS, host_answer, machine_here
from gpuctl.checks.questions.host_recommendation import host_recommendation
from gpuctl.compat.answer.answer import Compatibility
from gpuctl.compat.answer.fleet_rows import host_verdicts
from gpuctl.compat.answer.matrix import whole_matrix
from gpuctl.compat.answer.tags import Wanted, list_images
from gpuctl.compat.ask.frameworks import framework_asks
from gpuctl.compat.ask.question import Machine, Question, typed_cuda
from gpuctl.compat.judge.by_jetpack import board_and_jetson_linux, jetpack_and_cuda
from gpuctl.compat.judge.judge import judge
from gpuctl.compat.judge.rulings import resolve_cuda
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.compat.knowledge.jetpack import JetpackRow, jetpacks
from gpuctl.compat.tables.loader import cuda_versions
from gpuctl.facts.every import EVERY_SUBJECT
from gpuctl.facts.gather import gather
from gpuctl.facts.gpu.tegra import DPKG_TEGRA, Tegra
from gpuctl.host.record.archive import decode
from gpuctl.model import Verdict
from gpuctl.render.views.host import SUMMARY, host_summary
from gpuctl.render.views.image import image_text
from gpuctl.render.views.matrix import matrix_text
from gpuctl.smoke.plan import make_plan
from gpuctl.smoke.result import NoPlan, SmokeWish

ORIN = "NVIDIA Jetson AGX Orin Developer Kit"
COMPATIBLE, PACKAGE, UNKNOWN = Verdict.COMPATIBLE, Verdict.NEEDS_PACKAGE, Verdict.UNKNOWN


def answer(l4t: str, model: str, question: Question, **packages: str) -> Compatibility:
    rows = (f"{name.replace('_', '-')}\t{version}\tinstall\tinstalled\n" for name, version in packages.items())
    asked = {
        "commands": {
            " ".join(f"'{word}'" if "$" in word or "*" in word else word for word in DPKG_TEGRA): "".join(rows)
        }
    }
    return host_answer(question, gather(host(**jetson(l4t, model, asked)), GATE_SUBJECTS), Machine())


@pytest.mark.parametrize(
    ("l4t", "model", "cuda", "verdict"),
    [
        ("36.4.3", ORIN, "12.6", COMPATIBLE),
        ("36.4.0", ORIN, "12.2", COMPATIBLE),
        ("36.4.3", ORIN, "12.9", PACKAGE),
        ("36.4.3", ORIN, "13.0", UNKNOWN),
        ("39.2", ORIN, "13.0", COMPATIBLE),
        ("35.4.1", ORIN, "11.8", PACKAGE),
        ("35.4.1", ORIN, "12.6", UNKNOWN),
        ("32.7.1", "NVIDIA Jetson Nano Developer Kit", "10.2", COMPATIBLE),
        ("32.7.1", "NVIDIA Jetson Nano Developer Kit", "10.0", UNKNOWN),
        ("38.4.0", "NVIDIA Jetson AGX Thor Developer Kit", "13.0", COMPATIBLE),
        ("41.1", ORIN, "12.6", UNKNOWN),
        ("36.4.3", "a board of somebody's own", "12.6", COMPATIBLE),
        # What the chip itself excludes, NVIDIA's toolkit says for Jetson as well.
        ("35.4.1", "NVIDIA Jetson AGX Xavier Developer Kit", "13.0", Verdict.INCOMPATIBLE),
    ],
)
def test_which_cuda_runs_on_which_jetpack(l4t: str, model: str, cuda: str, verdict: Verdict) -> None:
    found = answer(l4t, model, Question((typed_cuda(cuda),)))
    assert found.verdict is verdict
    assert any(reason.id == "jetson.jetpack" and reason.source for reason in found.reasons)


def test_every_answer_about_a_jetson_knows_that_jetpack_brings_its_driver() -> None:
    facts = gather(decode((FOLDER / "jetson-orin.jsonl").read_bytes()).host, (*EVERY_SUBJECT, *SUMMARY))
    assert "Jetson Linux 36.4.0" in host_summary(facts)
    machine = machine_here(facts, None, ())
    listed = list_images(Wanted("12.6"), machine)
    told = (image_text(listed, Wanted("12.6"), machine).plain, matrix_text(whole_matrix("12.6", machine), False).plain)
    assert listed.images and all("comes with JetPack: gpuctl check" in one for one in told)
    found = host_recommendation("12.6", facts, None, ())
    assert found.remedy and shown(found.remedy) == ("gpuctl check --cuda 12.6",)
    with pytest.raises(NoPlan, match="Jetson") as refused:
        make_plan(SmokeWish(), facts, diagnose(facts))
    assert shown(refused.value.result.remedy) == ("gpuctl check --cuda X.Y",)


def test_the_compat_package_is_named_and_counts_once_it_is_installed() -> None:
    question = Question((typed_cuda("12.9"),))
    (remedy,) = answer("36.4.3", ORIN, question).remedies
    assert shown(remedy) == ("apt-get install -y cuda-compat-12-9",)
    after = answer("36.4.3", ORIN, question, cuda_compat_12_9="12.9.1")
    assert (after.verdict, after.remedies) == (COMPATIBLE, ())


def test_packages_that_were_upgraded_count_more_than_what_was_flashed() -> None:
    found = answer("36.3.0", ORIN, Question((typed_cuda("12.6"),)), nvidia_l4t_core="36.4.3-20250107174145")
    assert found.verdict is COMPATIBLE


def test_a_wheel_of_which_nobody_says_that_it_has_code_for_the_chip_is_unknown() -> None:
    found = answer("36.4.3", ORIN, Question(framework_asks("pytorch==2.5.1+cu121")))
    assert found.verdict is UNKNOWN


@pytest.mark.parametrize("row", jetpacks(), ids=lambda row: row.l4t)
def test_no_release_of_jetson_linux_ever_makes_a_cuda_incompatible(row: object) -> None:
    said = {jetpack_and_cuda(resolve_cuda(cuda), row.l4t).verdict for cuda in cuda_versions()}  # type: ignore[attr-defined]
    assert said <= {COMPATIBLE, PACKAGE, UNKNOWN}
    assert COMPATIBLE in said


# https://github.com/NVIDIA/nvidia-container-toolkit/issues/1853
def test_a_specification_is_generated_from_jetpacks_lists() -> None:
    machine = jetson("36.4.3", ORIN, PODMAN, BASE, cdi("540.4.0"))
    (stale,) = (one for one in diagnose(gather(host(**machine))).findings if one.id == "cdi.stale")
    assert stale.remedy
    told = [str(command) for command in stale.remedy.by_hand]
    assert told == ["nvidia-ctk cdi generate --mode=csv --output=/etc/cdi/nvidia.yaml"]


def test_a_machine_that_is_no_jetson_has_none_of_its_facts() -> None:
    tegra = gather(host(), [Tegra]).known(Tegra)
    assert [tegra.release.value, tegra.model.value, tegra.by_csv] == [None, None, False]


@pytest.mark.parametrize(
    ("l4t", "board", "cuda"),
    [
        ("36.4.3", "Jetson Nano", "12.2"),
        ("36.3", "Jetson AGX Xavier", "12.2"),
        ("36.4.3", "Jetson AGX Thor", "12.6"),
        ("35.4.1", "Jetson TX2", "11.4"),
        ("32.7.4", "Jetson Orin Nano", "10.2"),
        ("38.2", "Jetson Orin Nano", "13.0"),
        ("39.2", "Jetson Xavier NX", "13.0"),
    ],
)
def test_a_board_on_a_jetson_linux_that_is_not_for_it_is_never_compatible(l4t: str, board: str, cuda: str) -> None:
    said = judge(resolve_cuda(cuda), l4t, find_gpu(board))
    assert {ruling.verdict for ruling in said if ruling.reason.id == "jetson.board"} == {Verdict.INCOMPATIBLE}


def test_a_row_whose_driver_is_a_release_of_jetson_linux_is_judged_as_a_host_that_is_described() -> None:
    rows = (b"host,driver,gpu,cuda\n", b"a,36.4.3,Jetson Orin NX,12.6\n", b"b,36.4.3,Jetson Nano,12.2\n")
    assert [one.kind.said.verdict for one in host_verdicts(rows, Question())] == [COMPATIBLE, Verdict.INCOMPATIBLE]
    line = b'{"driver":"36.4.3","gpu":"Jetson Orin NX","cuda":"12.6"}\n'
    assert [one.kind.said.verdict for one in host_verdicts([line], Question())] == [COMPATIBLE]


def test_of_a_jetson_linux_that_only_newer_tables_name_no_board_is_refused() -> None:
    assert board_and_jetson_linux("40.1", find_gpu("Jetson AGX Orin")) == ()


@pytest.mark.parametrize("row", jetpacks(), ids=lambda row: row.l4t)
def test_of_every_jetson_linux_it_is_known_for_which_boards_it_is(row: JetpackRow) -> None:
    assert row.boards


@pytest.mark.parametrize(
    ("asked", "l4t", "board", "verdict"),
    [
        (("--cuda", "12.6"), "36.4.3", "Jetson Orin Nano", "compatible"),
        (("--cuda", "13.0"), "36.4.3", "Jetson Orin Nano", "unknown"),
        (("--cuda", "12.4"), "36.3", "Jetson AGX Orin", "needs-package"),
        (("--cuda", "10.2"), "32.7.1", "Jetson TX2", "compatible"),
        (("--cuda", "12.2"), "32.7.1", "Jetson TX2", "unknown"),  # never incompatible where no table tells
        (("--cuda", "12.6"), "540.4.0", "Jetson Orin Nano", "unknown"),  # no release of it
        (("--image", "nvidia/cuda:12.6.1-base-ubuntu22.04", "--offline"), "36.4.3", "Jetson AGX Orin", "compatible"),
        (("--framework", "pytorch==2.0.1+cu118"), "36.4.3", "Jetson AGX Orin", "unknown"),
        (("--cuda", "12.6"), "36.4.3", "A100", "incompatible"),  # which is no Jetson
    ],
)
def test_a_jetson_that_is_described_is_judged_by_its_jetson_linux(
    asked: tuple[str, ...], l4t: str, board: str, verdict: str
) -> None:
    done = warm.gpuctl("check", *asked, "--driver", l4t, "--gpu", board, "--json")
    said = json.loads(done.stdout)
    assert said["verdict"] == verdict, said
    if verdict == "needs-package":
        assert "Install cuda-compat-12-4, NVIDIA's upgrade of CUDA for Jetson." in str(said["remedies"])
