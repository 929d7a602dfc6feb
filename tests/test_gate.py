"""The container's gate: what images say of themselves, what the toolkit makes of it, and what the verdict is then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hosts import NO_NVML, absent, denied
from hosts_v100 import DOCKER, GPU, INFO, NVML, VERSION, docker, v100
from simhost import warm

from gpuctl.checks.questions.enforcement import enforcement
from gpuctl.checks.questions.host_answer import GATE_SUBJECTS, host_answer
from gpuctl.compat.answer.answer import Compatibility, check
from gpuctl.compat.ask.image_claims import Claims, Expression, claims_of_env, claims_of_tag
from gpuctl.compat.ask.question import Machine, Question, typed_cuda, with_image
from gpuctl.compat.judge.gate.gate import NOT_KNOWN, Enforcement, Gate
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.facts.gather import gather
from gpuctl.model import Verdict

COMPATIBLE, LIMITED, INCOMPATIBLE, UNKNOWN = (
    Verdict.COMPATIBLE,
    Verdict.LIMITED,
    Verdict.INCOMPATIBLE,
    Verdict.UNKNOWN,
)
REFUSES, STARTS = Enforcement(True, "the hook evaluates it"), Enforcement(False, "it is just-in-time CDI")
SETTINGS = "/etc/nvidia-container-runtime/config.toml"


def image(env: Mapping[str, str], **known: Any) -> Claims:
    return claims_of_env("app:1", "a test", env, **known)


def ask(
    *require: str,
    cuda: str | None = None,
    claims: Claims | None = None,
    driver: str = "535.104.05",
    gpu: str = "A100",
    evaluator: str = "libnvidia-container",
    **machine: Any,
) -> Compatibility:
    typed = tuple(Expression("--require", text) for text in require)
    question = Question((typed_cuda(cuda),) if cuda else (), Gate(None, typed, evaluator))
    if claims:
        question = with_image(question, claims)
    return check(question, Machine(driver, tuple(find_gpu(one) for one in gpu.split("+")), **machine))


def reasons(answer: Compatibility) -> list[str]:
    return [reason.id for gpu in answer.gpus for reason in gpu.reasons] + [reason.id for reason in answer.reasons]


# What an image says of itself


def test_every_require_variable_counts_but_those_for_jetpack() -> None:
    env = {
        "NVIDIA_REQUIRE_CUDA": "cuda>=12.4",
        "NVIDIA_REQUIRE_X": "arch>=7",
        "NVIDIA_REQUIRE_JETPACK_HOST_MOUNTS": "x",
    }
    assert [one.name for one in image(env).expressions] == ["NVIDIA_REQUIRE_CUDA", "NVIDIA_REQUIRE_X"]


@pytest.mark.parametrize(
    ("version", "cuda", "requires"),
    [
        ("12.4.1", "12.4.1", "cuda>=12.4"),
        ("10.1.243", "10.1.243", "cuda>=10.1"),
        ("11.0.221", "11.0", "cuda>=11.0"),
        ("9.0", "9.0", "cuda>=9.0"),
        ("99.1.0", "99.1", "cuda>=99.1"),
    ],
)
def test_an_image_with_only_a_cuda_version_requires_it(version: str, cuda: str, requires: str) -> None:
    claims = image({"CUDA_VERSION": version})
    assert (claims.cuda, [one.text for one in claims.expressions]) == (cuda, [requires])
    both = image({"CUDA_VERSION": version, "NVIDIA_REQUIRE_CUDA": "cuda>=1.0"})
    assert [one.text for one in both.expressions] == ["cuda>=1.0"]


def test_a_cuda_version_that_is_none_keeps_the_toolkit_from_telling_what_is_required() -> None:
    answer = ask(claims=image({"CUDA_VERSION": "banana"}), enforcement=REFUSES)
    assert (answer.verdict, answer.requirement and answer.requirement.verdict) == (INCOMPATIBLE, "error")


@pytest.mark.parametrize(("value", "disabled"), [("1", True), ("true", True), ("T", True), ("yes", False), ("", False)])
def test_disable_require_is_what_go_takes_for_true(value: str, disabled: bool) -> None:
    claims = image({"NVIDIA_REQUIRE_CUDA": "cuda>=99", "CUDA_VERSION": "12.2", "NVIDIA_DISABLE_REQUIRE": value})
    answer = ask(claims=claims)
    assert answer.verdict == (COMPATIBLE if disabled else INCOMPATIBLE)
    assert ("gate.disabled" in reasons(answer)) == disabled


def test_an_image_for_another_platform_does_not_run() -> None:
    claims = image({"CUDA_VERSION": "12.2.2"}, architectures=("arm64",))
    assert reasons(ask(claims=claims, architecture="amd64"))[-1] == "image.platform"
    assert ask(claims=claims, architecture="amd64").verdict == INCOMPATIBLE
    assert ask(claims=claims, architecture="arm64").verdict == COMPATIBLE
    assert ask(claims=claims).verdict == COMPATIBLE


def test_an_image_that_asks_for_no_gpu_or_not_for_compute_says_so() -> None:
    claims = image({"CUDA_VERSION": "12.2.2", "NVIDIA_VISIBLE_DEVICES": "none"})
    assert (ask(claims=claims).verdict, reasons(ask(claims=claims))[-1]) == (COMPATIBLE, "image.no-gpu")
    claims = image({"CUDA_VERSION": "12.2.2", "NVIDIA_DRIVER_CAPABILITIES": "utility,video"})
    assert (ask(claims=claims).verdict, reasons(ask(claims=claims))[-1]) == (LIMITED, "image.no-compute")
    for capabilities in ("all", "compute,utility", ""):
        claims = image({"CUDA_VERSION": "12.2.2", "NVIDIA_DRIVER_CAPABILITIES": capabilities})
        assert ask(claims=claims).verdict == COMPATIBLE


def test_an_image_that_says_nothing_of_cuda_is_unknown_alone_and_no_obstacle_beside_a_question() -> None:
    claims = image({"PATH": "/bin"})
    assert (ask(claims=claims).verdict, reasons(ask(claims=claims))) == (UNKNOWN, ["image.no-cuda"])
    assert ask(claims=claims, cuda="12.2").verdict == COMPATIBLE


def test_a_tag_alone_tells_cuda_and_requirement() -> None:
    claims = claims_of_tag("nvidia/cuda:12.4.1-base-ubuntu22.04")
    assert claims is not None
    assert claims.cuda == "12.4.1"
    assert "brand=tesla,driver>=470,driver<471" in claims.expressions[0].text
    arm = claims_of_tag("nvidia/cuda:11.8.0-base-ubuntu22.04", "arm64")
    assert arm is not None
    assert arm.expressions[0].text == "cuda>=11.8"
    newer = claims_of_tag("nvcr.io/nvidia/cuda:13.3.1-devel-ubuntu24.04")
    assert newer is not None
    assert (newer.cuda, newer.expressions) == ("13.3.1", ())
    catalogue = claims_of_tag("nvcr.io/nvidia/pytorch:24.05-py3")
    assert catalogue is not None
    assert (catalogue.cuda, catalogue.expressions) == ("12.4.1", ())
    for other in ("ubuntu:24.04", "nvcr.io/nvidia/pytorch", "nvcr.io/nvidia/pytorch:19.99-py3", "ufoym/deepo:cpu"):
        assert claims_of_tag(other) is None


# What the toolkit makes of it


def test_a_geforce_on_570_is_refused_by_the_12_9_image_although_minor_version_compatibility_would_run_it() -> None:
    claims = claims_of_tag("nvidia/cuda:12.9.1-base-ubuntu22.04")
    refused = ask(claims=claims, driver="570.26", gpu="RTX 3090", enforcement=REFUSES)
    assert (refused.verdict, reasons(refused)[0]) == (INCOMPATIBLE, "gate.unsatisfied")
    assert "NVIDIA_DISABLE_REQUIRE=1" in " ".join(remedy.text for remedy in refused.remedies)
    started = ask(claims=claims, driver="570.26", gpu="RTX 3090", enforcement=STARTS)
    assert (started.verdict, set(reasons(started))) == (LIMITED, {"gate.not-enforced", "driver.minor-version"})
    assert ask(claims=claims, driver="570.26", gpu="L40S", enforcement=REFUSES).verdict == LIMITED


def test_where_nobody_evaluates_it_the_verdict_says_that_it_is_the_only_check() -> None:
    answer = ask("cuda>=99", enforcement=STARTS)
    assert (answer.verdict, reasons(answer)) == (INCOMPATIBLE, ["gate.not-enforced"])
    assert answer.requirement is not None
    assert answer.requirement.enforced is False
    message = answer.gpus[0].reasons[0].message
    assert "just-in-time CDI" in message
    assert "the only check there is" in message


def test_the_requirement_names_the_false_factor_and_the_branch_that_would_do() -> None:
    requirement = ask("cuda>=12.8").requirement
    assert requirement is not None
    assert (requirement.enforced, requirement.verdict, requirement.failed) == (None, "unsatisfied", ("cuda>=12.8",))
    assert "cuda>=12.8" in requirement.message
    assert requirement.branch is not None
    assert requirement.branch.branch in requirement.message
    assert ask("cuda>=12.8", driver=requirement.branch.newest_version or "").verdict == COMPATIBLE


def test_no_branch_is_named_that_has_dropped_the_gpu() -> None:
    requirement = ask("cuda>=13.1", driver="535.104.05", gpu="V100").requirement
    assert requirement is not None
    assert requirement.branch is None


def test_each_visible_gpu_is_asked_and_the_first_that_fails_decides() -> None:
    answer = ask("brand=tesla", gpu="V100+T4+RTX 3090")
    assert [gpu.verdict for gpu in answer.gpus] == [COMPATIBLE, INCOMPATIBLE, INCOMPATIBLE]
    assert answer.requirement is not None
    assert "T4" in answer.requirement.message


def test_the_drivers_highest_cuda_is_its_branchs_unless_it_is_given() -> None:
    assert ask("cuda>=12.2").verdict == COMPATIBLE
    assert ask("cuda>=12.3").verdict == INCOMPATIBLE
    assert ask("cuda>=12.3", driver_cuda="12.4").verdict == COMPATIBLE
    assert ask("cuda>=10.2", driver="430.26", gpu="V100").verdict == UNKNOWN  # two values in that branch


def test_a_broken_expression_is_an_error_that_a_person_may_have_typed() -> None:
    typed = ask("cuda==12", enforcement=REFUSES)
    assert (typed.verdict, typed.requirement and typed.requirement.verdict) == (UNKNOWN, "error")
    built_in = ask(claims=image({"NVIDIA_REQUIRE_CUDA": "cuda>=10_0"}), enforcement=REFUSES)
    assert (built_in.verdict, reasons(built_in)) == (INCOMPATIBLE, ["gate.error"])


BRAND = "the GPU's brand. Name the brand with --brand"


@pytest.mark.parametrize(
    ("gpu", "driver", "brand", "verdict"),
    [
        ("A100", "550.54.15", "nvidia", COMPATIBLE),
        ("A100-SXM4-80GB", "470.103.01", "tesla", INCOMPATIBLE),
        ("A100", "450.80.02", "nvidia", UNKNOWN),  # NVML of R450 has no such brand, and no source tells which it said
        ("RTX A6000", "515.48.07", "nvidiartx", COMPATIBLE),
        ("RTX A6000", "550.54.15", "quadro", INCOMPATIBLE),
        ("RTX 2000 Ada", "550.54.15", "nvidiartx", COMPATIBLE),
        ("RTX 6000 Ada", "550.127.05", "quadro", INCOMPATIBLE),
        ("L40S", "550.127.05", "nvidia", COMPATIBLE),
        ("H200", "550.127.05", "tesla", INCOMPATIBLE),
        ("B200", "580.126.20", "tesla", INCOMPATIBLE),
        ("A10G", "550.54.15", "nvidia", UNKNOWN),  # reports of it have NVIDIA and NVIDIA RTX
        ("T4", "450.80.02", "tesla", COMPATIBLE),
        ("T4", "470.103.01", "tesla", INCOMPATIBLE),
        ("V100", "450.80.02", "tesla", COMPATIBLE),
        ("V100", "550.54.15", "tesla", COMPATIBLE),
    ],
)
def test_a_brand_is_what_nvml_of_the_driver_reports(gpu: str, driver: str, brand: str, verdict: Verdict) -> None:
    assert ask(f"brand={brand}", driver=driver, gpu=gpu).verdict == verdict


@pytest.mark.parametrize("evaluator", ["libnvidia-container", "go"])
@pytest.mark.parametrize("text", ["cuda>>12", "cuda>=12 cuda>>12", "cuda>=10_0", "cuda", "driver>=550,driver>="])
def test_what_a_person_types_and_is_no_requirement_is_wrong_usage(text: str, evaluator: str) -> None:
    told = ("--gpu", "A100", "--driver", "550.54.15", "--evaluator", evaluator)
    done = warm.run("check", "--require", text, *told)
    assert (done.returncode, done.stdout) == (2, b"")
    assert "--require is a broken requirement: " in " ".join(done.stderr.decode().split())
    assert warm.run("check", "--require", "cuda>=12.4 brand=tesla,driver>=470,driver<471", *told).returncode == 0


def test_an_empty_requirement_requires_nothing_and_says_so() -> None:
    answer = ask("", driver="550.54.15", gpu="A100")
    assert (answer.verdict, answer.gpus[0].reasons[0].message[:19]) == (COMPATIBLE, "Nothing is required")


@pytest.mark.parametrize(
    ("required", "driver", "gpu", "unknown"),
    [
        ("cuda>=12.4", "999.10", "A100", "the highest CUDA version of the driver"),
        ("brand=tesla", "550.54.15", "B300", BRAND),
        ("brand!=geforce", "550.54.15", "8.0", BRAND),
        (
            "cuda>=12.9 brand=tesla,driver>=535,driver<536",
            "535.104.05",
            "L40",
            "the GPU's brand. Name the brand with --brand",
        ),
    ],
)
def test_what_gpuctl_does_not_know_is_never_taken_for_met(required: str, driver: str, gpu: str, unknown: str) -> None:
    answer = ask(required, driver=driver, gpu=gpu, enforcement=REFUSES)
    assert (answer.verdict, reasons(answer), answer.remedies) == (UNKNOWN, ["gate.unknown"], ())
    assert answer.gpus[0].reasons[0].message.endswith(f"gpuctl cannot tell {unknown}.")
    assert ask(f"{required} driver>=400", driver=driver, gpu=gpu).verdict == COMPATIBLE


def test_more_than_32_expressions_are_too_many() -> None:
    assert ask(*["cuda>=10"] * 32).verdict == COMPATIBLE
    answer = ask(*["cuda>=10"] * 33)
    assert answer.requirement is not None
    assert answer.requirement.verdict == "error"


def test_the_go_evaluator_is_asked_on_demand() -> None:
    assert ask("CUDA>=99").verdict == INCOMPATIBLE
    assert ask("CUDA>=99", evaluator="go").verdict == COMPATIBLE


def test_without_a_driver_the_gate_alone_can_be_asked() -> None:
    machine = Machine(None, (find_gpu("A100"),), driver_cuda="12.2")
    verdicts = {
        text: check(Question((), Gate(None, (Expression("require", text),))), machine).verdict
        for text in ("cuda>=12.1", "cuda>=12.3", "cuda>=12.1,driver>=535")
    }
    assert list(verdicts.values()) == [COMPATIBLE, INCOMPATIBLE, UNKNOWN]
    with pytest.raises(ValueError, match="no driver"):
        check(Question((typed_cuda("12.1"),)), machine)


# Whether it is evaluated on this host


def jit(version: str = "1.18.2") -> dict[str, Any]:
    return {
        "commands": {
            "nvidia-ctk --version": f"NVIDIA Container Toolkit CLI version {version}\n",
        }
    }


def with_settings(text: str) -> dict[str, Any]:
    return {"files": {SETTINGS: text}}


def old_docker() -> dict[str, Any]:
    return {"sockets": {DOCKER: {"/version": VERSION | {"Version": "18.09.1"}, "/info": INFO, "/images/json": []}}}


def cdi_docker() -> dict[str, Any]:
    return {"sockets": docker("29.4.0", DiscoveredDevices=[{"Source": "cdi", "ID": "nvidia.com/gpu=all"}])}


@pytest.mark.parametrize(
    ("differs", "enforced", "why"),
    [
        ({}, True, "--gpus"),
        (jit(), True, "just-in-time CDI"),
        ({"sockets": docker("28.5.1"), **jit()}, True, "28.5.1"),
        (cdi_docker(), False, "CDI"),
        ({"sockets": docker("29.4.0")}, True, "29.4.0"),
        (old_docker(), True, "mode auto"),
        ({**old_docker(), **jit()}, False, "just-in-time CDI"),
        ({**old_docker(), **jit(), **with_settings('[nvidia-container-runtime]\nmode = "legacy"\n')}, True, "legacy"),
        (with_settings('[nvidia-container-runtime]\nmode = "cdi"\n'), False, "mode here is cdi"),
        (with_settings("disable-require = true\n"), False, "disable-require"),
        (with_settings("disable-require = false\n#mode\n"), True, "--gpus"),
        (with_settings("= broken"), None, ""),
        ({"files": {SETTINGS: denied()}}, None, ""),
        ({"sockets": {DOCKER: absent()}}, None, ""),
    ],
)
def test_whether_this_hosts_toolkit_evaluates_anything(
    differs: dict[str, Any], enforced: bool | None, why: str
) -> None:
    said = enforcement(gather(v100(**differs), GATE_SUBJECTS))
    assert said.enforced is enforced
    assert why in said.why
    assert (said == NOT_KNOWN) == (enforced is None)


def test_this_host_is_judged_with_its_own_facts() -> None:
    question = with_image(Question(), image({"CUDA_VERSION": "10.1.243"}, architectures=("arm64",)))
    answer = host_answer(question, gather(v100(), GATE_SUBJECTS), Machine())
    assert (answer.verdict, answer.reasons[0].id) == (INCOMPATIBLE, "image.platform")
    question = Question((), Gate(None, (Expression("--require", "cuda>=99"),)))
    answer = host_answer(question, gather(v100(), GATE_SUBJECTS), Machine())
    assert answer.requirement is not None
    assert answer.requirement.enforced is True


# Which GPUs of this host are meant


def test_a_gpu_that_no_table_knows_is_not_taken_for_no_gpu() -> None:
    pci = {"/sys/bus/pci/devices/0000:3b:00.0/device": "0xffff\n"}
    answer = host_answer(Question((typed_cuda("10.1"),)), gather(v100(nvml=NO_NVML, files=pci)), Machine())
    assert (answer.verdict, [gpu.name for gpu in answer.gpus]) == (UNKNOWN, ["10de:ffff"])


def test_a_gpu_that_does_not_answer_is_not_left_out() -> None:
    lost = v100(nvml=[{**NVML[0], "count": 2}, GPU, {"index": 1, "error": "GPU is lost"}])
    answer = host_answer(Question((typed_cuda("10.1"),)), gather(lost), Machine())
    assert (answer.verdict, [gpu.verdict for gpu in answer.gpus]) == (UNKNOWN, [COMPATIBLE, UNKNOWN])
    assert "does not answer" in answer.gpus[1].name
