"""The rule about a build: does it hold code that the GPU runs?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.judge.by_gpu import is_newer
from gpuctl.compat.judge.rulings import Cuda, Ruling
from gpuctl.compat.knowledge.code import Code
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.compat.tables.loader import architectures
from gpuctl.compat.versions import parts
from gpuctl.model import Reason, Verdict
from gpuctl.regex import regex

_BESIDE_ARM = regex(r"\bG[HB][0-9]+\b|\b12\.1$|DGX Spark")


def gpu_and_code(ask: Ask, gpu: Gpu, cuda: Cuda | None = None) -> Iterator[Ruling]:
    """Yields a ruling for each build that asks and has no machine code for the GPU, or no CUDA beside it.

    So it does for packages installed with it that have code of their own, and names those that are not judged, with
    which nothing is better than limited: on a GPU that is newer than the CUDA version that is asked for (`cuda`, None:
    not known) nobody can say that they run.

    Only the build for the processor that the GPU sits beside is looked at: a GPU soldered to an Arm processor has
    nothing to do with what x86_64's wheel holds.
    """
    if not (ask.codes or ask.beside or ask.unjudged or ask.beside_unjudged or ask.on_arm):
        return  # a CUDA version alone, which the rows of a fleet ask
    row = architectures().get(gpu.compute_capability)
    if row is None:
        return
    machine = "aarch64" if beside_arm(gpu) else "x86_64"
    if ask.on_arm and machine == "aarch64":
        yield _without_cuda(ask, gpu, row.integrated)
        return
    names = (row.compute_capability, *((row.same_chip_as,) if row.same_chip_as else ()))
    not_served = [
        (by, source, code)
        for by, source, code in _codes(ask)
        if code.machine == machine and not any(code.serves(name) for name in names)
    ]
    yield from (_ruling(by, source, gpu, code) for by, source, code in not_served)
    for own in ask.beside:
        if machine == "x86_64" and own.release.lacks(ask.cuda):
            message = f"{own.by} has no library for CUDA {ask.cuda}: it has some for {own.release.cudas}."
            yield Ruling(Verdict.INCOMPATIBLE, Reason("build.no-library", message, own.release.source))
    # What a package needs at least may be known where the rest of its code is not: that is a no already.
    refused = [by for by, _, _ in not_served]
    open_ones = [by for by in (*ask.unjudged, *ask.beside_unjudged) if by not in refused]
    if open_ones:
        yield _not_judged(open_ones, gpu, cuda)


def _not_judged(packages: Sequence[str], gpu: Gpu, cuda: Cuda | None) -> Ruling:
    said = f"Not judged is the code of {', '.join(packages)}: nothing here tells for which GPUs it is"
    if cuda and is_newer(gpu, cuda):
        message = f"{said}, and {gpu.name} is newer than CUDA {cuda.minor}."
        return Ruling(Verdict.UNKNOWN, Reason("build.code-not-judged", message, "gpuctl's tables"))
    message = f"{said}, and it runs only where {gpu.name} is among them."
    return Ruling(Verdict.LIMITED, Reason("build.code-not-judged", message, "gpuctl's tables"))


def _codes(ask: Ask) -> Iterator[tuple[str, str, Code]]:
    """Yields what asks and what is installed with it, the document that says which code that has, and the code."""
    for code in ask.codes:
        yield ask.by, ask.source, code
    for own in ask.beside:
        for code in own.release.codes(ask.cuda):
            yield own.by, own.release.source, code


def _without_cuda(ask: Ask, gpu: Gpu, is_jetson: bool) -> Ruling:
    """Jetsons have wheels of their own, from elsewhere and without a tag: what is installed may be one of them."""
    beside = f"for the Arm processor beside {gpu.name}"
    end = ", unless it is one of NVIDIA's own for Jetson." if is_jetson else "."
    if ask.on_arm == "none":
        reason = Reason("build.none-on-arm", f"PyPI has no wheel of {ask.by} {beside}{end}", ask.source)
    else:
        message = f"PyPI's wheel {beside} has no CUDA: that is {ask.by}{end}"
        reason = Reason("build.cpu-on-arm", message, ask.source)
    return Ruling(Verdict.UNKNOWN if is_jetson else Verdict.INCOMPATIBLE, reason)


def beside_arm(gpu: Gpu) -> bool:
    """Returns whether a GPU is soldered to an Arm processor."""
    row = architectures().get(gpu.compute_capability)
    return bool(_BESIDE_ARM.search(gpu.name) or (row and row.integrated))


def _ruling(by: str, source: str, gpu: Gpu, code: Code) -> Ruling:
    capability = gpu.compute_capability
    if parts(capability) < parts(code.lowest):
        return _too_old(by, code.lowest, gpu, source)
    held = f"{by} holds machine code for compute capability {', '.join(map(_in_words, code.kernels))}"
    if code.compiles_for(capability):
        message = f"{held}, none of which {gpu.name} ({capability}) runs: the driver compiles its PTX at start."
        return Ruling(Verdict.LIMITED, Reason("build.ptx-only", message, source))
    message = f"{held} and no PTX for {capability}: it does not run on {gpu.name}."
    return Ruling(Verdict.INCOMPATIBLE, Reason("build.no-code", message, source))


def _too_old(by: str, lowest: str, gpu: Gpu, source: str) -> Ruling:
    message = f"{by} is built for compute capability {lowest} and newer; {gpu.name} has {gpu.compute_capability}."
    return Ruling(Verdict.INCOMPATIBLE, Reason("build.gpu-too-old", message, source))


def _in_words(kernel: str) -> str:
    return f"{kernel[:-1]} alone" if kernel.endswith("a") else kernel.rstrip("f")
