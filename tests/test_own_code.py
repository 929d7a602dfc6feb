"""Packages with GPU code of their own, in whatever form a file names them: judged, or named as not judged."""

from __future__ import annotations

import pytest

from gpuctl.compat.answer.answer import Compatibility, check
from gpuctl.compat.ask.pip_files.asks import file_asks
from gpuctl.compat.ask.question import Machine, Question
from gpuctl.compat.knowledge.gpus.gpus import find_gpu
from gpuctl.compat.knowledge.indirect import indirect_packages
from gpuctl.compat.knowledge.package_code import release_code
from gpuctl.model import Verdict


def on(text: str, gpu: str, name: str = "r.txt") -> Compatibility:
    return check(Question(file_asks(text.encode(), name)), Machine("535.183.01", (find_gpu(gpu),)))


def not_judged(answer: Compatibility) -> str:
    return next((one.message for one in answer.gpus[0].reasons if one.id == "build.code-not-judged"), "")


@pytest.mark.parametrize(
    "line",
    [
        "flash-attn==2.6.3",
        "git+https://github.com/Dao-AILab/flash-attention.git@v2.6.3",
        "git+https://github.com/Dao-AILab/flash-attention@v2.6.3#subdirectory=.",
        "flash-attn @ git+https://github.com/Dao-AILab/flash-attention.git@v2.6.3",
        "-e git+https://github.com/Dao-AILab/flash-attention.git@v2.6.3#egg=flash_attn",
        "https://github.com/Dao-AILab/flash-attention/releases/download/v2.6.3/"
        "flash_attn-2.6.3+cu118torch2.4cxx11abiFALSE-cp310-cp310-linux_x86_64.whl",
        "https://github.com/Dao-AILab/flash-attention/archive/refs/tags/v2.6.3.tar.gz#egg=flash-attn",
        "./wheels/flash_attn-2.6.3.tar.gz",
        "flashinfer-python==0.2.5",
    ],
)
def test_a_package_is_judged_in_whatever_form_it_is_named(line: str) -> None:
    assert on(f"torch==2.4.0+cu121\n{line}\n", "GTX 1080").verdict is Verdict.INCOMPATIBLE
    reasons = on(f"torch==2.4.0+cu121\n{line}\n", "GTX 1080").gpus[0].reasons
    assert [one.message.split(" ")[0] for one in reasons if one.id == "build.gpu-too-old"] == [
        line.split("==")[0] if line.startswith("flashinfer") else "flash-attn"
    ]
    assert on(f"torch==2.4.0+cu121\n{line}\n", "A100").verdict is Verdict.COMPATIBLE


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("git+https://github.com/NVlabs/tiny-cuda-nn/#subdirectory=bindings/torch", "tinycudann"),
        ("git+https://github.com/Dao-AILab/flash-attention.git", "flash-attn"),
        ("git+https://github.com/Dao-AILab/flash-attention.git@main", "flash-attn"),
        ("-e ./third_party/flash-attention", "flash-attn"),
        ("submodules/diff-gaussian-rasterization", "diff-gaussian-rasterization"),
        ("./submodules/simple-knn/", "simple-knn"),
        ("file:///opt/src/xformers", "xformers"),
        ("git+ssh://git@github.com/NVIDIA/apex.git@23.08", "apex"),
        ("git+https://github.com/facebookresearch/detectron2.git", "detectron2"),
        ("git+https://github.com/rusty1s/pytorch_scatter.git", "torch-scatter"),
        ("unsloth[cu121-torch240] @ git+https://github.com/unslothai/unsloth.git", "unsloth"),
        *((name, name) for name, row in indirect_packages().items() if row.own_code and not release_code(name, None)),
    ],
)
def test_one_whose_code_is_not_known_is_named_as_not_judged(line: str, package: str) -> None:
    answer = on(f"torch==2.4.0+cu121\n{line}\n", "A100")
    assert answer.verdict is Verdict.LIMITED and f" {package}:" in not_judged(answer)
    assert not answer.remedies  # nothing that is known would better it


FLASH = "git+https://github.com/Dao-AILab/flash-attention.git"
SAGE = "git+https://github.com/thu-ml/SageAttention.git"


@pytest.mark.parametrize(
    ("line", "too_old", "serves"),
    [
        (f"flash-attn-3 @ {FLASH}#subdirectory=hopper", "A100", "H100"),
        (f"{FLASH}@0123abc#subdirectory=hopper", "A100", "H100"),
        ("flash_attn_3==3.0.0b1", "T4", "H100"),
        (FLASH, "T4", "A100"),
        (f"sageattention @ {SAGE}", "T4", "A100"),
        ("sageattention==2.2.0", "T4", "A100"),
        ("git+https://github.com/deepseek-ai/DeepGEMM.git@main", "A100", "H100"),
        ("git+https://github.com/deepseek-ai/FlashMLA.git", "A100", "H100"),
    ],
)
def test_what_every_build_needs_holds_without_a_release(line: str, too_old: str, serves: str) -> None:
    refused, taken = (on(f"torch==2.4.0+cu121\n{line}\n", gpu) for gpu in (too_old, serves))
    assert refused.verdict is Verdict.INCOMPATIBLE and not not_judged(refused)
    # What the newest of a repository needs besides nobody has said.
    assert taken.verdict is (Verdict.LIMITED if "git+" in line else Verdict.COMPATIBLE)


@pytest.mark.parametrize("line", [f"{FLASH}@0123abc", f"{SAGE}@main", "sageattention", "sageattention==1.0.6"])
def test_what_newer_releases_need_is_not_said_of_one_that_may_be_older(line: str) -> None:
    answer = on(f"torch==2.4.0+cu121\n{line}\n", "T4")
    assert answer.verdict is Verdict.LIMITED and not_judged(answer)


@pytest.mark.parametrize(
    "name",
    [
        "sageattention",
        "unsloth",
        "gsplat",
        "natten",
        "nvdiffrast",
        "torch-scatter",
        "mmcv",
        "mmcv-full",
        "pytorch3d",
        "kaolin",
        "detectron2",
        "apex",
        "warp-lang",
        "torchao",
        "k2",
        "tinycudann",
        "diff-gaussian-rasterization",
        "spconv",
        "nerfacc",
    ],
)
def test_none_of_them_is_passed_over(name: str) -> None:
    answer = on(f"torch==2.4.0+cu121\n{name}\n", "A100")
    assert answer.verdict is Verdict.LIMITED and name in not_judged(answer)


@pytest.mark.parametrize("name", ["warp-lang", "gsplat==1.4.0", "git+https://github.com/NVIDIA/apex.git"])
def test_alone_they_tell_no_cuda_and_what_helps_is_said(name: str) -> None:
    answer = on(f"{name}\nnumpy\n", "A100")
    assert answer.verdict is Verdict.UNKNOWN
    assert "--cuda" in answer.gpus[0].reasons[0].message or "pip freeze" in answer.gpus[0].reasons[0].message


def test_what_makes_its_code_where_it_runs_asks_alone_for_the_toolkit_there_and_beside_others_for_nothing() -> None:
    alone = on("numba-cuda==0.20.0\nnumba\n", "V100")
    assert alone.verdict is Verdict.UNKNOWN and "--cuda" in alone.gpus[0].reasons[0].message
    assert on("numba-cuda[cu12]==0.20.0\n", "V100").asked[0].cuda.startswith("12.")
    beside = on("torch==2.4.0+cu121\nnumba-cuda==0.20.0\n", "V100")
    assert beside.verdict is Verdict.COMPATIBLE and not not_judged(beside)


@pytest.mark.parametrize("package", ["vllm", "mamba-ssm", "flash-attn"])
def test_a_number_that_no_release_has_is_not_known_and_ends_nothing(package: str) -> None:
    for version in ("9" * 30, "1." + "9" * 30):
        assert on(f"torch==2.4.0\n{package}=={version}\n", "A100").verdict in (Verdict.LIMITED, Verdict.COMPATIBLE)


def test_a_locks_entry_without_a_version_is_not_passed_over() -> None:
    pipfile = '{"_meta": {"sources": []}, "default": {"flash-attn": {"git": "https://github.com/x/y", "ref": "0"}, '
    pipfile += '"torch": {"version": "==2.4.0"}}}'
    assert "flash-attn" in not_judged(on(pipfile, "A100", "Pipfile.lock"))
    pylock = '[[packages]]\nname = "torch"\nversion = "2.4.0"\n\n[[packages]]\nname = "apex"\n'
    pylock += 'vcs = { type = "git", url = "https://github.com/NVIDIA/apex", commit-id = "0" }\n'
    assert "apex" in not_judged(on(pylock, "A100", "pylock.toml"))


def test_a_tag_for_cuda_says_of_any_package_that_it_has_code() -> None:
    text = "torch==2.4.0+cu121\nllama_cpp_python_cuda==0.2.85+cu121\ntorchvision==0.19.0+cu121\nplain==1.0+cpu\n"
    assert " llama-cpp-python-cuda 0.2.85+cu121:" in not_judged(on(text, "A100"))
    assert on("llama_cpp_python_cuda==0.2.85+cu113\n", "RTX 4090").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    "source",
    [
        'source = { git = "https://github.com/vllm-project/vllm?tag=v0.6.3#0123" }',
        '[package.source]\ntype = "git"\nurl = "https://github.com/vllm-project/vllm.git"\nreference = "v0.6.3"',
    ],
)
def test_what_a_lock_has_from_a_repository_is_not_judged_as_pypis_wheel(source: str) -> None:
    text = '[[package]]\nname = "torch"\nversion = "2.4.0"\n\n[[package]]\nname = "vllm"\nversion = "0.6.3"\n'
    assert on(f"{text}{source}\n", "RTX 4090", "uv.lock").verdict is Verdict.COMPATIBLE
    assert on(f"{text}{source}\n", "GTX 1080", "uv.lock").verdict is Verdict.INCOMPATIBLE  # vLLM's own floor
    torch = text.replace('"vllm"', '"demo"').replace('"torch"', '"x"').replace('"demo"', '"torch"')
    assert on(f"{torch}{source}\n", "RTX 4090", "uv.lock").verdict is Verdict.UNKNOWN
