"""Will the images run on this driver and these GPUs?"""

from __future__ import annotations

from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.gpus import compat_gpus
from gpuctl.command import command
from gpuctl.compat.answer.answer import check_cuda
from gpuctl.compat.knowledge.images import cuda_of_tag, newest_base_images
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.model import Disturbs, Evidence, Remedy, Verdict

_NO = (Verdict.INCOMPATIBLE, Verdict.NEEDS_PACKAGE)


@check("image.base-available")
def base_available(pci: Pci, driver: Driver, tegra: Tegra) -> Judgement | None:
    """nvidia/cuda base images carry the CUDA runtime and no driver: build on the newest that the driver runs."""
    version, gpus = driver.version.get(), compat_gpus(pci, driver)
    if version is None or not gpus or tegra.release.value:
        return None
    image = next(newest_base_images(version, gpus), None)
    if image:
        return passed(f"The newest base image for this driver: {image}", driver.version)
    message = "No nvidia/cuda base image runs on this driver and these GPUs."
    remedy = Remedy("Upgrade the driver.", (command("gpuctl", "recommend"),), Disturbs.HOST)
    return failed(message, driver.version, remedy=remedy)


@check("image.local-images")
def local_images(pci: Pci, driver: Driver, docker: Docker, tegra: Tegra) -> Judgement | None:
    """An image built for a newer CUDA than the driver runs fails inside, or is refused by the toolkit."""
    version, gpus, daemon = driver.version.get(), compat_gpus(pci, driver), docker.daemon.get()
    tags = [(tag, cuda) for tag in (daemon.images if daemon else ()) if (cuda := cuda_of_tag(tag))]
    if version is None or not gpus or not tags or tegra.release.value:
        return None
    bad = [tag for tag, cuda in tags if check_cuda(cuda, version, gpus).verdict in _NO]
    seen = Evidence(docker.daemon.source, ", ".join(tag for tag, _ in tags))
    if not bad:
        return passed(f"The driver runs every nvidia/cuda image on this host ({len(tags)})", seen)
    cuda = dict(tags)[bad[0]]
    remedy = Remedy("See what this image needs.", (command("gpuctl", "check", "--cuda", cuda),))
    return warned(f"The driver {version} does not run {bad[0]}.", seen, remedy=remedy)
