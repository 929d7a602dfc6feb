"""The rule about Windows' driver and CUDA: its numbers are none of Linux', and it has floors of its own."""

from __future__ import annotations

from gpuctl.compat.judge.rulings import Cuda, Ruling
from gpuctl.compat.knowledge.windows import windows_floor
from gpuctl.compat.versions import parts
from gpuctl.model import Reason, Verdict

LIMITS = (
    "with limits: PTX of a toolkit newer than the driver is not compiled, and features that need the newer driver fail."
)
"""What does not run where only the major version of a driver's CUDA is new enough."""


def windows_and_cuda(cuda: Cuda, driver: str) -> tuple[Ruling, ...]:
    """Returns whether a driver of Windows' runs the CUDA version; nothing, where no table tells."""
    floor = windows_floor(cuda.minor, cuda.update.release if cuda.update else None)
    if floor is None:
        return ()
    what = f"{driver} is a driver of Windows', which runs CUDA {cuda.text} from {floor.driver} on"
    if parts(driver) >= parts(floor.driver):
        return (_ruled(Verdict.COMPATIBLE, f"{what}.", floor.source),)
    if floor.limited and parts(driver) >= parts(floor.limited):
        message = f"{what}. From {floor.limited} on it runs every CUDA {cuda.minor.partition('.')[0]}.x, {LIMITS}"
        return (_ruled(Verdict.LIMITED, message, floor.limited_source),)
    message = f"{what}, from {floor.limited} on with limits." if floor.limited else f"{what}."
    return (_ruled(Verdict.INCOMPATIBLE, message, floor.source),)


def _ruled(verdict: Verdict, message: str, source: str) -> Ruling:
    return Ruling(verdict, Reason("driver.windows", message, source))
