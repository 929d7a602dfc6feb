"""Whether a stage compiles, and what for."""

from __future__ import annotations

import re

from gpuctl.dockerfile.packages import pip_call
from gpuctl.dockerfile.shell import ShellCommand
from gpuctl.dockerfile.stages import Stage, StageStep
from gpuctl.regex import regex

_TOOLS = frozenset(
    (
        *("gcc", "g++", "cc", "c++", "clang", "clang++", "nvcc", "make", "gmake", "cmake", "ninja", "meson", "bazel"),
        *("bazelisk", "cargo", "go", "scons", "luarocks", "mvn", "gradle", "configure", "autogen.sh", "bootstrap.sh"),
        *(
            "R",
            "Rscript",
            "julia",
            "mex",
            "qmake",
            "catkin_make",
            "colcon",
            "nimble",
            "swift",
            "maturin",
            "poetry",
            "conan",
        ),
        *("pdm", "spack", "easy_install", "npm", "yarn", "gem", "git-lfs-build"),
    )
)
_BUILD_PACKAGES = ("build-essential", "g++", "gcc", "cmake", "ninja-build", "make", "clang", "nvcc")
_SCRIPT = regex(r".*\.(?:sh|bash|py|pl|mk)|\.?/.*")
_RUNNERS = regex(r"bash|sh|source|\.|(?:python|pypy)[0-9.]*")
_OF_THE_SYSTEM = ("/bin/", "/usr/bin/", "/opt/conda/bin/", "/sbin/", "/usr/sbin/")
_NEED_CUDNN = (
    *(
        "tensorflow",
        "tf-nightly",
        "onnxruntime",
        "cupy",
        "mxnet",
        "paddlepaddle",
        "chainer",
        "theano",
        "keras",
        "caffe",
    ),
    *("faster-whisper", "ctranslate2", "jax", "opencv", "dlib", "tensorrt", "nvidia-dali"),
)
_OWN_CUDNN = ("torch", "torchvision", "torchaudio")
_WHEELS = frozenset(
    (
        *(
            "pip",
            "setuptools",
            "wheel",
            "virtualenv",
            "numpy",
            "scipy",
            "pandas",
            "matplotlib",
            "scikit-learn",
            "pillow",
        ),
        *("scikit-image", "tqdm", "requests", "pyyaml", "torch", "torchvision", "torchaudio", "tensorflow", "keras"),
        *("tensorflow-gpu", "jupyter", "jupyterlab", "notebook", "ipython", "transformers", "accelerate", "datasets"),
        *("tokenizers", "safetensors", "huggingface-hub", "fastapi", "uvicorn", "gradio", "opencv-python", "h5py"),
        *(
            "opencv-python-headless",
            "seaborn",
            "tensorboard",
            "tensorboardx",
            "nltk",
            "sentencepiece",
            "einops",
            "boto3",
        ),
        *("diffusers", "pydantic", "flask", "awscli", "protobuf", "six", "click", "psutil", "imageio"),
    )
)
"""Packages of which PyPI has wheels for Linux: installing them compiles nothing."""


def compiles(stage: Stage) -> bool:
    """Returns whether a stage compiles something, or does what may: scripts, sources, packages of unknown content."""
    return any(_step_compiles(step) for step in stage.all_steps)


def _step_compiles(step: StageStep) -> bool:
    if step.name in ("CMD", "ENTRYPOINT"):
        return any(command.program in _TOOLS for command in step.commands)
    if step.name != "RUN":
        return step.instruction.onbuild
    if step.instruction.body.text and not step.commands:
        return True  # not a shell's, or too long: it may do anything
    return any(one.name.startswith(_BUILD_PACKAGES) for one in step.installs) or any(map(_compiles, step.commands))


def _compiles(command: ShellCommand) -> bool:
    program, values = command.program, command.values
    if program in _TOOLS or "$" in program:
        return True
    call = pip_call(command)
    if call:
        return bool(call.elsewhere) or not all(_is_wheel(word.value) for word in call.requirements)
    if "/" in values[0] and not values[0].startswith(_OF_THE_SYSTEM):
        return True
    return bool(_RUNNERS.fullmatch(program)) and any(
        _SCRIPT.fullmatch(value) and not value.startswith("-") for value in values[1:]
    )


def _is_wheel(requirement: str) -> bool:
    name = re.split(r"[^A-Za-z0-9_-]", requirement, maxsplit=1)[0].lower().replace("_", "-")
    return requirement.endswith(".whl") or name in _WHEELS


def without_need(stage: Stage) -> bool:
    """Returns whether a framework that brings its own cuDNN is installed and nothing that may use the base's."""
    installed = [one for step in stage.all_steps for one in step.installs if one.manager in ("pip", "conda")]
    names = [one.name.lower().partition("[")[0] for one in installed]
    own = any(name in _OWN_CUDNN for name in names)
    return own and not compiles(stage) and not any(name.startswith(_NEED_CUDNN) for name in names)
