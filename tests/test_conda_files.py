"""Files of conda's kind, as they stand in public repositories, and what they ask for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.compat.answer.answer import check
from gpuctl.compat.ask.pip_files.asks import requirements_asks
from gpuctl.compat.ask.pip_files.markers import Environment
from gpuctl.compat.ask.question import Machine, Question
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.model import Verdict

X86, ARM = Environment("x86_64", "3.12"), Environment("aarch64", "3.12")

ENVIRONMENT = """\
name: lab
channels:
  - nvidia  # for CUDA
  - conda-forge
dependencies:
  - python>=3.10
  - pytorch::pytorch=2.0.1
  - pytorch::pytorch-cuda=11.8 # [linux]
  - cuda-version
  - pip
  - numpy
"""
WITH_PIP = """\
dependencies:
- python=3.11
- pip:
  - --extra-index-url https://download.pytorch.org/whl/cu121
  - torch==2.4.0
  - numpy
- scipy
prefix: /opt/lab
"""
EXPORTED_ENVIRONMENT = """\
name: deep
dependencies:
  - cuda-cudart=12.1.105
  - cuda-opencl=12.4.127
  - cuda-runtime=12.1.0
  - libcublas=12.1.0.26
"""
LISTED = """\
# This file may be used to create an environment using:
# $ conda create --name <env> --file <this file>
# platform: linux-64
cudatoolkit=11.3.1=h2bc3f7f_2
numpy=1.21.2
pytorch=1.11.0=py3.9_cuda11.3_cudnn8.2.0_0
"""
EXPLICIT = """\
# platform: linux-64
@EXPLICIT
https://conda.anaconda.org/conda-forge/linux-64/cuda-cudart-12.6.77-h5888daf_0.conda#0123
https://conda.anaconda.org/conda-forge/noarch/cuda-version-12.6-h7480c83_3.conda#4567
https://conda.anaconda.org/conda-forge/linux-64/pytorch-2.6.0-cuda126_generic_py312_h30b5a27_200.conda#89ab
"""
CONDA_LOCK = """\
version: 1
metadata:
  platforms:
  - linux-64
package:
- name: cuda-version
  version: '12.4'
  manager: conda
  platform: linux-64
  url: https://conda.anaconda.org/conda-forge/noarch/cuda-version-12.4-h3060b56_3.conda
- name: torchmetrics
  version: 1.4.0
  manager: pip
  platform: linux-64
  url: https://files.pythonhosted.org/packages/aa/bb/torchmetrics-1.4.0-py3-none-any.whl
"""
PIXI = """\
version: 6
environments:
  default:
    channels:
    - url: https://conda.anaconda.org/conda-forge/
    packages:
      linux-64:
      - conda: https://conda.anaconda.org/conda-forge/linux-64/cuda-cudart-12.9.79-h5888daf_0.conda
      linux-aarch64:
      - conda: https://conda.anaconda.org/conda-forge/linux-aarch64/cuda-cudart-13.0.96-h3ae8b8a_0.conda
      osx-arm64:
      - conda: https://conda.anaconda.org/conda-forge/osx-arm64/pytorch-2.8.0-cpu_generic_py312_h3a9a1f7_0.conda
packages:
- conda: https://conda.anaconda.org/conda-forge/linux-64/cuda-cudart-12.9.79-h5888daf_0.conda
  sha256: 00
- conda: https://conda.anaconda.org/conda-forge/linux-aarch64/cuda-cudart-13.0.96-h3ae8b8a_0.conda
"""
PIXI_PYPI = """\
version: 6
environments:
  default:
    packages:
      linux-64:
      - pypi: https://download.pytorch.org/whl/cu124/torch-2.6.0%2Bcu124-cp312-cp312-linux_x86_64.whl
      win-64:
      - pypi: https://download.pytorch.org/whl/cu118/torch-2.6.0%2Bcu118-cp312-cp312-win_amd64.whl
packages:
- pypi: https://download.pytorch.org/whl/cu124/torch-2.6.0%2Bcu124-cp312-cp312-linux_x86_64.whl
"""


def cudas(text: str, name: str = "environment.yml", where: Environment = X86) -> list[str]:
    return [one.cuda for one in requirements_asks(text, name, where)]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("environment.yml", ENVIRONMENT, ["11.8"]),
        (
            "environment.yml",
            ENVIRONMENT.replace("pytorch::pytorch-cuda=11.8", '"nvidia::pytorch-cuda 11.7.*"'),
            ["11.7"],
        ),
        ("environment.yml", ENVIRONMENT.replace("pytorch-cuda=11.8", "cudatoolkit>=11.1"), ["11"]),
        ("environment.yml", WITH_PIP, ["12.1"]),
        ("environment.yml", EXPORTED_ENVIRONMENT, ["12.1"]),
        ("environment.yaml", "dependencies:\n- pytorch=2.4.1=*cuda120*\n", ["12.0"]),
        ("environment.yaml", "dependencies:\n- pytorch=2.1\n- cpuonly\n", []),
        ("spec.txt", LISTED, ["11.3"]),
        ("explicit.txt", EXPLICIT, ["12.6"]),
        ("explicit.txt", EXPLICIT.replace("cuda126", "cpu").replace("cuda-", "no-"), []),
        (
            "explicit.txt",
            EXPLICIT.replace("cuda-cudart-12.6.77", "cuda-cudart-11.8.89").replace("126", "118"),
            ["11.8"],
        ),
        ("conda-lock.yml", CONDA_LOCK, ["12.4"]),
        ("pixi.lock", PIXI, ["12.9"]),
        ("pixi.lock", PIXI_PYPI, ["12.4"]),
    ],
)
def test_a_file_of_condas_kind_asks_for_the_cuda_of_its_packages(name: str, text: str, expected: list[str]) -> None:
    assert cudas(text, name) == expected
    assert cudas(text.replace("\n", "\r\n"), name) == expected


def test_another_architectures_packages_are_left_out() -> None:
    assert cudas(PIXI, "pixi.lock", ARM) == ["13.0"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("cuda-version>=12.0,<=12.5", "cuda-version >=12.0,<=12.5"),
        ("cuda-version >=12.0, <=12.5", "cuda-version >=12.0, <=12.5"),
        ("cuda-version>=12.0,<13 h0_1", "cuda-version >=12.0,<13 h0_1"),
    ],
)
def test_bounds_are_said_as_they_stand(spec: str, said: str) -> None:
    (ask,) = requirements_asks(f"dependencies:\n- {spec}\n", "environment.yml", X86)
    assert ask.cuda == "12" and ask.by == f"{said} in environment.yml"


@pytest.mark.parametrize("dependency", ["pytorch=2.1", "tensorflow-gpu", "conda-forge::cupy>=13", "cudatoolkit"])
def test_what_conda_decides_by_the_host_is_unknown_and_told_what_helps(dependency: str) -> None:
    asks = requirements_asks(f"dependencies:\n  - {dependency}\n", "environment.yml")
    answer = check(Question(asks), Machine("580.95.05", (find_gpu("A100"),)))
    assert answer.verdict is Verdict.UNKNOWN
    assert "give what conda list --export prints there" in answer.gpus[0].reasons[0].message


def test_environments_of_one_lock_with_several_cudas_are_told_one_by_one() -> None:
    text = PIXI.replace("linux-aarch64", "linux-64")
    answer = check(Question(requirements_asks(text, "pixi.lock", X86)), Machine("575.57.08", (find_gpu("A100"),)))
    assert answer.verdict is Verdict.UNKNOWN
    assert [reason.id for reason in answer.gpus[0].reasons] == ["build.alternatives"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([*ENVIRONMENT.splitlines(), *WITH_PIP.splitlines(), *EXPLICIT.splitlines(), "  - =", "- pip:"])
    )
)
def test_any_lines_are_asks_or_one_sentence(lines: list[str]) -> None:
    try:
        for one in requirements_asks("dependencies:\n" + "\n".join(lines), "environment.yml"):
            assert one.cuda or one.unknown
    except ValueError as error:
        assert "\n" not in str(error)


LIGHTNING = """\
dependencies:
  - python=3.8
  - cudatoolkit=11.3
  - pytorch=1.11.0
  - torchvision=0.12.0
  - pip:
    - pytorch-lightning==1.4.2
"""
PIXI_TORCH = PIXI.replace("cuda-cudart-12.9.79-h5888daf_0", "pytorch-2.4.0-py3.12_cuda12.4_cudnn9.1.0_0")


def on(text: str, gpu: str, driver: str = "580.95.05", name: str = "environment.yml") -> tuple[Verdict, str]:
    answer = check(Question(requirements_asks(text, name, X86)), Machine(driver, (find_gpu(gpu),)))
    said = (one.message for one in answer.gpus[0].reasons if one.id == "build.code-not-judged")
    return answer.verdict, next(said, "")


@pytest.mark.parametrize(
    ("name", "text", "package"),
    [
        ("environment.yml", "dependencies:\n- pytorch=2.5.1\n- pytorch-cuda=12.4\n", "pytorch 2.5.1"),
        ("environment.yml", "dependencies:\n- pytorch::pytorch\n- cudatoolkit=11.6\n", "pytorch"),
        ("environment.yml", "dependencies:\n- tensorflow-gpu=2.11\n- cudatoolkit=11.6\n", "tensorflow-gpu 2.11"),
        ("pixi.lock", PIXI_TORCH, "pytorch 2.4.0 py3.12_cuda12.4_cudnn9.1.0_0"),
        ("explicit.txt", EXPLICIT, "pytorch 2.6.0 cuda126_generic_py312_h30b5a27_200"),
        ("spec.txt", LISTED, "pytorch 1.11.0 py3.9_cuda11.3_cudnn8.2.0_0"),
        ("environment.yml", "dependencies:\n- pytorch-cuda=12.4\n- flash-attn=2.6.3\n- gsplat\n", "gsplat"),
    ],
)
def test_condas_build_of_a_framework_is_named_and_its_code_not_judged(name: str, text: str, package: str) -> None:
    verdict, said = on(text, "A100", name=name)
    assert verdict is Verdict.LIMITED and package in said
    if package != "gsplat":
        assert on(text, "RTX 5090", name=name)[0] is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("package", "gpu", "verdict"),
    [
        ("flash-attn=2.5.8", "T4", Verdict.INCOMPATIBLE),
        ("flash-attn=2.5.8", "A100", Verdict.LIMITED),
        ("flash-attn", "T4", Verdict.LIMITED),  # whatever release conda takes
        ("vllm=0.6.3", "P100", Verdict.INCOMPATIBLE),
        ("vllm=0.6.3", "V100", Verdict.LIMITED),
        ("vllm=0.6.3=cpu_py311h0", "P100", Verdict.LIMITED),
        ("xformers=0.0.28", "P100", Verdict.LIMITED),  # read from PyPI's wheel, which is not conda's
    ],
)
def test_what_every_build_needs_holds_of_condas_too(package: str, gpu: str, verdict: Verdict) -> None:
    text = f"dependencies:\n- pytorch=2.3.1=cuda120_py311h5\n- {package}\n"
    assert on(text, gpu, "535.161.08")[0] is verdict


BUILD = "pytorch=2.4.0=py3.11_cuda12.4_cudnn9.1.0_0"


@pytest.mark.parametrize(
    "lines",
    [
        f"- {BUILD}\n- pytorch-cuda=12.1\n",
        "- pytorch=1.11.0=py3.9_cuda11.3_cudnn8.2.0_0\n- cudatoolkit=11.1\n",
        "- cudatoolkit=10.2.89\n- pytorch=1.9.0=py3.8_cuda11.1_cudnn8.0.5_0\n",
    ],
)
def test_a_build_that_requires_another_cuda_than_is_named_is_refused_with_both(lines: str) -> None:
    with pytest.raises(ValueError, match=r"environment.yml: pytorch .* is built for CUDA .*: conda installs neither"):
        requirements_asks(f"dependencies:\n{lines}", "environment.yml")


@pytest.mark.parametrize(
    "lines",
    [
        f"- {BUILD}\n- pytorch-cuda=12.4\n",
        f"- {BUILD}\n- pytorch-cuda>=12.1\n",
        f"- {BUILD}\n- pytorch=2.3.1=py3.11_cuda12.1_cudnn8.9.2_0\n- pytorch-cuda=12.1\n",  # of two environments
        "- pytorch=2.6.0=cuda126_generic_py312_h0\n- cuda-version=12.8\n",  # conda-forge's run with any later 12.x
        "- pytorch=1.11.0=py3.9_cuda11.3_cudnn8.2.0_0\n- cudatoolkit=11.3.1\n",
    ],
)
def test_builds_that_a_file_may_name_together_are_not_refused(lines: str) -> None:
    assert requirements_asks(f"dependencies:\n{lines}", "environment.yml")


def test_what_conda_has_for_the_cpu_is_not_named() -> None:
    text = "dependencies:\n- cuda-cudart=12.4\n- pytorch=2.6.0=cpu_generic_py312_h0\n"
    assert on(text, "A100") == (Verdict.COMPATIBLE, "")


def test_the_torch_of_conda_is_there_for_what_pip_installs() -> None:
    verdict, said = on(LIGHTNING, "RTX 3090", "470.82.01")
    assert verdict is Verdict.LIMITED and "pytorch 1.11.0" in said
    assert on(LIGHTNING, "RTX 5090")[0] is Verdict.UNKNOWN
    beside = LIGHTNING.replace("pytorch-lightning==1.4.2", "git+https://github.com/Dao-AILab/flash-attention@v2.6.3")
    assert on(beside, "T4", "470.82.01")[0] is Verdict.INCOMPATIBLE


def test_a_torch_that_pip_installs_over_condas_is_asked_too() -> None:
    assert cudas(LIGHTNING.replace("pytorch-lightning==1.4.2", "torch==2.4.0")) == ["11.3", "12.1"]
