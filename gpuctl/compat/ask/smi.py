"""What nvidia-smi printed, as a person pastes it: its table, or the text of `nvidia-smi -q`.

    | NVIDIA-SMI 550.54.15              Driver Version: 550.54.15      CUDA Version: 12.4     |
    |   0  NVIDIA A100-SXM4-40GB          On  |   00000000:07:00.0 Off |                    0 |

    Driver Version                            : 550.54.15
    CUDA Version                              : 12.4
    GPU 00000000:07:00.0
        Product Name                          : NVIDIA A100-SXM4-40GB
        Product Brand                         : NVIDIA

From R610 on the first line says "KMD Version" and "CUDA UMD Version".
"""

from __future__ import annotations

import re
from dataclasses import replace

from gpuctl.compat.ask.question import Machine
from gpuctl.compat.knowledge.gpus.gpus import Gpu, find_gpu, parse_brand

LARGEST = 4 * 1024 * 1024
"""Letters that are looked at."""
_DRIVER = re.compile(r"\b(?:Driver|KMD) Version\s*:\s*([0-9]{2,4}(?:\.[0-9]{1,4}){1,3})\b")
_CUDA = re.compile(r"\bCUDA (?:UMD )?Version\s*:\s*([0-9]{1,2}\.[0-9]{1,2})\b")
_ROW = re.compile(
    r"^\W?\s*[0-9]+\s+(\S.*?)\s+(?:On|Off|N/A|WDDM|TCC|MCDM)\s*[|│]\s*(?:[0-9A-F]{4,8}:|N/A)",
    re.MULTILINE | re.IGNORECASE,
)
_NAME = re.compile(r"^\s*Product Name\s*:[ \t]*(\S.*?)\s*$", re.MULTILINE)
_BRAND = re.compile(r"^\s*Product Brand\s*:[ \t]*(\S.*?)\s*$", re.MULTILINE)


def machine_of_smi(text: str) -> Machine:
    """Returns the driver and the GPUs that a text of nvidia-smi's tells.

    A GPU of a name that is not known has no compute capability. Raises ValueError, a sentence, where the text tells no
    driver or no GPU.
    """
    looked_at = text[:LARGEST]
    driver, cuda = _DRIVER.search(looked_at), _CUDA.search(looked_at)
    if driver is None:
        raise ValueError("it names no driver: give the table that nvidia-smi prints, or what nvidia-smi -q prints")
    told = _NAME.findall(looked_at)
    brands = _BRAND.findall(looked_at) if told else []
    names = told or _ROW.findall(looked_at)
    if not names:
        raise ValueError("it names no GPU: give the table that nvidia-smi prints, or what nvidia-smi -q prints")
    known = [*brands, *("" for _ in names)]
    gpus = tuple(_gpu(name, brand) for name, brand in zip(names, known, strict=False))
    return Machine(driver[1], gpus, driver_cuda=cuda[1] if cuda else None)


def _gpu(name: str, brand: str) -> Gpu:
    try:
        gpu = replace(find_gpu(name, hints=False), driven=True)
    except ValueError:
        gpu = Gpu(name, "", "unknown", driven=True)
    try:
        return replace(gpu, brand=parse_brand(brand), brand_before_460=None)
    except ValueError:
        return gpu
