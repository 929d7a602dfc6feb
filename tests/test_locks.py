"""Locks and requirement files as installers read them: what this host installs, and what only a choice decides."""

from __future__ import annotations

import re
import time

import pytest

from gpuctl.compat.answer.answer import Compatibility, check
from gpuctl.compat.ask.pip_files.asks import requirements_asks
from gpuctl.compat.ask.pip_files.markers import Environment
from gpuctl.compat.ask.question import Machine, Question
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.model import Verdict

X86, ARM = Environment("x86_64", "3.12"), Environment("aarch64", "3.12")

BY_ARCHITECTURE = """\
torch==2.6.0 ; platform_machine == 'x86_64'
torch==2.12.1 ; platform_machine == 'aarch64'
"""
BY_PYTHON = """\
torch==2.4.1 ; python_version < '3.9'
torch==2.6.0 ; python_version >= '3.9' and python_version < '3.14'
torch==2.12.1 ; python_full_version >= '3.14'
"""
UV_FORKED = """\
version = 1
requires-python = ">=3.10"
resolution-markers = ["platform_machine == 'aarch64' and sys_platform == 'linux'", "platform_machine != 'aarch64'"]

[[package]]
name = "torch"
version = "2.6.0"
source = { registry = "https://pypi.org/simple" }
resolution-markers = ["platform_machine != 'aarch64' or sys_platform != 'linux'"]

[[package]]
name = "torch"
version = "2.12.1"
source = { registry = "https://pypi.org/simple" }
resolution-markers = ["platform_machine == 'aarch64' and sys_platform == 'linux'"]
"""
UV_CONFLICTS = """\
version = 1
requires-python = ">=3.10"
conflicts = [[{ package = "demo", extra = "cu124" }, { package = "demo", extra = "cu130" }]]

[[package]]
name = "demo"
version = "0.1.0"
source = { virtual = "." }

[package.optional-dependencies]
cu124 = [{ name = "torch", version = "2.6.0+cu124", source = { registry = "https://download.pytorch.org/whl/cu124" } }]
cu130 = [{ name = "torch", version = "2.12.1+cu130", source = { registry = "https://download.pytorch.org/whl/cu130" } }]

[[package]]
name = "torch"
version = "2.6.0+cu124"
source = { registry = "https://download.pytorch.org/whl/cu124" }

[[package]]
name = "torch"
version = "2.12.1+cu130"
source = { registry = "https://download.pytorch.org/whl/cu130" }
"""
UV_EXTRA = """\
version = 1

[[package]]
name = "demo"
version = "0.1.0"
source = { editable = "." }
dependencies = [{ name = "between", extra = ["gpu"] }]

[package.optional-dependencies]
onnx = [{ name = "onnxruntime-gpu" }]

[[package]]
name = "between"
version = "1.0"
source = { registry = "https://pypi.org/simple" }

[package.optional-dependencies]
gpu = [{ name = "torch" }]

[[package]]
name = "torch"
version = "2.6.0"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "onnxruntime-gpu"
version = "1.31.1"
source = { registry = "https://pypi.org/simple" }
"""
UV_GROUP = UV_EXTRA.replace("[package.optional-dependencies]\nonnx", "[package.dev-dependencies]\nserving")
POETRY_EXTRA = """\
[[package]]
name = "torch"
version = "2.6.0"
optional = false
groups = ["main"]

[[package]]
name = "onnxruntime-gpu"
version = "1.31.1"
optional = true
groups = ["main"]
"""
PDM_GROUP = """\
[[package]]
name = "torch"
version = "2.6.0"
groups = ["default"]

[[package]]
name = "onnxruntime-gpu"
version = "1.31.1"
groups = ["serving"]
"""
PYLOCK = """\
lock-version = "1.0"
created-by = "pdm"
extras = ["cu124", "cu130"]

[[packages]]
name = "torch"
version = "2.6.0"
marker = "'cu124' in extras and platform_machine == 'x86_64'"

[[packages]]
name = "torch"
version = "2.12.1"
marker = "'cu130' in extras and platform_machine == 'x86_64'"

[[packages]]
name = "torch"
version = "2.15.0"
marker = "'cu130' in extras and platform_machine == 'aarch64'"
"""

# As invoke-ai/InvokeAI has it: an index for each extra, and without one what PyPI has.
UV_INDEXES = "version = 1\n" + "".join(
    f'''
[[package]]
name = "{name}"
version = "{version}"
source = {{ registry = "https://{index}" }}
'''
    for name, version, index in (
        ("torch", "2.7.1", "pypi.org/simple"),
        ("torch", "2.7.1+cpu", "download.pytorch.org/whl/cpu"),
        ("torch", "2.7.1+cu128", "download.pytorch.org/whl/cu128"),
        ("torch", "2.7.1+rocm6.3", "download.pytorch.org/whl/rocm6.3"),
        ("nvidia-cuda-runtime-cu12", "12.6.77", "pypi.org/simple"),
        ("nvidia-cuda-runtime-cu12", "12.8.57", "pypi.org/simple"),
    )
)


def cudas(text: str, name: str, where: Environment) -> list[str]:
    return [one.cuda for one in requirements_asks(text, name, where)]


def on(text: str, name: str, driver: str) -> Compatibility:
    return check(Question(requirements_asks(text, name, X86)), Machine(driver, (find_gpu("RTX 4090"),)))


@pytest.mark.parametrize(("text", "name"), [(BY_ARCHITECTURE, "r.txt"), (UV_FORKED, "uv.lock")])
def test_what_another_architecture_installs_is_not_asked_here(text: str, name: str) -> None:
    assert cudas(text, name, X86) == ["12.4"]
    assert cudas(text, name, ARM) == ["13.0"]
    assert requirements_asks(text, name, X86)[0].by.endswith(f" in {name} (for x86_64)")


def test_what_another_python_installs_is_not_asked_here() -> None:
    assert cudas(BY_PYTHON, "r.txt", Environment("x86_64", "3.12")) == ["12.4"]
    assert cudas(BY_PYTHON, "r.txt", Environment("x86_64", "3.8")) == ["12.1"]
    assert cudas(BY_PYTHON, "r.txt", Environment("x86_64", "3.15")) == ["13.0"]


@pytest.mark.parametrize(
    "text",
    [
        'torch==2.2.1; python_version < "3.12"\ntorch==2.5.1; python_version >= "3.12"\n',
        'torch==2.5.1; python_version >= "3.12"\ntorch==2.2.1; python_version < "3.12"\n',
        'torch==2.2.1; python_full_version < "3.10.0"\ntorch==2.5.1+cu124; python_full_version >= "3.10.0"\n',
        'nvidia-cuda-runtime-cu12==12.1.105; python_version == "3.11"\n'
        'nvidia-cuda-runtime-cu12==12.4.127; python_version > "3.11"\n',
    ],
)
def test_which_python_the_application_has_is_not_guessed(text: str) -> None:
    answer = on_a100(text, Environment("x86_64"))
    assert answer.verdict is Verdict.UNKNOWN
    assert {one.cuda: one.verdict for one in answer.asked} == {"12.1": Verdict.COMPATIBLE, "12.4": Verdict.LIMITED}
    (reason,) = (one for one in answer.gpus[0].reasons if one.id == "build.alternatives")
    assert "--python" in reason.message and "is compatible" in reason.message and "is limited" in reason.message
    assert on_a100(text, Environment("x86_64", "3.9")).verdict in (Verdict.COMPATIBLE, Verdict.UNKNOWN)
    assert on_a100(text, Environment("x86_64", "3.13")).verdict is Verdict.LIMITED


def test_what_a_python_pins_of_cuda_chooses_the_build_of_that_python_alone() -> None:
    each = "torch=={} ; python_version {}\nnvidia-cuda-runtime-cu12=={} ; python_version {}\n"
    older, newer = (
        each.format("2.4.0", "< '3.12'", "12.1.105", "< '3.12'"),
        each.format("2.5.1", ">= '3.12'", "12.4.127", ">= '3.12'"),
    )
    asks = requirements_asks(older + newer, "r.txt", Environment("x86_64"))
    assert {ask.cuda: ask.release.version for ask in asks if ask.release} == {"12.1": "2.4.0", "12.4": "2.5.1"}


def on_a100(text: str, where: Environment) -> Compatibility:
    return check(Question(requirements_asks(text, "r.txt", where)), Machine("530.30.02", (find_gpu("A100"),)))


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("torch==2.2.1\nnumpy==1.26.4\ntorch==2.5.1\n", "line 3 pins torch 2.5.1, and r.txt line 1 torch 2.2.1"),
        ("torch==2.2.1+cu121\ntorch==2.2.1+cu118\n", "line 2 pins torch 2.2.1+cu118, and r.txt line 1"),
        ("Torch==2.2.1 ; python_version < '3.12'\ntorch==2.5.1\n", "line 2 pins torch 2.5.1, and r.txt line 1"),
    ],
)
def test_two_pins_of_which_pip_installs_neither_are_refused(text: str, pair: str) -> None:
    with pytest.raises(ValueError, match=f"{re.escape(pair)}.*: pip installs neither"):
        requirements_asks(text, "r.txt", Environment("x86_64"))


def test_a_file_that_repeats_itself_takes_no_longer_for_it() -> None:
    pair = "torch==2.2.1 ; python_version < '3.12'{0}\ntorch==2.5.1 ; python_version >= '3.12'{0}\n"
    began = time.process_time()
    for text in (pair.format("") * 3_000, "".join(pair.format(f" and os_name != 'a{at}'") for at in range(300))):
        assert {one.one_of for one in requirements_asks(text, "r.txt", Environment("x86_64"))} == {"torch"}
    assert time.process_time() - began < 30


@pytest.mark.parametrize("text", ["torch==2.2.1\ntorch==2.2.1+cu121\n", "torch==2.2.1\ntorch==2.2.1\n", BY_PYTHON])
def test_two_pins_that_one_version_meets_are_taken(text: str) -> None:
    assert requirements_asks(text, "r.txt", X86)


def test_a_file_for_another_python_alone_is_judged_all_the_same() -> None:
    assert cudas("torch==2.6.0 ; python_version >= '3.13'\n", "r.txt", X86) == ["12.4"]


@pytest.mark.parametrize(("text", "name"), [(UV_CONFLICTS, "uv.lock"), (PYLOCK, "pylock.toml")])
def test_alternatives_that_only_a_choice_decides_are_told_one_by_one(text: str, name: str) -> None:
    answer = on(text, name, "550.90.07")
    assert answer.verdict is Verdict.UNKNOWN
    assert {one.cuda: one.verdict for one in answer.asked} == {
        "12.4": Verdict.COMPATIBLE,
        "13.0": Verdict.INCOMPATIBLE,
    }
    (reason,) = (one for one in answer.gpus[0].reasons if one.id == "build.alternatives")
    assert "torch 2.6.0" in reason.message and "is compatible" in reason.message
    assert "is incompatible" in reason.message


def test_alternatives_that_fare_alike_decide_together() -> None:
    assert on(UV_CONFLICTS, "uv.lock", "610.43.02").verdict is Verdict.COMPATIBLE
    assert on(UV_CONFLICTS, "uv.lock", "470.57.02").verdict is Verdict.INCOMPATIBLE


@pytest.mark.parametrize(
    ("text", "name", "by_itself"),
    [
        (UV_EXTRA, "uv.lock", ("[package.optional-dependencies]\nonnx", "[package.dev-dependencies]\ndev")),
        (UV_GROUP, "uv.lock", ("serving =", "dev =")),
        (POETRY_EXTRA, "poetry.lock", ("true", "false")),
        (PDM_GROUP, "pdm.lock", ("serving", "dev")),
    ],
)
def test_what_only_an_extra_or_a_group_installs_says_no_sure_no(
    text: str, name: str, by_itself: tuple[str, str]
) -> None:
    answer = on(text, name, "550.90.07")
    assert answer.verdict is Verdict.UNKNOWN
    (reason,) = (one for one in answer.gpus[0].reasons if one.id == "build.by-choice")
    assert "onnxruntime-gpu 1.31.1" in reason.message and "it is incompatible" in reason.message
    assert on(text, name, "610.43.02").verdict is Verdict.COMPATIBLE
    assert on(text.replace(*by_itself), name, "550.90.07").verdict is Verdict.INCOMPATIBLE


ONNX_BY_EXTRA = UV_CONFLICTS.replace("cu124 = ", 'onnx = [{ name = "onnxruntime-gpu" }]\ncu124 = ')
ONNX_BY_EXTRA += (
    '\n[[package]]\nname = "onnxruntime-gpu"\nversion = "1.31.1"\nsource = { registry = "https://pypi.org/simple" }\n'
)


def test_a_package_of_one_extra_says_no_sure_no_where_another_extra_runs() -> None:
    answer = on(ONNX_BY_EXTRA, "uv.lock", "550.90.07")
    assert answer.verdict is Verdict.UNKNOWN
    assert on(ONNX_BY_EXTRA, "uv.lock", "470.57.02").verdict is Verdict.INCOMPATIBLE
    alone = UV_EXTRA.replace('dependencies = [{ name = "between", extra = ["gpu"] }]', "")
    alone = alone.replace("onnx = [", 'gpu = [{ name = "torch" }]\nonnx = [')
    assert on(alone, "uv.lock", "550.90.07").verdict is Verdict.UNKNOWN
    assert on(alone, "uv.lock", "470.57.02").verdict is Verdict.UNKNOWN  # without either nothing asks


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (UV_EXTRA.replace(', extra = ["gpu"]', ""), "uv.lock"),
        (POETRY_EXTRA.replace("optional = false", "optional = true"), "poetry.lock"),
        (PDM_GROUP.replace('"default"', '"serving"'), "pdm.lock"),
    ],
)
def test_a_file_of_which_only_extras_ask_says_no_sure_no(text: str, name: str) -> None:
    answer = on(text, name, "470.57.02")
    assert answer.verdict is Verdict.UNKNOWN
    assert all("depends on the extras" in one.message for one in answer.gpus[0].reasons)


def test_a_torch_from_pypi_is_pypis_build_whatever_is_locked_for_an_extra_beside_it() -> None:
    asks = requirements_asks(UV_INDEXES, "uv.lock", X86)
    assert {one.cuda: one.by.split(",")[0] for one in asks} == {"12.6": "torch 2.7.1", "12.8": "torch 2.7.1+cu128"}
    answer = check(Question(asks), Machine("580.95.05", (find_gpu("RTX 5090"),)))
    assert answer.verdict is Verdict.UNKNOWN
    (reason,) = (one for one in answer.gpus[0].reasons if one.id == "build.alternatives")
    assert "is incompatible" in reason.message and "is compatible" in reason.message
    assert "uv export" in reason.message


def test_builds_without_cuda_among_what_is_chosen_are_named() -> None:
    answer = check(
        Question(requirements_asks(UV_INDEXES, "uv.lock", X86)), Machine("580.95.05", (find_gpu("RTX 3090"),))
    )
    assert answer.verdict is Verdict.COMPATIBLE
    (reason,) = (one for one in answer.gpus[0].reasons if one.id == "build.without-cuda")
    assert "torch 2.7.1+cpu, torch 2.7.1+rocm6.3" in reason.message and "asks for no CUDA" in reason.message


def test_an_extra_of_several_that_exclude_each_other_may_be_the_one_that_is_chosen() -> None:
    text = PYLOCK.replace("'cu124' in extras", "'cu124' in extras and 'cu130' not in extras")
    assert cudas(text, "pylock.toml", X86) == ["12.4", "13.0"]
