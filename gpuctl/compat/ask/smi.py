"""What nvidia-smi printed, as a person pastes it: its table, the text or XML of `nvidia-smi -q`, its lists.

    | NVIDIA-SMI 550.54.15              Driver Version: 550.54.15      CUDA Version: 12.4     |
    |   0  NVIDIA A100-SXM4-40GB          On  |   00000000:07:00.0 Off |                    0 |

    Driver Version                            : 550.54.15
    CUDA Version                              : 12.4
    GPU 00000000:07:00.0
        Product Name                          : NVIDIA A100-SXM4-40GB
        Product Brand                         : NVIDIA

    DRIVER version      : 550.54.15
    GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-…)

    <driver_version>550.54.15</driver_version>
    <product_name>NVIDIA A100-SXM4-40GB</product_name>

From R610 on the first line says "KMD Version" and "CUDA UMD Version". What a forum makes of a table is read as well:
indented, quoted, its lines joined.
"""

from __future__ import annotations

import re
from dataclasses import replace

from gpuctl.compat.ask.question import Machine
from gpuctl.compat.judge.named import gpus_beside
from gpuctl.compat.knowledge.branch_ends import releases_meant
from gpuctl.compat.knowledge.gpus.gpus import Gpu, with_brand
from gpuctl.compat.knowledge.jetpack import l4t_of_nvml, of_tegra

LARGEST = 4 * 1024 * 1024
"""Bytes: nvidia-smi -q prints some ten thousand a GPU."""
_MOST = 1024
"""GPUs of one host: each name is looked up."""
_GAP = re.compile(r"[^\S\n]{2,}")
_DRIVER = re.compile(
    r"(?:\b(?:Driver|KMD) Version\s*:|<driver_version>)\s*([0-9]{2,4}(?:\.[0-9]{1,4}){1,3})\b", re.IGNORECASE
)
_CUDA = re.compile(r"(?:\bCUDA (?:UMD )?Version\s*:|<cuda_version>)\s*([0-9]{1,2}\.[0-9]{1,2})\b")
_ROW = re.compile(
    r"(?:^|[|│])[^\w|│\n]*[0-9]+[ \t]+(\S[^|│\n]*?)[ \t]+\S+[ \t]*[|│][ \t]*(?:[0-9A-F]{4,8}:[0-9A-F]{2}:|N/A)",
    re.MULTILINE | re.IGNORECASE,
)
_LISTED = re.compile(r"^[^\w\n]*GPU [0-9]+: (\S[^\n]*?)(?: \(UUID: [^\n]*|, [0-9]+ MiB)?\s*$", re.MULTILINE)
_NAME = re.compile(r"(?:^[^\w\n]*Product Name\s*:[ \t]*|<product_name>)(\S[^<\n]*?)\s*(?:<|$)", re.MULTILINE)
_BRAND = re.compile(r"(?:^[^\w\n]*Product Brand\s*:[ \t]*|<product_brand>)(\S[^<\n]*?)\s*(?:<|$)", re.MULTILINE)
_LICENCE = re.compile(
    r"^[^\w\n]*(?:vGPU|GRID) (?:Software )?Licensed Product[ \t\r]*\n[^\w\n]*Product Name[^\n]*"
    r"|<(\w+)_licensed_product>(?:(?!<\w+_licensed_product>).)*?</\1_licensed_product>",
    re.MULTILINE | re.DOTALL,
)
"""What a vGPU is licensed as is a product of its own: NVIDIA RTX Virtual Workstation."""
_ON_TEGRA = " (nvgpu)"
_LOST = re.compile(
    r"Unable to determine the device handle for (?:GPU ?[0-9]*:? ?)?([0-9A-F]{3,8}:[0-9A-F:.]+)", re.IGNORECASE
)
_FAILED = re.compile(
    r"NVIDIA-SMI has failed|NVIDIA-SMI couldn't|Failed to (?:initialize|properly shut down) NVML|No devices were found"
    r"|nvidia-smi: (?:command )?not found|nvidia-smi.{0,20}: No such file|Driver/library version mismatch",
    re.IGNORECASE,
)
_CSV = re.compile(r"\bdriver_version\b")


def machine_of_smi(text: str, beside: str | None = None) -> Machine:
    """Returns the driver and the GPUs that a text of nvidia-smi's tells; `beside` is the driver of a list without one.

    A GPU of a name that is not known has no compute capability, nor has one that does not answer. Of a Jetson the
    driver is its release of Jetson Linux. Raises ValueError, a sentence, where the text tells no driver, another than
    what is said beside it, no GPU, or more of them than a host has.
    """
    head = text.partition("\n")[0]
    if "," in head and _CSV.search(head):
        raise ValueError("it is the CSV of nvidia-smi --query-gpu: give it with --hosts")
    looked_at = _LICENCE.sub("", _GAP.sub("  ", text))
    found, cuda = _DRIVER.search(looked_at), _CUDA.search(looked_at)
    if found and beside:
        raise ValueError("it tells the driver: --driver does not go with it")
    driver = found[1] if found else beside
    if driver is None:
        raise ValueError(_without_driver(looked_at))
    told = _NAME.findall(looked_at)
    brands = _BRAND.findall(looked_at) if told else []
    names = told or _ROW.findall(looked_at) or _LISTED.findall(looked_at)
    lost = tuple(Gpu(f"the GPU at {place}", "", "unknown", driven=True) for place in _LOST.findall(looked_at))
    if not names and not lost:
        raise ValueError("it names no GPU: give the table that nvidia-smi prints, or what nvidia-smi -q prints")
    if len(names) + len(lost) > _MOST:
        raise ValueError("it names more GPUs than any host has: give what nvidia-smi prints once, on one host")
    known = [*brands, *("" for _ in names)]
    told_gpus = (_gpus(driver, name, brand) for name, brand in zip(names, known, strict=False))
    gpus = tuple(gpu for chips in told_gpus for gpu in chips)
    l4t = l4t_of_nvml(driver) if of_tegra(gpu.compute_capability for gpu in gpus) else None
    return Machine(l4t or driver, (*gpus, *lost), driver_cuda=cuda[1] if cuda else None)


def _without_driver(text: str) -> str:
    """Returns why a text tells no driver and what would, as a sentence without its full stop."""
    if _FAILED.search(text):
        return "nvidia-smi failed there, and names no driver: gpuctl explain --file FILE says why"
    if _LISTED.search(text):
        return "it names GPUs and no driver, as nvidia-smi -L does: give that with --driver, or the table without -L"
    return "it names no driver: give the table that nvidia-smi prints, or what nvidia-smi -q prints"


def _gpus(driver: str, name: str, brand: str) -> tuple[Gpu, ...]:
    try:
        found = gpus_beside(releases_meant(driver), name, hints=False)
    except ValueError:
        found = (Gpu(name, "", "unknown"),)
    named = name.removesuffix(_ON_TEGRA) != name  # it tells the chip, and not which board has it
    gpus = tuple(replace(gpu, driven=True, name=name if named else gpu.name) for gpu in found)
    try:
        return with_brand(gpus, brand)
    except ValueError:
        return gpus
