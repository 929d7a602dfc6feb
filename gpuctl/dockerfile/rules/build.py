"""What a build runs: programs that need a GPU, code compiled for none in particular, limits that end with the step."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuctl.compat.knowledge.driver_parts import driver_parts
from gpuctl.dockerfile.rules.engine import Found, Subject, base, rule
from gpuctl.dockerfile.shell import PlacedWord, ShellCommand
from gpuctl.dockerfile.source import shown
from gpuctl.dockerfile.stages import Stage, StageStep
from gpuctl.regex import regex

_SAMPLES = (
    "deviceQuery",
    "bandwidthTest",
    "deviceQueryDrv",
    "vectorAdd",
    "nbody",
    "p2pBandwidthLatencyTest",
    "gpustat",
)
_PYTHON = regex(r"(?:python|pypy)[0-9.]*")
_ASKS_GPU = regex(
    r"torch\.cuda\.(?:get_device\w*|current_\w+|device_count|init|is_available|set_device|synchronize|mem_get_info)"
    r"|\.cuda\(\)|\.to\(['\"]cuda|device[(=]['\"]cuda|list_physical_devices\(['\"]GPU|cuda\.is_available|cupy\.cuda\.Device|list_gpus"
)
_LISTS = (
    "TORCH_CUDA_ARCH_LIST",
    "CUDAARCHS",
    "CMAKE_CUDA_ARCHITECTURES",
    "CUDA_ARCHITECTURES",
    "NVCC_FLAGS",
    "NVCC_APPEND_FLAGS",
    "TCNN_CUDA_ARCHITECTURES",
    "FLASH_ATTN_CUDA_ARCHS",
    "DS_BUILD_OPS",
)
_SETUP = ("install", "develop", "build", "bdist_wheel", "build_ext", "build_develop")
_SOURCES = frozenset(
    (
        *("apex", "detectron2", "mmcv", "mmdetection", "mmdetection3d", "xformers"),
        *("maskrcnn-benchmark", "bitsandbytes", "tiny-cuda-nn", "pytorch3d", "minkowskiengine", "nvdiffrast", "gsplat"),
        *("diff-gaussian-rasterization", "simple-knn", "pointnet2", "kaolin"),
        *(
            "sageattention",
            "sparseconvnet",
            "spconv",
            "torchsparse",
            "dcnv2",
            "deepspeed",
            "pytorch_scatter",
            "nunchaku",
        ),
        *("pytorch_sparse", "warp-ctc", "--cuda_ext", "force_cuda"),
    )
)
"""Sources that compile CUDA code by torch's own extension, which goes by the GPU that it finds, and what shows it.

Not those that name their GPUs themselves: flash-attention, causal-conv1d and mamba (cc_flag in their setup.py)."""
_COMPILED_BY_PIP = "sageattention"
_BETWEEN = regex(r"[/.@#=\s]+")
_LIMIT = regex(r".*(?:/dev/shm|/etc/security/limits\.conf|/etc/sysctl\.conf)(?:/.*)?$", re.DOTALL)


def _with_device(step: StageStep) -> bool:
    return any(flag.startswith("--device") for flag in step.instruction.flags)


@rule("dockerfile.gpu-in-build")
def gpu_in_build(subject: Subject) -> Iterator[Found]:
    """Finds nvidia-smi, CUDA samples and Python that asks for a GPU in RUN, where their failure is not provided for.

    With --device they have one, which BuildKit takes in the labs syntax alone.
    """
    for _, step, command in subject.runs:
        if not _with_device(step) and not command.guarded:
            word = _needs_gpu(command)
            if word:
                message = f"{shown(command.program)[:40]} asks for a GPU, and a build has none."
                yield Found(word.start, word.end, message)
    for stage in subject.dockerfile.stages:
        for step in stage.steps:
            if _with_device(step) and "labs" not in subject.dockerfile.source.syntax:
                start = step.instruction.start
                message = "RUN --device is of the labs syntax: begin with # syntax=docker/dockerfile:1-labs."
                yield Found(start, start + len("RUN"), message)
            program = step.commands[0].program if step.name == "RUN" and step.commands else ""
            for document in step.instruction.heredocs if _PYTHON.fullmatch(program) and not _with_device(step) else ():
                found = _ASKS_GPU.search(document.body.text)
                if found:
                    start, end = document.body.at(found.start()), document.body.at(found.end())
                    yield Found(start, end, "This asks for a GPU, and a build has none.")


def _needs_gpu(command: ShellCommand) -> PlacedWord | None:
    row = driver_parts().get(command.program)
    if (row and row.kind == "program") or command.program in _SAMPLES:
        version = command.values[1:2] in (("--version",), ("--help",), ("-h",))
        return None if version else command.words[0]
    if _PYTHON.fullmatch(command.program) and "-c" in command.values:
        return next((word for word in command.words[2:] if _ASKS_GPU.search(word.value)), None)
    return None


@rule("dockerfile.no-architecture-list")
def no_architecture_list(subject: Subject) -> Iterator[Found]:
    """Finds torch extensions that are compiled in a build which names no compute capabilities and has no GPU."""
    for stage in subject.dockerfile.stages:
        one = base(stage)
        if (one.tag is not None and one.tag.flavour == "devel") or one.reference.endswith("-devel"):
            yield from _compiled(stage, "torch" in one.reference)


def _compiled(stage: Stage, torch: bool) -> Iterator[Found]:
    folder, cloned, listed = "", False, False
    for step in stage.all_steps:
        listed = listed or any(pair.name in _LISTS for pair in step.pairs)
        torch = torch or any("torch" in install.name.lower() for install in step.installs)
        folder = step.words[0].value if step.name == "WORKDIR" and step.words else folder
        cloned = cloned or any(command.values[:2] == ("git", "clone") for command in step.commands)
        text = step.instruction.body.text
        if listed or step.name != "RUN" or _with_device(step) or any(name in text for name in _LISTS):
            continue
        if step in stage.steps:
            # What was fetched compiles GPU code only where it is known to; one's own sources have a compiler for it.
            ours = torch and (not cloned or _of_sources(f"{folder} {text}"))
            words = (_extension(command, ours) for command in step.commands)
            yield from [_for_none(word) for word in words if word][:1]


def _for_none(word: PlacedWord) -> Found:
    return Found(word.start, word.end, f"{shown(word.value)[:60]} compiles GPU code for no GPU in particular.")


def _extension(command: ShellCommand, ours: bool) -> PlacedWord | None:
    values = command.values
    if ours and _PYTHON.fullmatch(command.program) and len(values) > 2 and values[1].endswith("setup.py"):
        return command.words[1] if values[2] in _SETUP else None
    if "install" in values or "wheel" in values:
        return next((word for word in command.words[1:] if _by_pip(word.value)), None)
    return None


def _of_sources(text: str) -> bool:
    return not _SOURCES.isdisjoint(_BETWEEN.split(text.lower()))


def _by_pip(requirement: str) -> bool:
    fetched = requirement.startswith("git+") and _of_sources(requirement)
    return fetched or (requirement.lower().startswith(_COMPILED_BY_PIP) and not requirement.endswith(".whl"))


@rule("dockerfile.limits")
def limits(subject: Subject) -> Iterator[Found]:
    """Notes what a build step sets and cannot keep: shared memory, ulimits, kernel settings."""
    for stage, _step, command in subject.runs:
        if stage in subject.gpu:
            word = _limit(command)
            if word:
                yield Found(word.start, word.end, f"{shown(command.program)[:40]} sets this for the build step alone.")


def _limit(command: ShellCommand) -> PlacedWord | None:
    if command.program == "ulimit":
        return command.words[0]
    if command.program == "sysctl" and "-w" in command.values:
        return command.words[0]
    if command.program == "mount":
        return next((word for word in command.words if _LIMIT.match(word.value)), None)
    return None
