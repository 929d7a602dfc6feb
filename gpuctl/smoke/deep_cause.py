"""From what the program of `gpuctl smoke --deep` told to the cause and the remedy."""

from __future__ import annotations

from gpuctl.checks.remedies import kernel_log
from gpuctl.checks.select import finding
from gpuctl.command import Shell, command
from gpuctl.compat.knowledge.errors.cuda import CudaError, cuda_errors
from gpuctl.frozen import dataclass
from gpuctl.model import Remedy, Report
from gpuctl.smoke.compare import SeenByContainer
from gpuctl.smoke.deep import NO_END, NO_FUNCTION, NOT_LOADED, WRONG_ANSWER, Deep, Failure, Program
from gpuctl.smoke.explain import DOCTOR

NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE."""
_WITH_GLIBC = Remedy(
    "Name an image with glibc, such as one of nvidia/cuda.", (command("gpuctl", "smoke", "--deep", "--image", "NAME"),)
)
_WHERE_LIBCUDA = Remedy(
    "Install all of the driver on the host; the toolkit gives libcuda to containers with the capability `compute`.",
    (command("ldconfig", "-p", Shell.PIPE, "grep", "libcuda"),),
)
_OUT_OF_SERVICE = Remedy(
    "Take it out of service: what it computes cannot be relied on.",
    (command("nvidia-smi", "-q", "-d", "ECC"), kernel_log("-i", "xid")),
)
_SLOW = Remedy(
    "See what the kernel reports. Many GPUs without persistence mode only need more time.",
    (kernel_log("-iE", "nvrm|xid"), command("gpuctl", "smoke", "--deep", "--timeout", "300")),
)
_WHOLE_GPU = Remedy(
    "Name a GPU without MIG; CUDA reaches a divided one through its MIG devices only.", (command("nvidia-smi", "-L"),)
)
_STEPS = {
    "nvml-load": "NVML is not loaded",
    "nvml-init": "NVML does not start",
    "nvml-gpu": "NVML does not describe {}",
    "cuda-load": "CUDA is not loaded",
    "cuda-init": "NVML works, and CUDA does not start",
    "device": "CUDA does not describe {}",
    "context": "{} takes no program",
    "memory": "{} does not give its memory",
    "kernel": "{} runs no kernel",
    "release": "{} does not let a program go",
}
_WRONG = {"memory": "{} gives back other bytes than it was sent", "kernel": "{} computes wrong answers"}


@dataclass(frozen=True)
class Judged:
    """`passed` is None where CUDA could not be tested and nothing is known to be wrong; where it is True, no cause."""

    passed: bool | None
    cause: str | None = None
    remedy: Remedy | None = None


def lacks_glibc(error: str, program: Program) -> bool:
    """Returns whether an engine's error says that the image has no loader of glibc's."""
    return program.loader in error and "no such file or directory" in error


NO_GLIBC = Judged(
    False, "This image has no glibc, which the driver's libraries need: CUDA cannot work in it.", _WITH_GLIBC
)


def judge_cuda(deep: Deep, seen: SeenByContainer, report: Report) -> Judged:
    """Returns what the program's words on CUDA mean; `seen` is what NVML told it, `report` the doctor's of the host."""
    undivided = [uuid for uuid in seen.gpus if uuid not in deep.mig]
    told = [_judge(one, deep, report) for one in deep.failures]
    if seen.gpus and not undivided and any(one.code == NO_DEVICE for one in deep.failures):
        return Judged(None, "All these GPUs have MIG on: CUDA has no whole GPU to run on.", _WHOLE_GPU)
    if told:
        return min(told, key=lambda one: one.passed is None)
    if not deep.ended:
        return Judged(False, "Something ended the program before its end: the driver, or the kernel.", _SLOW)
    return _judge_count(deep, undivided)


def _judge_count(deep: Deep, undivided: list[str]) -> Judged:
    known = [gpu.uuid for gpu in deep.gpus]
    # Drivers before 396 do not tell CUDA's UUIDs: there, only the count can be compared.
    missing = [uuid for uuid in undivided if uuid not in known] if all(known) else undivided[len(known) :]
    if not missing:
        return Judged(True)
    return Judged(False, f"NVML has GPUs that CUDA has not: {', '.join(missing)}.", DOCTOR)


def _judge(failure: Failure, deep: Deep, report: Report) -> Judged:
    what = _sentence(_STEPS, failure, deep)
    if failure.code == WRONG_ANSWER:
        return Judged(False, f"{_sentence(_WRONG, failure, deep)}.", _OUT_OF_SERVICE)
    if failure.code == NO_END:
        return Judged(False, f"{what}: no answer in time.", _SLOW)
    if failure.code in (NOT_LOADED, NO_FUNCTION):
        return Judged(False, f"{what}: {_not_loaded(failure)}.", _WHERE_LIBCUDA)
    row = None if failure.step.startswith("nvml") else cuda_errors().get(failure.code)
    what = f"{what}: {failure.error or (row and row.name) or 'error'} ({failure.code})."
    return _known(what, row, report) if row else Judged(False, what, DOCTOR)


def _known(what: str, row: CudaError, report: Report) -> Judged:
    found = finding(report, row.checks)
    passed = None if row.busy else False
    if found is None:
        return Judged(passed, f"{what} {row.cause}", row.remedy)
    return Judged(passed, f"{what} {row.cause} {found.message}", found.remedy or row.remedy)


def _not_loaded(failure: Failure) -> str:
    error = failure.error or "no reason is told"
    return f"its library lacks {error}, and so is no driver's" if failure.code == NO_FUNCTION else error


def _sentence(sentences: dict[str, str], failure: Failure, deep: Deep) -> str:
    known = next((gpu.uuid for gpu in deep.gpus if gpu.index == failure.gpu), None)
    gpu = f"GPU {failure.gpu}" + (f" ({known})" if known else "")
    # No format(): the step's name comes out of a container.
    return sentences.get(failure.step, f"{failure.step} fails on {{}}").replace("{}", gpu)
