"""Whoever follows a remedy fares better: each is judged by the rules that judged the request, on the same host."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from gpuctl.compat.answer.answer import Compatibility, check
from gpuctl.compat.ask.asks import Ask, release_ask
from gpuctl.compat.ask.frameworks import framework_asks
from gpuctl.compat.ask.image_claims import claims_of_tag
from gpuctl.compat.ask.pip_files.asks import requirements_asks
from gpuctl.compat.ask.question import Machine, Question, typed_cuda, with_image
from gpuctl.compat.judge.rulings import SEVERITY
from gpuctl.compat.knowledge.code import code_of
from gpuctl.compat.knowledge.frameworks import framework_releases
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.compat.tables.loader import branches, cuda_rows, cuda_versions, products
from gpuctl.compat.versions import parts
from gpuctl.model import Verdict

ASKS = [
    *(typed_cuda(cuda) for cuda in cuda_versions()),
    *(release_ask(row, cuda) for row in framework_releases() if "ngc" not in row.framework for cuda in row.cudas),
]
GPUS = [find_gpu(row.product) for row in products() if len(row.variants) == 1]
DRIVERS = sorted(
    {branch.newest_version for branch in branches() if branch.newest_version}
    | {least for row in cuda_rows() if "." in (least := row.driver.open_minimum() or "")},
    key=parts,
)


def on(ask: Ask, machine: Machine) -> Compatibility:
    return check(Question((ask,)), machine)


def followed(text: str, ask: Ask, machine: Machine) -> tuple[Ask, Machine]:
    """Returns what is asked, and where, after a person did what a remedy says."""
    build = re.search(r"^Use (?:the build of )?(\S+) (\S+) (?:in its build )?for CUDA ([0-9]+(?:\.[0-9]+)*)", text)
    image = re.search(r"^Use an image for CUDA ([0-9]+(?:\.[0-9]+)*)", text)
    driver = re.search(r"the driver to ([0-9.]+) or newer", text)
    module = re.search(r"(open|proprietary) (?:flavour|kernel module)", text)
    if module:
        machine = replace(machine, open_module=module[1] == "open")
    if driver:
        version = driver[1] if "." in driver[1] else f"{driver[1]}.0"
        machine = replace(machine, driver=version, open_module=machine.open_module if module else None)
    if image:
        return typed_cuda(image[1]), machine
    if build:
        (row,) = (row for row in framework_releases() if (row.framework, row.version) == build.group(1, 2))
        assert build[3] in row.cudas
        return release_ask(row, build[3]), machine
    assert module or driver, f"nobody can follow: {text}"
    return ask, machine


def assert_remedies_help(ask: Ask, machine: Machine) -> None:
    answer = on(ask, machine)
    for remedy in answer.remedies:
        if "cuda-compat" in remedy.text:
            assert answer.verdict is Verdict.NEEDS_PACKAGE
            continue
        assert not (ask.wheel and "image" in remedy.text)
        after = on(*followed(remedy.text, ask, machine)).verdict
        assert SEVERITY.index(after) < SEVERITY.index(answer.verdict), (ask.by, machine, remedy.text, after)
        assert after is not Verdict.UNKNOWN


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(ASKS),
    st.lists(st.sampled_from(GPUS), min_size=1, max_size=2),
    st.sampled_from(DRIVERS),
    st.sampled_from([None, None, True, False]),
)
def test_whoever_follows_a_remedy_fares_better(ask: Ask, gpus: list, driver: str, open_module: bool | None) -> None:  # type: ignore[type-arg]
    assert_remedies_help(ask, Machine(driver, tuple(gpus), open_module))


@pytest.mark.parametrize("gpu", ["GTX 1080", "T4", "A100", "H100", "RTX 5090", "B200"])
@pytest.mark.parametrize("driver", ["470.57.02", "535.104.05", "580.95.05"])
def test_no_row_of_the_frameworks_gets_a_remedy_that_does_not_help(gpu: str, driver: str) -> None:
    for ask in ASKS[:: 7 if driver != "580.95.05" else 3]:
        assert_remedies_help(ask, Machine(driver, (find_gpu(gpu),)))


@pytest.mark.parametrize("build", ["cu128", "cu129"])
def test_the_build_that_is_named_has_code_for_the_gpu_and_nothing_else_is_told(build: str) -> None:
    (ask,) = framework_asks(f"pytorch==2.8.0+{build}")
    texts = [one.text for one in on(ask, Machine("580.95.05", (find_gpu("GTX 1080"),))).remedies]
    assert texts == ["Use the build of pytorch 2.8.0 for CUDA 12.6: it is compatible here."]


def test_a_driver_in_the_wrong_flavour_is_changed_for_one_in_the_right_flavour() -> None:
    machine = Machine("610.43.02", (find_gpu("V100"),), open_module=True)
    texts = [one.text for one in on(typed_cuda("12.4"), machine).remedies]
    assert len(texts) == 1
    assert "the driver to" in texts[0] and "proprietary" in texts[0]


def test_a_host_with_several_that_ask_is_told_one_driver_that_serves_all_of_them() -> None:
    asks = (typed_cuda("12.4"), typed_cuda("12.8"), typed_cuda("12.2"))
    answer = check(Question(asks), Machine("470.57.02", (find_gpu("A100"),)))
    drivers = [one.text for one in answer.remedies if "the driver to" in one.text]
    assert len(drivers) == 1
    assert drivers[0].startswith("Upgrade the driver to 570.26 or newer")


@pytest.mark.parametrize(
    ("requirement", "gpu", "driver", "said"),
    [
        ("torch>=2.0.0,!=2.0.1", "A100", "470.82.01", "pytorch 2.6.0 in its build for CUDA 11.8"),
        ("torch>=2.0.0,!=2.0.1,<2.2", "A100", "470.82.01", "build of pytorch 2.1.2 for CUDA 11.8"),
        ("torch>=2.5", "GTX 1080", "580.95.05", "pytorch 2.14.1 in its build for CUDA 12.6"),
        ("torch>=2.0,<2.7", "RTX 5090", "580.95.05", "pytorch 2.7.0 in its build for CUDA 12.8"),
        ("tensorflow>=2.16", "GTX 980", "580.95.05", "tensorflow 2.16.1 in its build"),
    ],
)
def test_a_release_that_the_persons_own_constraint_admits_goes_before_others_and_else_it_is_said(
    requirement: str, gpu: str, driver: str, said: str
) -> None:
    (ask,) = framework_asks(requirement)
    texts = [remedy.text for remedy in on(ask, Machine(driver, (find_gpu(gpu),))).remedies]
    (named,) = (text for text in texts if text.startswith("Use"))
    assert said in named
    version = re.search(r"(?:pytorch|tensorflow) (\S+)", named)
    assert version
    inside = version[1] in Requirement(requirement).specifier
    assert inside != (f"({ask.constraint} does not admit it)" in named)


@pytest.mark.parametrize(
    ("asked", "gpu", "driver"),
    [
        (typed_cuda("13.0"), "P100", "610.43.02"),
        (typed_cuda("13.1"), "GTX 1080", "590.48.01"),
        (typed_cuda("12.4"), "K80", "590.48.01"),
        (typed_cuda("12.0"), "Tesla K40c", "535.183.01"),
        *((framework_asks("torch==2.13.0")[0], gpu, "590.48.01") for gpu in ("V100", "GTX 1080", "GTX 980")),
        (framework_asks("onnxruntime-gpu==1.31.1")[0], "GTX 1080", "590.48.01"),
        (framework_asks("torch==2.8.0")[0], "K80", "580.95.05"),
    ],
)
def test_where_driver_and_build_must_both_change_one_remedy_names_both(asked: Ask, gpu: str, driver: str) -> None:
    machine = Machine(driver, (find_gpu(gpu),))
    (remedy,) = on(asked, machine).remedies
    assert re.search(r"^Use .* for CUDA [0-9.]+.*, and (change|upgrade) the driver to ", remedy.text)
    assert on(*followed(remedy.text, asked, machine)).verdict in (Verdict.COMPATIBLE, Verdict.LIMITED)


@pytest.mark.parametrize(
    ("beside", "gpu", "driver"),
    [
        ("spconv-cu120==2.3.6", "RTX 5090", "535.161.08"),
        ("spconv-cu120==2.3.6", "RTX 5090", "570.133.07"),
        ("gsplat==1.4.0", "B200", "550.54.15"),
        ("cupy-cuda12x==13.3.0", "RTX 5090", "535.161.08"),
    ],
)
def test_what_a_file_is_told_betters_all_of_it(beside: str, gpu: str, driver: str) -> None:
    def asked(torch: str, machine: Machine) -> Compatibility:
        return check(Question(requirements_asks(f"torch=={torch}\n{beside}\n", "r.txt")), machine)

    before = asked("2.4.0", Machine(driver, (find_gpu(gpu),)))
    (remedy,) = before.remedies
    build, machine = followed(remedy.text, typed_cuda("12.1"), Machine(driver, (find_gpu(gpu),)))
    assert build.release
    after = asked(f"{build.release.version}+cu{build.cuda.replace('.', '')}", machine)
    assert before.verdict is Verdict.INCOMPATIBLE
    assert after.verdict in (Verdict.COMPATIBLE, Verdict.LIMITED)


def test_of_several_that_ask_none_is_told_what_leaves_another_as_it_is() -> None:
    (torch,) = framework_asks("torch==2.8.0+cu128")
    for_hopper = Ask("12.6", "something for Hopper", "", codes=(code_of("sm_90"),), wheel=True)
    machine = Machine("580.95.05", (find_gpu("GTX 1080"),))
    assert on(torch, machine).remedies and not check(Question((torch, for_hopper)), machine).remedies


@pytest.mark.parametrize(
    ("image", "driver", "gpu", "verdict"),
    [
        ("nvcr.io/nvidia/tritonserver:24.05-py3", "470.199.02", "T4", Verdict.COMPATIBLE),
        ("nvcr.io/nvidia/pytorch:25.08-py3", "535.183.01", "A100", Verdict.COMPATIBLE),
        ("nvidia/cuda:12.4.1-base-ubuntu22.04", "470.199.02", "V100", Verdict.COMPATIBLE),
        ("nvcr.io/nvidia/pytorch:24.05-py3", "450.248.02", "A100", Verdict.INCOMPATIBLE),  # its notes name R470 on
        ("nvcr.io/nvidia/pytorch:24.05-py3", "470.199.02", "RTX 3090", Verdict.INCOMPATIBLE),
        ("pytorch/pytorch:2.4.0-cuda12.4-cudnn9-runtime", "470.199.02", "T4", Verdict.NEEDS_PACKAGE),
    ],
)
def test_an_image_that_carries_cuda_compat_needs_none_besides(
    image: str, driver: str, gpu: str, verdict: Verdict
) -> None:
    claims = claims_of_tag(image)
    assert claims
    answer = check(with_image(Question(), claims), Machine(driver, (find_gpu(gpu),)))
    assert answer.verdict is verdict
    if verdict is Verdict.COMPATIBLE:
        assert not answer.remedies and any(
            f"{image} carries cuda-compat-1" in one.message for one in answer.gpus[0].reasons
        )
