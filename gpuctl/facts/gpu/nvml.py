"""NVML's words as values: what its child process has printed. See gpuctl.host.look.nvml for the lines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping, Optional, Tuple, TypeVar

from gpuctl.frozen import dataclass
from gpuctl.host.decode import dotted, flag_in, number_in, parse_object, text_in, texts_in
from gpuctl.host.look.reading import Outcome, Reading, failure
from gpuctl.model import Fact

T = TypeVar("T")

NO_DRIVER = (9, 12)
"""NVML_ERROR_DRIVER_NOT_LOADED and NVML_ERROR_LIBRARY_NOT_FOUND (nvml.h), which nvidia-smi has as exit status too:
the answers that there is no driver. All other errors leave open what is there."""
_MOST_GPUS = 1 << 12


@dataclass(frozen=True)
class NvmlGpu:
    """One GPU as NVML describes it; None where NVML does not tell. `error` is set when it cannot be asked."""

    index: int
    name: Optional[str]
    uuid: Optional[str]
    pci: Optional[str]
    """Lower case, with the domain in four digits, as sysfs spells it: 0000:3b:00.0."""
    compute_capability: Optional[str]
    brand: Optional[str]
    memory: Optional[int]
    """Bytes."""
    mig: Optional[bool]
    persistence: Optional[bool]
    ecc_errors: Optional[int]
    """Uncorrected errors since the driver was loaded."""
    remap_pending: Optional[bool]
    remap_failed: Optional[bool]
    error: Optional[str] = None
    mig_devices: Optional[int] = None
    """How many MIG devices there are, where MIG is on."""
    fabric: Optional[str] = None
    """How far it has joined its NVLink fabric: not started, in progress, completed."""
    minor: Optional[int] = None
    """N of its device node /dev/nvidiaN, which need not be its index."""
    vbios: Optional[str] = None
    ecc: Optional[bool] = None
    power_limit: Optional[int] = None
    """Milliwatts, as it is set."""
    pcie_width: Optional[int] = None
    """Lanes of its link as it is now."""
    pcie_generation: Optional[int] = None
    """The newest that GPU and slot both have: a link without work is slower."""
    nvlinks: Optional[int] = None
    """How many are up; None where it has none."""
    mig_profiles: Optional[Tuple[str, ...]] = None
    """Of its MIG devices, "1g.5gb", sorted."""


@dataclass(frozen=True)
class Nvml:
    """What NVML said of the driver, and of its `count` GPUs those that it came to; or why it gave up, and its code."""

    driver: Optional[str] = None
    cuda: Optional[str] = None
    count: Optional[int] = None
    gpus: Tuple[NvmlGpu, ...] = ()
    error: Optional[str] = None
    code: int = 0


def parse_nvml(text: str) -> Nvml:
    """Returns what was printed, without a line that was cut off. Raises ValueError.

    {"driver": "535.161.08", "nvml": "12.535.161.08", "cuda": "12.2", "count": 1}
    {"index": 0, "name": "Tesla V100-SXM2-16GB", "pci": "00000000:3b:00.0"}
    """
    said = Nvml()
    for line in text.splitlines(True):
        if line.startswith("{") and line.endswith("}\n"):
            said = _with_line(said, parse_object(line))
    return said


def _with_line(said: Nvml, line: Mapping[str, Any]) -> Nvml:
    if "index" in line:
        return replace(said, gpus=(*said.gpus, _gpu(line)))
    if "error" in line:
        return replace(said, error=text_in(line, "error"), code=_code(line))
    return replace(
        said,
        driver=_version_in(line, "driver"),
        cuda=_version_in(line, "cuda"),
        count=number_in(line, "count", most=_MOST_GPUS),
    )


def _version_in(line: Mapping[str, Any], name: str) -> Optional[str]:
    told = text_in(line, name)
    return None if told is None else dotted(told)


def _code(line: Mapping[str, Any]) -> int:
    """One below 0 is a failure of gpuctl's own."""
    return -1 if line.get("code") == -1 else number_in(line, "code") or 0


def _gpu(line: Mapping[str, Any]) -> NvmlGpu:
    pci, persistence = text_in(line, "pci"), number_in(line, "persistence")
    return NvmlGpu(
        index=number_in(line, "index", most=_MOST_GPUS) or 0,
        name=text_in(line, "name"),
        uuid=text_in(line, "uuid"),
        pci=normal_address(pci) if pci else None,
        compute_capability=_version_in(line, "compute_capability"),
        brand=text_in(line, "brand"),
        memory=number_in(line, "memory"),
        mig=flag_in(line, "mig"),
        persistence=None if persistence is None else persistence > 0,
        ecc_errors=number_in(line, "ecc_errors"),
        remap_pending=flag_in(line, "remap_pending"),
        remap_failed=flag_in(line, "remap_failed"),
        error=text_in(line, "error"),
        mig_devices=number_in(line, "mig_devices"),
        fabric=text_in(line, "fabric"),
        minor=number_in(line, "minor"),
        vbios=text_in(line, "vbios"),
        ecc=flag_in(line, "ecc"),
        power_limit=number_in(line, "power_limit"),
        pcie_width=number_in(line, "pcie_width"),
        pcie_generation=number_in(line, "pcie_generation"),
        nvlinks=number_in(line, "nvlinks"),
        mig_profiles=texts_in(line, "mig_profiles") if "mig_profiles" in line else None,
    )


def normal_address(address: str) -> str:
    """Returns a PCI address as sysfs spells it; NVML writes the domain in eight digits, old ones in four.

    00000000:3B:00.0
    """
    domain, _, rest = address.lower().partition(":")
    return "%04x:%s" % (int(domain, 16), rest)


def value_in(answer: Reading, said: Nvml, value: Optional[T]) -> Fact[T]:
    """Returns a value that NVML tells first. Where it did not start, the driver is absent or its error the reason."""
    if said.count is not None:
        return Fact(value, answer.source)
    if answer.outcome is Outcome.ABSENT or said.code in NO_DRIVER:
        return Fact(None, answer.source)
    return Fact(None, answer.source, unknown=said.error or failure(answer))


def error_in(answer: Reading, said: Nvml) -> Fact[str]:
    """Returns NVML's own words when it did not start."""
    if said.error is not None and said.code >= 0:
        return Fact(said.error, answer.source)
    return Fact(None, answer.source, unknown=value_in(answer, said, said.driver).unknown)


def gpus_in(answer: Reading, said: Nvml) -> Fact[Tuple[NvmlGpu, ...]]:
    """Returns all GPUs that NVML counted: where it stopped at one, that has the reason, and the rest were not asked.

    Unknown where it was we who stopped.
    """
    if said.count is None:
        return Fact(None, answer.source, unknown=value_in(answer, said, said.count).unknown)
    if said.error is not None and said.code < 0:
        return Fact(None, answer.source, unknown=said.error)
    asked = len(said.gpus)
    reasons = {asked: said.error or failure(answer)}
    usual = "not asked: GPU %d did not answer" % asked
    rest = (_gpu({"index": index, "error": reasons.get(index, usual)}) for index in range(asked, said.count))
    return Fact((*said.gpus, *rest), answer.source)
