"""From a framework, a requirements file or a lock file to the CUDA versions that it asks for."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.compat.answer.answer import check, without_gpu
from gpuctl.compat.answer.remedies import remedies
from gpuctl.compat.ask.asks import Ask, release_ask
from gpuctl.compat.ask.frameworks import framework_asks
from gpuctl.compat.ask.pip_files.asks import file_asks, named_asks, requirements_asks
from gpuctl.compat.ask.pip_files.pins import LARGEST, MOST, decoded
from gpuctl.compat.ask.question import Machine, Question
from gpuctl.compat.judge.judge import verdict_of
from gpuctl.compat.judge.rulings import resolve_cuda
from gpuctl.compat.knowledge.code import code_of
from gpuctl.compat.knowledge.frameworks import FrameworkRelease, NoCuda, framework_releases, releases_of
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.model import Verdict

thorough = settings(max_examples=300, deadline=None)

# What torch 2.4.0 and jax 0.4.30 lock today, shortened. torch leaves nvjitlink open: its newest gets locked.
PACKAGES = {
    "jax": "0.4.30",
    "jax-cuda12-plugin": "0.4.30",
    "jaxlib": "0.4.30",
    "numpy": "2.1.3",
    "nvidia-cublas-cu12": "12.1.3.1",
    "nvidia-cuda-nvrtc-cu12": "12.1.105",
    "nvidia-cuda-runtime-cu12": "12.1.105",
    "nvidia-cudnn-cu12": "9.1.0.70",
    "nvidia-cusparse-cu12": "12.1.0.106",
    "nvidia-nvjitlink-cu12": "12.9.86",
    "torch": "2.4.0",
}


def newest(framework: str) -> str:
    """The newest release that the table has."""
    return releases_of(framework)[-1].version


def ask(text: str) -> Ask:
    (one,) = framework_asks(text)
    return one


def cudas(text: str, name: str = "requirements.txt") -> list[str]:
    return [one.cuda for one in requirements_asks(text, name)]


def refusal(text: str, name: str = "requirements.txt") -> str:
    with pytest.raises(ValueError) as error:
        requirements_asks(text, name)
    assert "\n" not in str(error.value)
    return str(error.value)


# Frameworks


@pytest.mark.parametrize(
    ("text", "cuda", "others"),
    [
        ("pytorch==2.4.0+cu121", "12.1", ("11.8", "12.4")),
        ("torch==2.4.0", "12.1", ("11.8", "12.4")),
        ("torch == 2.4", "12.1", ("11.8", "12.4")),
        ("torch==2.5.1", "12.4", ("11.8", "12.1")),
        ("torch==1.12.1", "10.2", ("11.3", "11.6")),
        ("torch==2.4.0+cu118", "11.8", ("12.1", "12.4")),
        ("torch>=2.4,<2.6", "12.4", ("11.8", "12.1")),
        ("torch==1.5.0+cu92", "9.2", ("10.1", "10.2")),
        ("torch==2.1.0+cu121.with.pypi.cudnn", "12.1", ("11.8",)),
        ("torch==2.10.0.dev20251001+cu130", "13.0", ("12.6", "12.8")),
        ("tensorflow==2.17", "12.3", ()),
        ("tensorflow[and-cuda]==2.17.1", "12.3", ()),
        ("tensorflow~=2.16.2", "12.3", ()),
        ("tensorflow_gpu==1.15", "10.0", ()),
        ("tensorflow==1.15.0", "10.0", ()),
        ("jax[cuda12]==0.4.30", "12.3", ()),
        ("jax[cuda12_pip]==0.4.20", "12.2", ("11.8",)),
        ("jax[cuda]==0.4.20", "11.8", ("12.2",)),
        ("jax[cuda13-local]==0.8.0", "13.0", ("12.9",)),
        ("jaxlib==0.4.30+cuda12.cudnn89", "12.3", ()),
        ("jaxlib==0.1.66+cuda111", "11.1", ("10.1", "10.2", "11.0")),
        ("onnxruntime-gpu==1.16.3", "11.8", ()),
        ("ngc:24.05", "12.4.1", ()),
        ("ngc:18.09", "10.0.130", ()),
        ("ngc:23.01", "12.0", ()),
        ("ngc:23.08", "12.2.1", ()),
        ("ngc:pytorch:24.05", "12.4.1", ()),
        ("nvcr.io/nvidia/pytorch:24.05-py3", "12.4.1", ()),
        ("nvidia/tensorflow:24.05-tf2-py3", "12.4.1", ()),
        ("nvcr.io/nvidia/tritonserver:24.05-trtllm-python-py3", "12.3.2", ()),
        ("ufoym/deepo", "11.3.1", ()),
        ("docker.io/ufoym/deepo:all-py36-cu100", "10.0", ()),
    ],
)
def test_a_framework_asks_for_the_cuda_of_its_build(text: str, cuda: str, others: tuple[str, ...]) -> None:
    assert (ask(text).cuda, ask(text).others) == (cuda, others)


@pytest.mark.parametrize("name", ["pytorch", "torch", "tensorflow", "tensorflow-gpu", "jax[cuda13]", "ngc"])
def test_a_name_alone_is_its_newest_known_release(name: str) -> None:
    table = {"torch": "pytorch", "jax[cuda13]": "jax"}.get(name, name)
    newest = releases_of(table)[-1]
    assert newest.version in ask(name).by
    assert "newest known" in ask(name).by
    assert ask(name).cuda in newest.cudas
    assert ask(name).source == newest.source


def test_whoever_asks_is_named_as_typed_and_what_was_chosen_is_said() -> None:
    assert ask("pytorch==2.4.0+cu121").by == "pytorch 2.4.0+cu121"
    assert ask("torch==2.4.0").by == "torch 2.4.0 (the build that pip installs)"
    assert ask("tensorflow[and-cuda]==2.17.1").by == "tensorflow 2.17.1 (as 2.17.0)"
    assert ask("nvcr.io/nvidia/pytorch:24.05-py3").by == "nvcr.io/nvidia/pytorch:24.05-py3"
    assert ask("tensorflow[and-cuda]==2.16").by == "tensorflow 2.16 (as 2.16.1)"
    assert ask("onnxruntime-gpu==1.19.2").by == "onnxruntime-gpu 1.19.2 (as 1.19.0)"
    assert "which one pip installs is not known" in ask("torch==1.8.2").by


def test_without_a_known_default_the_newest_build_that_is_no_experiment_is_meant() -> None:
    unknown = [row for row in framework_releases() if row.framework == "pytorch" and row.default is None]
    assert unknown
    for row in unknown:
        assert ask(f"torch=={row.version}").cuda == [cuda for cuda in row.cudas if cuda not in row.experimental][-1]


def test_the_oldest_gpu_that_a_build_holds_code_for_is_told() -> None:
    assert ask("torch==2.8.0+cu128").min_compute_capability == "7.0"
    assert ask("torch==2.11.0+cu128").min_compute_capability == "7.5"
    assert ask("torch==2.11.0+cu126").min_compute_capability == "5.0"
    assert ask("jax[cuda12]==0.4.30").min_compute_capability == "5.2"
    assert ask("jax[cuda13]==0.10.2").min_compute_capability == "7.5"
    assert ask("torch==1.13.1").min_compute_capability == "3.7"
    assert ask("torch==1.8.0+cu111").min_compute_capability is None


@pytest.mark.parametrize(
    ("text", "gpu", "verdict", "reason"),
    [
        ("torch==2.5.1+cu121", "RTX 5090", Verdict.INCOMPATIBLE, "build.no-code"),
        ("torch==1.13.1+cu117", "H100", Verdict.INCOMPATIBLE, "build.no-code"),
        ("torch==2.0.1+cu118", "H100", Verdict.COMPATIBLE, None),
        ("torch==2.5.1+cu121", "RTX 4090", Verdict.COMPATIBLE, None),
        ("torch==2.8.0+cu128", "RTX 5090", Verdict.COMPATIBLE, None),
        ("torch==2.6.0", "RTX 5090", Verdict.INCOMPATIBLE, "build.no-code"),
        ("torch==2.8.0+cu128", "GTX 1080", Verdict.INCOMPATIBLE, "build.gpu-too-old"),
        ("torch==2.15.0+cu132", "GB10", Verdict.COMPATIBLE, None),
        ("torch==2.5.1+cu124", "GH200", Verdict.COMPATIBLE, None),
        ("torch==2.5.1", "GH200", Verdict.INCOMPATIBLE, "build.cpu-on-arm"),
        ("torch==2.9.1", "GB200", Verdict.INCOMPATIBLE, "build.cpu-on-arm"),
        ("torch==2.9.1", "Jetson AGX Thor", Verdict.UNKNOWN, "build.cpu-on-arm"),
        ("torch==2.9.1+cu130", "GB10", Verdict.COMPATIBLE, None),
        ("torch==2.9.1", "B200", Verdict.COMPATIBLE, None),
        ("torch==2.11.0", "GB200", Verdict.COMPATIBLE, None),
        ("onnxruntime-gpu==1.31.1", "B200", Verdict.INCOMPATIBLE, "build.no-code"),
        ("onnxruntime-gpu==1.28.0", "B200", Verdict.COMPATIBLE, None),
        ("onnxruntime-gpu==1.28.0", "B300", Verdict.INCOMPATIBLE, "build.no-code"),
        ("onnxruntime-gpu==1.26.0", "RTX 5090", Verdict.LIMITED, "build.ptx-only"),
        ("onnxruntime-gpu==1.23.0", "RTX 5090", Verdict.INCOMPATIBLE, "build.no-code"),
        ("onnxruntime-gpu==1.23.2", "RTX 5090", Verdict.LIMITED, "build.ptx-only"),
        ("onnxruntime-gpu==1.20.0", "RTX 5090", Verdict.LIMITED, "build.ptx-only"),
        ("onnxruntime-gpu==1.23.0", "H100", Verdict.COMPATIBLE, None),
        ("onnxruntime-gpu==1.31.1", "RTX 5090", Verdict.COMPATIBLE, None),
        ("onnxruntime-gpu==1.28.0", "GB10", Verdict.INCOMPATIBLE, "build.none-on-arm"),
        ("onnxruntime-gpu==1.29.0", "GB10", Verdict.COMPATIBLE, None),
        ("onnxruntime-gpu==1.31.1", "GB200", Verdict.INCOMPATIBLE, "build.no-code"),
        ("tensorflow==2.20.0", "RTX 5090", Verdict.INCOMPATIBLE, "build.no-code"),
        ("tensorflow==2.20.0", "H100", Verdict.COMPATIBLE, None),
        ("tensorflow==2.21.0", "RTX 5090", Verdict.LIMITED, "build.ptx-only"),
        ("tensorflow==2.21.0", "GH200", Verdict.INCOMPATIBLE, "build.cpu-on-arm"),
        ("faiss-gpu-cu12==1.14.1.post1", "H100", Verdict.INCOMPATIBLE, "build.no-code"),
        ("faiss-gpu-cu12==1.9.0.0", "H100", Verdict.COMPATIBLE, None),
        ("faiss-gpu-cu12==1.12.0", "RTX 4090", Verdict.COMPATIBLE, None),
        ("ctranslate2==4.8.5", "A100", Verdict.COMPATIBLE, None),
        ("ctranslate2==4.8.5", "RTX 5090", Verdict.LIMITED, "build.ptx-only"),
        ("ctranslate2==4.8.5", "GB10", Verdict.INCOMPATIBLE, "build.cpu-on-arm"),
        ("xgboost==2.1.4", "RTX 5090", Verdict.COMPATIBLE, None),
        ("xgboost==2.1.1", "RTX 5090", Verdict.LIMITED, "build.ptx-only"),
        ("xgboost==1.7.6", "H100", Verdict.INCOMPATIBLE, "build.no-code"),
        ("xgboost==3.2.0", "GH200", Verdict.COMPATIBLE, None),
        ("xgboost==3.3.0", "V100", Verdict.INCOMPATIBLE, "build.gpu-too-old"),
        ("onnxruntime-gpu==1.15.1", "H100", Verdict.LIMITED, "build.ptx-only"),
        ("onnxruntime-gpu==1.15.0", "GTX 750", Verdict.INCOMPATIBLE, "build.gpu-too-old"),
        ("tensorflow==2.17.0", "GTX 980", Verdict.INCOMPATIBLE, "build.gpu-too-old"),
    ],
)
def test_a_build_runs_on_the_gpus_whose_code_it_has(text: str, gpu: str, verdict: Verdict, reason: str | None) -> None:
    answer = check(Question((ask(text),)), Machine("620.70.06", (find_gpu(gpu),)))
    assert answer.verdict is verdict
    ids = [one.id for one in answer.gpus[0].reasons if one.id.startswith("build.")]
    assert ids == ([reason] if reason else [])


def test_a_patch_release_is_judged_by_the_code_of_its_own_wheel() -> None:
    asks = [ask(f"tensorflow-gpu=={version}") for version in ("1.12.0", "1.12.3")]
    answers = [check(Question((one,)), Machine("418.87.00", (find_gpu("V100"),))) for one in asks]
    assert [one.verdict for one in answers] == [Verdict.COMPATIBLE, Verdict.LIMITED]


def test_a_gpu_that_is_too_new_for_a_build_is_told_the_first_that_serves_it() -> None:
    answer = check(Question((ask("torch==2.5.1+cu121"),)), Machine("580.95.05", (find_gpu("RTX 5090"),)))
    assert [one.text for one in answer.remedies] == [
        "Use pytorch 2.7.0 in its build for CUDA 12.8, the first that runs here without limits."
    ]


def test_what_pins_the_cuda_beside_a_framework_does_not_speak_for_its_code() -> None:
    text = "faiss-gpu-cu12==1.14.1\nonnxruntime-gpu==1.23.2\nnvidia-cuda-runtime-cu12==12.1.105\n"
    (one,) = requirements_asks(text, "requirements.txt")
    assert one.cuda == "12.1"
    verdicts = [check(Question((one,)), Machine("580.95.05", (find_gpu(gpu),))).verdict for gpu in ("A100", "H100")]
    assert verdicts == [Verdict.COMPATIBLE, Verdict.INCOMPATIBLE]
    (none,) = requirements_asks("cupy-cuda12x==14.2.0\nnvidia-cuda-runtime-cu12==12.1.105\n", "requirements.txt")
    assert "cupy" not in none.by


@pytest.mark.parametrize(
    ("text", "gpu", "says"),
    [
        ("tensorflow==2.20.0", "RTX 5090", ["Use tensorflow 2.21.0 in its build for CUDA 12.5, the first that runs"]),
        ("onnxruntime-gpu==1.28.0", "GB10", ["Use onnxruntime-gpu 1.29.0 in its build for CUDA 13.0, the first that"]),
        ("onnxruntime-gpu==1.31.1", "GB200", []),  # 1.28.0 has the code, in no wheel for Arm
    ],
)
def test_a_remedy_is_a_release_that_is_there_for_the_processor_and_runs_with_limits_where_none_runs_without(
    text: str, gpu: str, says: list[str]
) -> None:
    told = [one.text for one in check(Question((ask(text),)), Machine("580.95.05", (find_gpu(gpu),))).remedies]
    assert len(told) == len(says)
    assert all(text.startswith(start) for text, start in zip(told, says, strict=True))


def test_no_release_whose_code_is_not_known_is_said_to_serve_a_gpu_where_that_at_hand_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = (("1", "sm_90"), ("2", None), ("3", "sm_120"))
    rows = tuple(FrameworkRelease("torch", version, (("12.8", code),), "") for version, code in held)
    monkeypatch.setattr("gpuctl.compat.knowledge.frameworks.releases_of", lambda _: rows)
    (remedy,) = remedies([release_ask(rows[0], "12.8")], Machine("580.95.05", (find_gpu("RTX 5090"),)))
    assert remedy.text.startswith("Use torch 3 in its build for CUDA 12.8")


@pytest.mark.parametrize(
    ("text", "runs", "compiles"),
    [
        ("7.5", ["7.5", "9.0", "12.0"], []),
        ("sm_75 sm_80 sm_86", ["7.5", "8.0", "8.6", "8.9"], []),
        ("sm_80 sm_90a", ["8.0", "8.6", "8.9", "9.0"], []),
        ("sm_100a compute_90", ["10.0"], ["9.0", "10.0", "10.3", "10.7", "12.0", "12.1"]),
        ("sm_100f", ["10.0", "10.3", "10.7"], []),
        ("sm_80 compute_90a", ["8.0", "8.6", "8.9"], ["9.0"]),
        ("sm_80 compute_100f", ["8.0", "8.6", "8.9"], ["10.0", "10.3", "10.7"]),
    ],
)
def test_code_runs_on_its_own_major_number_and_ptx_on_every_newer_gpu(
    text: str, runs: list[str], compiles: list[str]
) -> None:
    capabilities = ["5.0", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "10.3", "10.7", "12.0", "12.1"]
    code = code_of(text)
    served = [one for one in capabilities if code.serves(one)]
    assert set(runs) <= set(served)
    assert text == "7.5" or served == [one for one in capabilities if one in runs]
    assert [one for one in capabilities if code.compiles_for(one)] == compiles


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("theano==1.0", "it knows pytorch"),
        ("torch==2.99.0", "the newest known is 2."),
        ("torch>=2.99", "the newest known is 2."),
        ("torch==0.4.1", "the oldest known is 1.0.0"),
        ("torch==1.14.0", "1.13.1 and 2.0.0"),
        ("torch<1.0", "known are 1.0.0 to"),
        ("torch==2.4.0+cu999", "its builds are for CUDA 11.8, 12.1, 12.4"),
        ("torch==2.99.0+cu999", "the newest known is 2."),
        ("torch==2.6.0a0+ecf3bae40a.nv25.1", "is not known here"),
        ("tensorflow-gpu==2.99", f"the newest known is {newest('tensorflow-gpu')}"),
        ("jax[cuda13]==0.7.0", "its builds are for CUDA 12.8"),
        ("ngc:20.04", "20.03 and 20.06"),
        ("ngc:21.01", "20.12 and 21.02"),
        ("nvcr.io/nvidia/tensorflow:24.05-tf1-py3", "TensorFlow 1 end with 23.03"),
        ("nvcr.io/nvidia/tensorflow:25.03-tf2-py3", "TensorFlow end with 25.02"),
        ("nvcr.io/nvidia/mxnet:24.07-py3", "MXNet end with 24.06"),
        ("nvcr.io/nvidia/caffe:19.12-py2", "Python 2 end with 19.10"),
        ("torch==2.5.2", "the known ones next to it are 2.5.1 and 2.6.0"),
        ("tensorflow==2.11.7", "the known ones next to it are 2.11.1 and 2.12.0"),
        ("tensorflow==2.16.0", "the known ones next to it are 2.15.1 and 2.16.1"),
        ("onnxruntime-gpu==1.20.3", "the known ones next to it are 1.20.2 and 1.21.0"),
        ("jax[cuda12]==0.4.32", "the known ones next to it are 0.4.31 and 0.4.33"),
        ("ngc:99.01", f"the newest known is {newest('ngc')}"),
        ("nvcr.io/nvidia/nemo:24.05", "paddlepaddle"),
        ("nvcr.io/nvidia/pytorch@sha256:abc", "give the image with its tag"),
        ("ufoym/deepo:pytorch-py36", "cu100"),
        ("banana bread", "'banana bread' is no requirement"),
        ("", "'' is no requirement"),
        ("torch" + "[" * 3000, "is no requirement"),
        ("torch @ https://me:secret@example.org/torch.tar.gz#" + "x" * 5000, "longer than any requirement"),
    ],
)
def test_what_is_not_known_gets_a_sentence_with_what_is(text: str, says: str) -> None:
    with pytest.raises(ValueError) as error:
        framework_asks(text)
    assert says in str(error.value)
    assert "secret" not in str(error.value)
    assert not isinstance(error.value, NoCuda)


@pytest.mark.parametrize(
    "text",
    [
        "torch==2.4.0+cpu",
        "torch==2.4.0+rocm6.1",
        "jax",
        "jax==0.4.30",
        "jaxlib==0.4.30",
        "tensorflow==1.14",
        "tensorflow==1.15.5",
        "tensorflow==2.0.0",
        "ufoym/deepo:all-py38-cpu",
    ],
)
def test_a_build_for_the_cpu_asks_for_no_cuda_and_says_so(text: str) -> None:
    with pytest.raises(NoCuda, match="asks for no CUDA"):
        framework_asks(text)


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("numpy\ntorch==2.2.1+cpu\n", "r.txt", "r.txt line 2: a build tagged cpu is for the CPU"),
        ("torchvision==0.17.1+cpu\n", "r.txt", "r.txt line 1: a build tagged cpu is for the CPU"),
        (
            "--index-url https://download.pytorch.org/whl/cpu\ntorch\n",
            "r.txt",
            "r.txt line 2: a build tagged cpu is for the CPU",
        ),
        ("jax==0.4.30\n", "r.txt", "for a GPU it has an extra such as jax[cuda12]"),
        ("tensorflow==1.14.0\n", "r.txt", "the GPU's is tensorflow-gpu"),
        ("dependencies:\n- pytorch=2.2\n- cpuonly\n", "environment.yml", "names cpuonly"),
    ],
)
def test_a_file_for_the_cpu_asks_for_no_gpu_on_any_host(text: str, name: str, says: str) -> None:
    (one,) = file_asks(text.encode(), name)
    assert says in one.for_cpu and not one.cuda
    for gpu in ("K80", "RTX 5090"):
        answer = check(Question((one,)), Machine("535.183.01", (find_gpu(gpu),)))
        assert answer.verdict is Verdict.COMPATIBLE and not answer.remedies
    alone = without_gpu(Question((one,)), None)
    assert alone and alone.verdict is Verdict.COMPATIBLE and "GPU" in alone.reasons[0].message
    assert without_gpu(Question((one, *framework_asks("torch==2.4.0"))), None) is None


@pytest.mark.parametrize("text", ["torch==2.4.0+rocm6.1\n", "torch==2.4.0+cpu\nvision==1.0+rocm6.1\n"])
def test_a_file_for_another_makers_gpus_is_refused(text: str) -> None:
    with pytest.raises(NoCuda, match="for AMD GPUs"):
        file_asks(text.encode(), "r.txt")


def test_a_version_newer_than_the_table_is_not_guessed_unless_its_own_tag_names_the_cuda() -> None:
    newer = ask("torch==2.99.0+cu128")
    assert (newer.cuda, newer.by, newer.others) == ("12.8", "torch 2.99.0+cu128", ())


@pytest.mark.parametrize("text", ["torch==2.4.0+cu130", "pytorch==2.7.1+cu121", "torch==1.11.0+cu115"])
def test_a_build_that_the_table_lacks_of_a_release_that_it_has_is_unknown(text: str) -> None:
    (one,) = named_asks(text)
    assert not one.cuda and "the builds of it that are known here are for CUDA" in one.unknown
    (filed,) = file_asks(f"{text}\n".encode(), "r.txt")
    assert not filed.cuda and one.unknown in filed.unknown


@pytest.mark.parametrize(
    ("text", "gpu", "verdict"),
    [
        ("torch==1.8.0+cu111", "RTX 5090", Verdict.UNKNOWN),
        ("torch==2.7.1+cu118", "RTX 5090", Verdict.UNKNOWN),
        ("torch==2.99.0+cu118", "RTX 5090", Verdict.UNKNOWN),
        ("tensorflow==1.15.0", "H100", Verdict.UNKNOWN),
        ("torch==1.8.0+cu111", "A100", Verdict.LIMITED),
        ("torch==2.99.0+cu128", "RTX 5090", Verdict.LIMITED),
    ],
)
def test_a_build_whose_code_is_not_known_says_so_and_no_yes_on_a_gpu_that_its_cuda_does_not_know(
    text: str, gpu: str, verdict: Verdict
) -> None:
    for asks in (named_asks(text), requirements_asks(text, "r.txt")):
        answer = check(Question(asks), Machine("580.95.05", (find_gpu(gpu),)))
        (reason,) = (one for one in answer.gpus[0].reasons if one.id == "build.code-not-judged")
        assert answer.verdict is verdict and text.replace("==", " ") in reason.message


def test_a_framework_of_which_only_the_parts_beside_it_are_known_is_named() -> None:
    text = "torch==2.4.0+cu130\nnvidia-cuda-runtime==13.0.96\n"
    answer = check(Question(requirements_asks(text, "r.txt")), Machine("580.95.05", (find_gpu("A100"),)))
    (reason,) = (one for one in answer.gpus[0].reasons if one.id == "build.code-not-judged")
    assert answer.verdict is Verdict.LIMITED and "torch 2.4.0+cu130" in reason.message


def test_every_release_of_the_table_answers_with_a_cuda_version_that_is_known() -> None:
    for row in framework_releases():
        if row.framework == "jaxlib":
            texts = [f"jaxlib=={row.version}+cuda{cuda.replace('.', '')}" for cuda in row.cudas]
        elif row.framework == "jax":
            texts = [f"jax[cuda{cuda.split('.')[0]}]=={row.version}" for cuda in row.cudas]
        elif row.framework == "ngc-trtllm":
            texts = [f"nvcr.io/nvidia/tritonserver:{row.version}-trtllm-python-py3"]
        elif row.framework in ("ngc", "ufoym/deepo"):
            texts = [f"{row.framework}:{row.version}"]
        else:
            texts = [f"{row.framework}=={row.version}"] if row.cudas else []
        for text in texts:
            assert resolve_cuda(ask(text).cuda).unknown is None, text
            assert ask(text).cuda in row.cudas, text


@thorough
@given(st.text(max_size=60) | st.from_regex(r"(torch|jax\[cuda12\]|tensorflow|ngc:|nvidia/pytorch:).{0,25}"))
def test_any_text_is_an_ask_or_a_sentence(text: str) -> None:
    try:
        assert all(one.cuda and one.by and one.source for one in framework_asks(text))
    except ValueError as error:
        assert "\n" not in str(error)


# Requirements files and lock files

FREEZE = "".join(f"{name}=={version}\n" for name, version in PACKAGES.items())
HASHED = "".join(
    f"{name}=={version} ; sys_platform == 'linux' \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{'1' * 64}\n"
    f"    # via demo\n"
    for name, version in PACKAGES.items()
)
UV = 'version = 1\nrequires-python = ">=3.11"\n' + "".join(
    f'\n[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ registry = "https://pypi.org/simple" }}\n'
    for name, version in PACKAGES.items()
)
PYLOCK = 'lock-version = "1.0"\ncreated-by = "uv"\n' + "".join(
    f'\n[[packages]]\nname = "{name}"\nversion = "{version}"\nmarker = "sys_platform == \'linux\'"\n'
    f'index = "https://pypi.org/simple"\n'
    for name, version in PACKAGES.items()
)
POETRY = "".join(
    f'[[package]]\nname = "{name}"\nversion = "{version}"\ndescription = ""\noptional = false\n'
    f'python-versions = ">=3.9"\ngroups = ["main"]\nfiles = []\n\n[package.extras]\ncuda12 = ["x"]\n\n'
    for name, version in PACKAGES.items()
)
PDM = '[metadata]\nlock_version = "4.5.0"\n\n' + "".join(
    f'[[package]]\nname = "{name}"\nversion = "{version}"\nrequires_python = ">=3.8"\nsummary = ""\n'
    f'groups = ["default"]\nfiles = []\n\n'
    for name, version in PACKAGES.items()
)
PIPFILE = (
    '{"_meta": {"sources": [{"name": "pypi", "url": "https://pypi.org/simple"}]}, "default": {'
    + ", ".join(f'"{name}": {{"hashes": [], "version": "=={version}"}}' for name, version in PACKAGES.items())
    + '}, "develop": {}}'
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("requirements.txt", FREEZE),
        ("requirements.lock", HASHED),
        ("uv.lock", UV),
        ("pylock.toml", PYLOCK),
        ("poetry.lock", POETRY),
        ("pdm.lock", PDM),
        ("Pipfile.lock", PIPFILE),
    ],
)
def test_every_format_tells_the_same(name: str, text: str) -> None:
    jax, torch = requirements_asks(text, f"app/{name}")
    assert (jax.cuda, jax.by) == ("12.3", f"jax-cuda12-plugin 0.4.30 in app/{name}")
    assert jax.min_compute_capability == "5.2"
    assert (torch.cuda, torch.others) == ("12.1", ("11.8", "12.4"))
    assert torch.by == f"torch 2.4.0, nvidia-cuda-runtime-cu12 12.1.105 in app/{name}"
    assert "pypi.org/project/torch/2.4.0" in torch.source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("numpy==2.1.3\nrequests\n", []),
        ("jax==0.4.30\njaxlib==0.4.30\n", []),
        ("torch==2.4.0+cpu\n", []),
        ("nvidia-cuda-runtime-cu12==12.4.127", ["12.4"]),
        ("nvidia-cuda-runtime-cu11==11.7.99", ["11.7"]),
        ("nvidia-cuda-runtime==13.0.96\nnvidia-cublas==13.1.0.3\nnvidia-cufft==12.0.0.61", ["13.0"]),
        ("nvidia-cuda-runtime==0.0.1.dev5", []),
        ("nvidia-cuda-runtime-cu11==2022.4.25", ["11"]),
        ("nvidia-cuda-nvrtc-cu12==12.8.*", ["12.8"]),
        ("nvidia-cuda-runtime-cu12>=12.1.105", ["12"]),
        ("cuda-toolkit>=12", ["12"]),
        ("nvidia-cuda-runtime>=13.0.48,<14", ["13"]),
        ("nvidia-cuda-runtime>=0.0.1", []),
        ("cuda-toolkit[cudart,nvrtc]==13.0.3\nnvidia-cudnn-cu13==9.24.0.43\ncuda-bindings==13.2.0", ["13.0"]),
        ("nvidia-nvjitlink-cu12==12.9.86\nnvidia-cuda-nvrtc-cu12==12.6.85", ["12.6"]),
        ("nvidia-cublas-cu12==12.1.3.1\nnvidia-cusparse-cu12==12.1.0.106", ["12"]),
        ("cupy-cuda12x==13.3.0", ["12"]),
        ("cupy-cuda110==12.3.0", ["11.0"]),
        ("cupy-cuda12x==13.3.0\ncudf-cu12==24.12.0\nnvidia-cuda-runtime-cu12==12.2.140", ["12.2"]),
        ("xformers==0.0.27+cu118\nflash-attn==2.6.3+cu123torch2.4cxx11abifalse", ["11.8", "12.3"]),
        ("torchvision==0.19.0+cpu", []),
        ("tensorflow-gpu==1.15.5", ["10.0"]),
        ("onnxruntime-gpu==1.16.3", ["11.8"]),
        ("jax-cuda13-plugin==0.99.0", ["13"]),
        ("torch==2.5.1\nnvidia-cuda-runtime-cu12==12.1.105", ["12.1"]),
        ("torch==2.99.0\nnvidia-cuda-runtime-cu12==12.8.90", ["12.8"]),
        ("torch==2.4.0\njax[cuda12]==0.4.30", ["12.1", "12.3"]),
    ],
)
def test_packages_ask_for_the_cuda_that_their_names_and_versions_tell(text: str, expected: list[str]) -> None:
    assert cudas(text) == expected


@pytest.mark.parametrize(
    ("options", "requirement", "expected"),
    [
        ("--index-url https://download.pytorch.org/whl/cu118", "torch==2.4.0", ["11.8"]),
        ("--extra-index-url=https://download.pytorch.org/whl/nightly/cu130/", "torch==2.99.dev1+cu130", ["13.0"]),
        ("-i https://download.pytorch.org/whl/cu121", "torch", ["12.1"]),
        ("-i https://download.pytorch.org/whl/cu130", "torch==2.99.0", ["13.0"]),
        ("-f https://download.pytorch.org/whl/cu113/torch_stable.html", "torch==1.12.1", ["11.3"]),
        ("-i https://download.pytorch.org/whl/cpu", "torch==2.4.0", []),
        ("-i https://download.pytorch.org/whl/cu118", "tensorflow==2.17.0", ["12.3"]),
        ("-i https://download.pytorch.org/whl/cu118", "torch==2.4.0+cu121", ["12.1"]),
    ],
)
def test_the_index_decides_which_build_of_torch_it_is(options: str, requirement: str, expected: list[str]) -> None:
    assert cudas(f"{options}\n{requirement}\n") == expected
    assert cudas(f"{requirement}\n{options}\n") == expected


def test_a_lock_file_tells_the_index_of_each_package() -> None:
    uv = UV.replace(
        'name = "torch"\nversion = "2.4.0"\nsource = { registry = "https://pypi.org/simple"',
        'name = "torch"\nversion = "2.4.0"\nsource = { registry = "https://download.pytorch.org/whl/cu118"',
    )
    poetry = (
        '[[package]]\nname = "torch"\nversion = "2.4.0"\n\n[package.source]\ntype = "legacy"\n'
        'url = "https://download.pytorch.org/whl/cu118"\nreference = "pytorch"\n'
    )
    pipfile = PIPFILE.replace("https://pypi.org/simple", "https://download.pytorch.org/whl/cu118").replace(
        '"version": "==2.4.0"', '"index": "pypi", "version": "==2.4.0"'
    )
    assert "11.8" in cudas(uv, "uv.lock")
    assert cudas(poetry, "poetry.lock") == ["11.8"]
    assert "11.8" in cudas(pipfile, "Pipfile.lock")


def test_what_no_linux_installs_asks_for_nothing() -> None:
    assert cudas("torch==2.4.0; sys_platform == 'darwin'\ntensorflow==2.17.0; platform_machine == 'x86_64'") == ["12.3"]
    forked = UV.replace('name = "torch"', 'name = "torch"\nresolution-markers = ["sys_platform == \'win32\'"]')
    assert "torch" not in str(requirements_asks(forked, "uv.lock"))
    assert cudas(POETRY.replace("optional = false", "markers = \"sys_platform == 'win32'\""), "poetry.lock") == []


def test_a_wheels_address_or_path_tells_what_its_file_name_says() -> None:
    wheel = "torch-2.4.0%2Bcu121-cp310-cp310-linux_x86_64.whl"
    for line in (
        f"torch @ https://download.pytorch.org/whl/cu121/{wheel}",
        f"https://download.pytorch.org/whl/cu121/{wheel}#sha256=abc",
        f"./wheels/{wheel.replace('%2B', '+')}",
    ):
        assert cudas(f"{line}\n-e .\n./folder\ngit+https://github.com/some/thing\n") == ["12.1"], line


@pytest.mark.parametrize("sign", ["; ", " ;", " ; "])
def test_a_bare_address_may_have_a_marker(sign: str) -> None:
    wheel = "https://download.pytorch.org/whl/cu121/torch-2.4.0%2Bcu121-cp310-cp310-linux_x86_64.whl"
    for marker, expected in (("platform_system == 'Linux'", ["12.1"]), ('platform_system == "Windows"', [])):
        assert cudas(f"{wheel}{sign}{marker}\n") == expected
        assert cudas(f"{wheel}#sha256=0{sign}{marker}\n") == expected
        assert cudas(f"./wheels/torch-2.4.0+cu121-cp310-cp310-linux_x86_64.whl{sign}{marker}\n") == expected
        repository = f"git+https://github.com/vllm-project/vllm.git{sign}{marker}\n"
        assert [bool(one.unknown) for one in requirements_asks(repository, "r.txt")] == [True] * len(expected)
    assert "is no marker" in refusal(f"{wheel}{sign}banana\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("torch==2.4.0\nbanana bread\n", "requirements.txt line 2: 'banana bread' is no requirement"),
        ("# comment\n\ntorch==2.4.0 \\\n  --frobnicate\n", "requirements.txt line 3 has an option that pip does not"),
        ("torch==2.4.0\n-r base.txt\n", "requirements.txt line 2 includes another file, which is not followed"),
        ("--constraint=c.txt\n", "requirements.txt line 1 includes another file"),
        ("numpy\ntorch==2.99.0\n", "requirements.txt line 2: torch 2.99.0 is not known here: the newest known"),
        ("https://me:secret@example.org/x torch\n-i 'half\n", "line 2 has an option"),
        ("a\nb\n\0\n", "requirements.txt line 3 is no text"),
        ('{"default": {}}', "requirements.txt is JSON, but no Pipfile.lock"),
        ("{", "no JSON that can be read"),
        ('{"_meta":' * 100_000, "no JSON that can be read"),
        ("[[package]]\nname = ", "no TOML that can be read"),
        ("x" * (LARGEST + 1), "larger than 4 MiB"),
        ("torch\n" * (MOST + 1), "names more than 20000 packages"),
    ],
)
def test_a_file_that_is_none_gets_one_sentence_that_names_file_and_line(text: str, says: str) -> None:
    assert says in refusal(text)
    assert "secret" not in refusal(text)


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("torch @ git+https://me:secret@github.com/pytorch/pytorch", "torch"),
        ("git+https://me:secret@github.com/vllm-project/vllm.git", "vllm"),
        ("git+https://github.com/vllm-project/vllm.git@v0.6.0", "vllm"),
        (
            "-e git+ssh://git@github.com/NVIDIA/TransformerEngine.git@main#egg=transformer_engine&subdirectory=x",
            "transformer",
        ),
        ("https://github.com/jax-ml/jax/archive/main.zip#sha256=0&egg=jax", "jax"),
        ("git+https://github.com/facebookresearch/xformers/", "xformers"),
    ],
)
def test_a_package_from_a_repository_is_unknown_and_never_passed_over(line: str, package: str) -> None:
    (ask,) = file_asks(f"numpy==1.26.4\n{line}\n".encode(), "r.txt")
    assert ask.unknown.startswith(package) and ask.unknown.endswith(
        "give what pip freeze prints where it is installed."
    )
    assert "secret" not in ask.unknown + ask.by


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("torch==2.5.1+rocm6.2\n", "r.txt line 1: a build tagged rocm6.2 is for AMD GPUs"),
        (
            "requests==2.3\n-e .\n./service\n",
            "names nothing that gpuctl knows to ask for CUDA: give what pip freeze prints",
        ),
        ("\n  \n", "r.txt is empty: give"),
    ],
)
def test_a_file_that_asks_for_no_cuda_says_why(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        file_asks(text.encode(), "r.txt")


@pytest.mark.parametrize(
    ("text", "cuda"),
    [
        ("spacy[cuda12x]==3.7.5\n", "12"),
        ("spacy[transformers,cuda113]\n", "11.3"),
        ("whatever[cu118]>=2\n", "11.8"),
        ("--extra-index-url https://abetlen.github.io/llama-cpp-python/whl/cu121\nllama-cpp-python==0.2.90\n", "12.1"),
        ("requests\nllama_cpp_python --extra-index-url https://x.org/whl/cu124/\n", "12.4"),
        (
            "llama-cpp-python @ https://github.com/abetlen/llama-cpp-python/releases/download/v0.2.90-cu124/"
            "llama_cpp_python-0.2.90-cp310-cp310-linux_x86_64.whl\n",
            "12.4",
        ),
        ("https://x.org/whl/cu121/llama_cpp_python-0.2.90-cp310-cp310-linux_x86_64.whl#sha256=0\n", "12.1"),
        ("paddlepaddle-gpu==2.4.2.post117\n", "11.7"),
        ("paddlepaddle_gpu==2.0.0.post101\n", "10.1"),
        ("paddlepaddle-gpu==2.6.1.post120\n", "12.0"),
        ("paddlepaddle-gpu==2.6.1.post1\n", ""),
        ("paddlepaddle-gpu==1.8.5.post107\n", "10.0"),  # there it is CUDA 10.0 with cuDNN 7
        ("paddlepaddle-gpu==1.7.2.post97\n", "9.0"),
        ("paddlepaddle-gpu==1.8.5.post117\n", ""),
        ("accelerate --extra-index-url https://download.pytorch.org/whl/cu121\n", ""),
    ],
)
def test_an_extra_an_index_or_a_post_release_tells_the_cuda(text: str, cuda: str) -> None:
    assert cudas(text) == [cuda]


def test_a_project_file_is_told_from_a_lock_file() -> None:
    assert "pyproject.toml is no lock file" in refusal('[project]\nname = "x"\n', "pyproject.toml")
    assert cudas("version = 1\n", "uv.lock") == []


def test_bytes_are_text_in_utf_8_or_in_what_windows_writes() -> None:
    assert decoded(b"\xef\xbb\xbftorch", "r.txt") == "torch"
    assert cudas(decoded("torch==2.4.0\r\n".encode("utf-16"), "r.txt")) == ["12.1"]
    with pytest.raises(ValueError, match=r"r\.txt line 3 is no text"):
        decoded(b"torch\nnumpy\n\xff\xfe\n", "r.txt")
    with pytest.raises(ValueError, match="larger than 4 MiB"):
        decoded(b"#" * (LARGEST + 1), "r.txt")


@pytest.mark.parametrize(
    ("text", "driver", "gpu", "cuda", "verdict"),
    [
        ("cupy-cuda12x==13.4.1", "535.183.01", "A100", "12.0", Verdict.COMPATIBLE),
        ("cudf-cu12==24.12.0", "570.124.06", "RTX 5090", "12.8", Verdict.COMPATIBLE),
        ("cupy-cuda11x", "450.80.02", "A100", "11.0", Verdict.COMPATIBLE),
        ("nvidia-cuda-runtime-cu12>=12.4", "550.54.14", "A100", "12.4", Verdict.COMPATIBLE),
        ("cuda-toolkit>=12.4", "535.183.01", "A100", "12.4", Verdict.LIMITED),
        ("cuda-toolkit~=12.6", "535.183.01", "A100", "12.6", Verdict.LIMITED),
        ("cuda-toolkit>=13", "580.95.05", "A100", "13.0", Verdict.COMPATIBLE),
        ("onnxruntime-gpu==1.20.0", "535.183.01", "A100", "12.0", Verdict.COMPATIBLE),
        ("jax-cuda12-plugin==0.99.0", "470.57.02", "A100", "12.0", Verdict.NEEDS_PACKAGE),
    ],
)
def test_who_runs_with_any_minor_version_asks_for_the_lowest_that_holds(
    text: str, driver: str, gpu: str, cuda: str, verdict: Verdict
) -> None:
    answer = check(Question(requirements_asks(text, "r.txt")), Machine(driver, (find_gpu(gpu),)))
    assert (answer.cuda, answer.verdict) == (cuda, verdict)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("vllm==99.0", "(torch)"),
        ("llama-cpp-python==0.2.90", "is built where it is installed"),
        ("catboost==1.2.7", "brings a CUDA of its own"),
        ("numpy\nxformers\nbitsandbytes", "(torch)"),
        ("flash-attn==2.6.3", "what pip freeze prints"),
        ("paddlepaddle-gpu==3.2.0", "(nvidia-cuda-runtime-cu11, "),
        ("tensorrt==10.9.0", "(tensorrt-cu11, tensorrt-cu12, tensorrt-cu13)"),
        ("catboost==1.2.8", "a CUDA of its own"),
    ],
)
def test_who_asks_for_cuda_through_others_is_unknown_and_told_what_helps(text: str, says: str) -> None:
    answer = check(Question(requirements_asks(text, "r.txt")), Machine("580.95.05", (find_gpu("A100"),)))
    assert (answer.verdict, answer.cuda, answer.remedies) == (Verdict.UNKNOWN, None, ())
    assert says in answer.gpus[0].reasons[0].message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vllm==0.11.0\ntorch==2.8.0", ["12.8"]),
        ("vllm==0.11.0+cu129", ["12.9"]),
        ("tensorrt==10.9.0\ntensorrt-cu12==10.9.0", ["12"]),
        ("paddlepaddle-gpu==3.2.0\nnvidia-cuda-runtime-cu12==12.6.77", ["12.6"]),
    ],
)
def test_where_what_they_pull_in_is_named_it_tells(text: str, expected: list[str]) -> None:
    assert cudas(text) == expected


# https://github.com/vllm-project/vllm/issues/19906
@pytest.mark.parametrize(
    ("text", "gpu", "verdict"),
    [
        ("xformers==0.0.20", "A100", Verdict.UNKNOWN),  # no wheel of it was read
        ("sglang==0.5.3", "RTX 4090", Verdict.COMPATIBLE),
        ("sglang==0.5.3", "V100", Verdict.INCOMPATIBLE),
        ("vllm==0.9.1", "RTX 5080", Verdict.INCOMPATIBLE),
        ("vllm==0.9.1", "A100", Verdict.COMPATIBLE),  # its own code is known, too
        ("vllm==99.0", "A100", Verdict.UNKNOWN),
    ],
)
def test_what_a_release_pins_may_be_a_sure_no_and_is_a_yes_only_beside_code_that_is_known(
    text: str, gpu: str, verdict: Verdict
) -> None:
    answer = check(Question(requirements_asks(text, "r.txt")), Machine("580.95.05", (find_gpu(gpu),)))
    assert answer.verdict is verdict
    own = any("code of its own beside torch" in one.message for one in answer.gpus[0].reasons)
    assert own is text.startswith("xformers")


def test_no_other_release_is_offered_of_what_another_package_pins() -> None:
    asks = requirements_asks("vllm==0.11.0\n", "r.txt")
    answer = check(Question(asks), Machine("550.54.14", (find_gpu("A100"),)))
    assert [one.text.partition(" ")[0] for one in answer.remedies] == ["Upgrade"]


def test_a_sure_no_outweighs_what_is_not_known() -> None:
    text = "vllm==0.11.0\ncupy-cuda13x==13.6.0"
    answer = check(Question(requirements_asks(text, "r.txt")), Machine("535.183.01", (find_gpu("GTX 1080"),)))
    assert answer.verdict is Verdict.INCOMPATIBLE


def test_many_who_ask_for_one_cuda_are_one_ask() -> None:
    many = "".join(f"thing{number}==1.0+cu121\n" for number in range(9))
    (one,) = requirements_asks(many, "r.txt")
    assert one.by == "thing0 1.0+cu121, thing1 1.0+cu121, thing2 1.0+cu121 and 6 more in r.txt"


def test_the_strictest_of_those_who_ask_for_one_cuda_tells_the_oldest_gpu() -> None:
    (one,) = requirements_asks("jax[cuda13]==0.10.2\ntorch==2.13.0+cu130\n", "r.txt")
    assert one.min_compute_capability == "7.5"


@pytest.mark.parametrize("text", ["#" + " " * 400_000 + "x", "torch " + "\\\n" * 200_000, "[" * 100_000, "a" * 400_000])
def test_a_hostile_file_is_read_to_its_end(text: str) -> None:
    code = "import sys; from gpuctl.compat.ask.pip_files.asks import file_asks, requirements_asks as r\n"
    code += "try:\n    r(sys.stdin.read(), 'r')\nexcept ValueError:\n    pass"
    done = subprocess.run([sys.executable, "-c", code], input=text, text=True, timeout=300, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")


LINES = st.sampled_from(
    [
        *FREEZE.splitlines(),
        "torch",
        "torch>=2.0 ; python_version < '3.9'",
        "[[package]]",
        'name = "torch"',
        "version = 2",
        'version = "2.4.0"',
        "-r x",
        "--hash=sha256:0 \\",
        "# note \\",
        "./x.whl",
        "torch @ x",
        "jax[cuda12]",
        "{",
        '{"_meta": {"sources": 1}, "default": {"torch": {"version": "==2.4.0", "index": 1}}}',
    ]
)


@thorough
@given(
    st.binary(max_size=200)
    | st.lists(LINES | st.text(max_size=20), max_size=8).map(lambda each: "\n".join(each).encode()),
    st.sampled_from(["requirements.txt", "uv.lock", "pylock.toml", "Pipfile.lock", "-"]),
)
def test_any_bytes_are_asks_or_one_sentence(content: bytes, name: str) -> None:
    try:
        for one in requirements_asks(decoded(content, name), name):
            assert bool(one.cuda) is not bool(one.unknown)
            assert one.source and one.by.endswith(f" in {name}")
            resolve_cuda(one.cuda or "12.4")
    except ValueError as error:
        assert name in str(error) and "\n" not in str(error)


OLD_TORCH = [
    ("torch==1.10.0", "RTX 3090", "incompatible"),
    ("torch==1.10.0", "RTX 2080 Ti", "compatible"),
    ("torch==1.10.0+cu113", "RTX 4090", "limited"),
    ("torch==1.10.2+cu113", "A100", "compatible"),
    ("torch==1.10.1+cu111", "H100", "incompatible"),
    ("torch==1.9.1+cu111", "RTX 5090", "incompatible"),
    ("torch==1.9.0+cu102", "A100", "incompatible"),
    ("torch==1.8.1", "RTX 4090", "incompatible"),
    ("torch==1.8.1+cu101", "RTX 3090", "incompatible"),
    ("torch==1.8.2+cu111", "RTX 3090", "compatible"),
    ("torch==1.7.1+cu110", "RTX 3090", "limited"),
    ("torch==1.7.1+cu110", "H100", "incompatible"),
    ("torch==1.7.1", "A100", "incompatible"),
    ("torch==1.6.0", "A100", "incompatible"),
    ("torch==1.6.0+cu101", "P100", "compatible"),
    ("torch==1.5.1", "A100", "limited"),
    ("torch==1.4.0+cu100", "T4", "compatible"),
    ("torch==1.3.1", "GTX 980", "compatible"),
    ("torch==1.1.0", "V100", "compatible"),
    ("torch==1.1.0", "RTX 3090", "limited"),
]
"""By the code in PyPI's wheels, and for builds that PyPI lacks by the list with which they were built."""


@pytest.mark.parametrize(("framework", "gpu", "verdict"), OLD_TORCH)
def test_an_old_torch_runs_where_its_wheel_has_code_or_ptx_and_nowhere_else(
    framework: str, gpu: str, verdict: str
) -> None:
    [ask] = framework_asks(framework)
    assert ask.release and ask.cuda in ask.release.cudas and ask.codes
    assert verdict_of(ask, "580.95.05", (find_gpu(gpu),)).value == verdict


OF_THEIR_OWN = [
    ("torch==2.4.0\nflash-attn==2.6.3", "V100", "incompatible", "flash-attn 2.6.3"),
    ("torch==2.4.0\nflash-attn==2.6.3", "T4", "incompatible", "flash-attn 2.6.3"),
    ("torch==2.4.0\nflash_attn", "T4", "incompatible", "flash-attn"),
    ("torch==2.4.0\nflash-attn>=2.5", "T4", "incompatible", "flash-attn >=2.5"),
    ("torch==2.4.0\nflash-attn==2.6.3", "A100", "compatible", ""),
    ("torch==2.4.0\nflash-attn<2", "T4", "limited", "flash-attn <2"),
    ("torch==2.0.1\nflash-attn==1.0.9", "T4", "compatible", ""),
    ("torch==2.0.1\nflash-attn==1.0.9", "V100", "incompatible", "flash-attn 1.0.9"),
    ("flash-attn==2.6.3", "T4", "incompatible", "flash-attn 2.6.3"),
    ("flash-attn==2.6.3", "A100", "unknown", "flash-attn 2.6.3"),
    ("torch==2.8.0\nvllm==0.10.2", "GTX 1080", "incompatible", "vllm 0.10.2"),
    ("vllm==0.10.2", "P100", "incompatible", "vllm 0.10.2"),
    ("torch==2.8.0\nsglang==0.5.3", "V100", "incompatible", "sglang 0.5.3"),
    ("cudf-cu12==24.4.0", "P100", "incompatible", "cudf-cu12 24.4.0"),
    ("cudf-cu12==23.10.0", "P100", "compatible", ""),
    ("torch==2.4.0\nexllamav2==0.3.2\nnatten", "V100", "limited", "exllamav2 0.3.2, natten"),
    ("torch==2.3.1\nxformers==0.0.27\nbitsandbytes", "V100", "compatible", ""),
    ("torch==2.4.0+cu118\nxformers==0.0.27+cu118", "V100", "limited", "xformers 0.0.27+cu118"),
    ("torch==2.4.0\nmamba-ssm==2.2.6", "T4", "limited", "mamba-ssm 2.2.6"),
    ("torch==2.4.0\nmamba-ssm==2.2.2", "T4", "compatible", ""),
    ("torch==2.4.0\naccelerate==0.30.0", "T4", "compatible", ""),
]


BY_THEIR_WHEELS = [
    ("torch==2.7.1+cu128\nflash-attn==2.6.3", "RTX 5090", "build.no-code"),
    ("torch==2.7.1+cu128\nflash-attn==2.8.3", "RTX 5090", None),
    ("torch==2.5.1\nflash-attn==2.8.3", "A100", None),
    ("torch==2.7.1+cu128\nflash-attn==2.6.3+cu12torch2.7", "RTX 5090", None),  # another build: only its floor counts
    ("torch==2.7.1+cu128\nbitsandbytes==0.44.1", "RTX 5090", "build.no-library"),
    ("torch==2.7.1+cu128\nbitsandbytes==0.46.1", "RTX 5090", None),
    ("torch==2.8.0+cu129\nbitsandbytes==0.50.2", "A100", None),  # the library of CUDA 12.8 serves it
    ("torch==2.8.0+cu129\nbitsandbytes==0.46.0", "A100", "build.no-library"),
    ("torch==2.6.0+cu124\nbitsandbytes==0.48.0", "GTX 980", "build.gpu-too-old"),
    ("torch==2.6.0+cu124\nbitsandbytes==0.47.0", "GTX 980", None),
    ("torch==2.7.1+cu126\nflash-attn==99.0", "RTX 5090", None),  # newer than what was read
    ("torch==2.7.1+cu128\nxformers==0.0.31", "RTX 5090", "build.ptx-only"),
    ("torch==2.8.0\nsgl-kernel==0.3.9.post2", "T4", "build.gpu-too-old"),
    ("torch==2.8.0\nsglang==0.5.4", "T4", "build.no-code"),  # by the sgl-kernel that it requires
    ("torch==2.8.0+cu128\nsglang==0.5.4", "B200", None),
    ("torch==2.7.1\nsglang==0.4.9", "T4", None),
    ("torch==2.7.1+cu128\nmamba-ssm==2.2.4", "RTX 5090", "build.no-code"),
    ("torch==2.4.0\nmamba-ssm==1.1.0", "P100", "build.gpu-too-old"),
    ("torch==2.7.1\nmamba-ssm", "V100", "build.gpu-too-old"),
    ("torch==2.7.1+cu128\ncausal-conv1d==1.5.0.post8", "B200", "build.no-code"),
    ("torch==2.7.1+cu128\ncausal-conv1d==1.5.2", "B200", None),
    ("torch==2.7.1+cu128\ncausal-conv1d==1.5.2", "RTX 5090", "build.no-code"),
    ("torch==2.7.1+cu128\ncausal-conv1d==1.5.4", "RTX 5090", None),
    ("torch==2.8.0+cu128\nflash-attn-3==3.0.0b1", "B200", "build.no-code"),  # Hopper's alone
    ("torch==2.8.0+cu128\nflash-attn-3==3.0.0b1", "H200", None),
    ("torch==2.7.1\nsgl-kernel==0.3.5", "T4", None),
    ("torch==2.7.0+cu128\nvllm==0.9.0", "RTX 5090", "build.no-code"),
    ("torch==2.7.0+cu128\nvllm==0.9.2", "RTX 5090", None),
    ("torch==2.11.0\nvllm==0.20.0", "V100", "build.gpu-too-old"),
    ("torch==2.8.0+cu128\nlmdeploy==0.12.3", "B200", "build.no-code"),
    ("tensorrt-cu12==10.9.0.34", "V100", "build.gpu-too-old"),
    ("tensorrt-cu12==10.4.0", "V100", None),
    ("torch==2.9.1+cu130\nbitsandbytes==0.45.5", "GB10", None),  # for Arm the wheel is another
]


@pytest.mark.parametrize(("text", "gpu", "expected"), BY_THEIR_WHEELS)
def test_a_package_is_judged_by_the_code_in_its_own_wheel(text: str, gpu: str, expected: str | None) -> None:
    package = text.split("\n")[-1].replace("==", " ")
    answer = check(Question(requirements_asks(text, "r.txt")), Machine("580.95.05", (find_gpu(gpu),)))
    own = [one for one in answer.gpus[0].reasons if one.message.startswith(package)]
    assert [one.id for one in own] == ([expected] if expected else [])
    if expected:
        assert answer.verdict is (Verdict.LIMITED if expected == "build.ptx-only" else Verdict.INCOMPATIBLE)


def test_another_build_is_offered_only_where_what_is_installed_with_it_has_a_library_for_it() -> None:
    asks = requirements_asks("torch==2.7.1+cu128\nbitsandbytes==0.45.0", "r.txt")
    answer = check(Question(asks), Machine("580.95.05", (find_gpu("A100"),)))
    assert [one.text for one in answer.remedies] == [
        "Use the build of pytorch 2.7.1 for CUDA 12.6: it is compatible here."
    ]


@pytest.mark.parametrize(("text", "gpu", "verdict", "named"), OF_THEIR_OWN)
def test_a_package_with_code_of_its_own_is_judged_by_it_or_named_as_not_judged(
    text: str, gpu: str, verdict: str, named: str
) -> None:
    answer = check(Question(requirements_asks(text, "r.txt")), Machine("535.183.01", (find_gpu(gpu),)))
    said = [reason for reason in answer.gpus[0].reasons if reason.id.startswith("build.")]
    assert (answer.verdict.value, any(named in reason.message for reason in said)) == (verdict, bool(named))
    assert not any(remedy.text.startswith("Use") for remedy in answer.remedies)
