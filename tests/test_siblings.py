"""What a package says of the version of another: torchvision's release names its torch, and pip takes no other."""

from __future__ import annotations

import re

import pytest

from gpuctl.compat.answer.answer import Compatibility, check
from gpuctl.compat.ask.pip_files.asks import named_asks, requirements_asks
from gpuctl.compat.ask.pip_files.markers import Environment
from gpuctl.compat.ask.question import Machine, Question
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.compat.knowledge.indirect import indirect_packages
from gpuctl.model import Verdict

X86 = Environment("x86_64")
SIBLINGS = ("torchvision", "torchaudio", "xformers")


def on(text: str, gpu: str, driver: str, python: str | None = None) -> Compatibility:
    asks = requirements_asks(text, "r.txt", Environment("x86_64", python))
    return check(Question(asks), Machine(driver, (find_gpu(gpu),)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("torch\ntorchvision==0.16.2\n", "torch 2.1.2 (the build that pip installs) of torchvision 0.16.2"),
        ("torchvision==0.16.2\n", "torch 2.1.2 (the build that pip installs) of torchvision 0.16.2"),
        ("torch>=2.0\ntorchvision==0.15.2\n", "torch 2.0.1 (the build that pip installs) of torchvision 0.15.2"),
        ("torch\nxformers==0.0.20\n", "torch 2.0.1 (the build that pip installs) of xformers 0.0.20"),
        ("torch\nxformers==0.0.28.post2\n", "torch 2.5.0 (the build that pip installs) of xformers 0.0.28.post2"),
        ("pytorch-lightning==2.0\ntorchaudio==2.1.0\n", "torch 2.1.0 (the build that pip installs) of torchaudio"),
        ("accelerate\ntorch\ntorchvision==0.16.2\ntorchaudio==2.1.2\n", "torch 2.1.2 (the build that pip installs)"),
        ("--index-url https://download.pytorch.org/whl/cu118\ntorch\ntorchvision==0.16.2\n", "torch 2.1.2 of"),
    ],
)
def test_an_open_torch_is_the_one_that_a_release_beside_it_requires(text: str, told: str) -> None:
    first, *more = requirements_asks(text, "r.txt", X86)
    assert first.by.startswith(told)
    assert not any(one.unknown for one in more)


@pytest.mark.parametrize(
    ("text", "cuda"),
    [
        ("torch\ntorchvision==0.16.2\n", "12.1"),
        ("torchvision==0.16.2\n", "12.1"),
        ("--index-url https://download.pytorch.org/whl/cu118\ntorch\ntorchvision==0.16.2\n", "11.8"),
        ("torchvision==0.16.2+cu118\n", "11.8"),
        ("torch\ntorchvision==0.16.2+cu118\n", "11.8"),
    ],
)
def test_its_cuda_is_that_of_its_index_and_else_what_pip_installs(text: str, cuda: str) -> None:
    assert [one.cuda for one in requirements_asks(text, "r.txt", X86)] == [cuda]


@pytest.mark.parametrize(
    ("text", "gpu", "driver", "verdict"),
    [
        ("torch\ntorchvision==0.16.2\n", "RTX 3060", "535.183.01", Verdict.COMPATIBLE),
        ("torch\nxformers==0.0.20\n", "RTX 3060", "535.183.01", Verdict.LIMITED),
        ("torch\ntorchvision==0.16.2\n", "RTX 5090", "580.95.05", Verdict.INCOMPATIBLE),
        ("torchvision==0.16.2\n", "RTX 5090", "580.95.05", Verdict.INCOMPATIBLE),
    ],
)
def test_the_torch_that_is_required_decides(text: str, gpu: str, driver: str, verdict: Verdict) -> None:
    answer = on(text, gpu, driver)
    assert answer.verdict is verdict
    assert not any(one.text.startswith("Use") for one in answer.remedies)  # it would part them


@pytest.mark.parametrize(
    ("text", "torch"),
    [
        ("torch==2.4.0\ntorchvision==0.16.2\n", "torch 2.4.0"),  # as it stands in an environment, whatever pip says
        ("torch\ntorchvision==0.29.2\n", "torch "),  # requires torch>=2.14.0
        ("torch\ntorchvision\n", "torch "),
        ("torch\ntorchvision==0.16.2 ; sys_platform == 'win32'\n", "torch "),
    ],
)
def test_a_torch_that_is_pinned_or_that_none_pins_is_as_it_was(text: str, torch: str) -> None:
    (one,) = requirements_asks(text, "r.txt", X86)
    assert one.by.startswith(torch) and " of " not in one.by


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "torchvision==0.16.2\ntorch==2.2.0\n",
            "r.txt line 1 (torchvision 0.16.2) requires torch 2.1.2, and r.txt line 2 pins 2.2.0: pip installs neither",
        ),
        ("torch==2.5.1\ntorchaudio==2.4.0\n", "r.txt line 2 (torchaudio 2.4.0) requires torch 2.4.0, and r.txt line 1"),
        ("torch==2.7.1\nxformers==0.0.29.post3\n", "requires torch 2.6.0, and r.txt line 1 pins 2.7.1"),
        ("torch==2.7.0+cu128\nvllm==0.8.5\n", "requires torch 2.6.0, and r.txt line 1 pins 2.7.0+cu128"),
    ],
)
def test_pins_side_by_side_that_pip_installs_neither_of_are_told_with_their_lines(text: str, says: str) -> None:
    reasons = on(text, "A100", "580.95.05").gpus[0].reasons
    assert [says in one.message for one in reasons if one.id == "build.parted"] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "torch==2.1.2+cu118\ntorchvision==0.16.2\n",
        "torch==2.1.2\ntorchvision==0.16.2+cu121\n",
        "torch==2.2.0 ; python_version < '3.12'\ntorchvision==0.16.2 ; python_version >= '3.12'\n",
    ],
)
def test_pins_that_pip_installs_together_or_never_together_are_not_told(text: str) -> None:
    reasons = on(text, "A100", "580.95.05").gpus[0].reasons
    assert not [one for one in reasons if one.id == "build.parted"]


def test_releases_for_several_pythons_are_alternatives() -> None:
    text = 'torch\ntorchvision==0.15.2; python_version < "3.12"\ntorchvision==0.16.2; python_version >= "3.12"\n'
    assert {one.one_of for one in requirements_asks(text, "r.txt", X86)} == {"torch"}
    assert on(text, "RTX 3060", "535.183.01", "3.10").asked[0].by.startswith("torch 2.0.1 (")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "torchvision==0.16.2\nxformers==0.0.20\n",
            "r.txt line 2 (xformers 0.0.20) pins torch 2.0.1, and r.txt line 1",
        ),
        ("torch>=2.2\ntorchvision==0.16.2\n", "r.txt line 2 (torchvision 0.16.2) pins torch 2.1.2, and r.txt line 1"),
    ],
)
def test_requirements_that_no_torch_meets_are_refused_with_their_lines(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"{re.escape(says)}.*: pip installs neither"):
        requirements_asks(text, "r.txt", X86)


@pytest.mark.parametrize(
    ("text", "gpu", "verdict"),
    [
        ("torchvision==0.16.2", "A100", Verdict.COMPATIBLE),
        ("vllm==0.6.3", "GTX 1080", Verdict.INCOMPATIBLE),
        ("flash-attn==2.6.3", "T4", Verdict.INCOMPATIBLE),
        ("accelerate==1.0", "A100", Verdict.UNKNOWN),
    ],
)
def test_a_package_says_the_same_by_name_as_in_a_file(text: str, gpu: str, verdict: Verdict) -> None:
    machine = Machine("580.95.05", (find_gpu(gpu),))
    named = check(Question(named_asks(text)), machine)
    assert named.verdict is verdict
    filed = check(Question(requirements_asks(text, "r.txt")), machine)
    assert [reason.message for reason in filed.gpus[0].reasons] == [
        reason.message for reason in named.gpus[0].reasons
    ] or verdict is Verdict.INCOMPATIBLE
    assert not any(" in " in one.by for one in named.asked)


def test_each_release_from_one_to_the_next_requires_what_the_first_of_them_does() -> None:
    row = indirect_packages()["torchvision"]
    told = [row.pinned(version) for version in ("0.3.0", "0.16.1", "0.16.2+cu118", "0.29.2", "0.99.0", "0.16.0rc1")]
    assert told == ["", "torch==2.1.1", "torch==2.1.2", "", "", ""]


def test_a_package_for_the_cpu_that_is_named_says_so() -> None:
    (one,) = named_asks("torchvision==0.16.2+cpu")
    assert one.for_cpu == (
        "torchvision==0.16.2+cpu asks for no GPU: a build tagged cpu is for the CPU and asks for no CUDA."
    )


@pytest.mark.parametrize("file", ["torch-2.99.0-py3-none-any.whl", "vllm-99.0-py3-none-any.whl"])
def test_the_address_of_a_package_that_is_not_known_is_not_shown(file: str) -> None:
    (one,) = named_asks(f"https://me:secret@example.org/{file}")
    assert one.unknown and "secret" not in one.by + one.unknown
