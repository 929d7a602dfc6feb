"""Whether the image that this system is has NVIDIA's driver, where another of the same maker has it."""

from __future__ import annotations

from gpuctl.checks.driver_remedies import kept_by_another
from gpuctl.checks.engine import Judgement, check, failed, passed
from gpuctl.checks.gpus import compat_gpus
from gpuctl.compat.knowledge.install_commands import filled_commands, last_branch
from gpuctl.compat.knowledge.keepers import image_with_driver
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.machine.kernel import Kernel
from gpuctl.facts.machine.system import System
from gpuctl.model import Disturbs, Remedy


@check("hardware.image")
def image(system: System, pci: Pci, kernel: Kernel, driver: Driver, keeper: Keeper) -> Judgement | None:
    """Universal Blue makes each image twice: without NVIDIA's driver, and with it, the toolkit and a specification.

    So nothing is to be installed in the one: the way is the other.
    Source: https://docs.bazzite.gg/Installing_and_Managing_Software/Updates_Rollbacks_and_Rebasing/rebase_guide/
    """
    here, row = keeper.image.value, kept_by_another(keeper)
    if here is None or row is None or not row.images or not pci.gpus.value:
        return None
    if driver.version.value or kernel.module_file.value:
        return passed("This image has NVIDIA's driver", keeper.image)
    other = image_with_driver(row, here.reference, here.tag, last_branch(compat_gpus(pci, driver)))
    if other is None:
        return None
    commands = filled_commands(row.image_commands, {"image": other}, system.euid.value == 0)
    text = "Go to the image with the driver, which has the toolkit, too; what is layered comes along."
    message = f"This image, {_name(here.reference)}, is without NVIDIA's driver."
    return failed(message, keeper.image, remedy=Remedy(text, commands, Disturbs.HOST))


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]
