"""The NVIDIA driver as the kernel, NVML, nvidia-smi and the module file tell of it, and the GPUs as NVML sees them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from gpuctl.facts.driver_library import probe_library_version
from gpuctl.facts.kernel import modinfo_field, module_file
from gpuctl.host.deadline import begin
from gpuctl.host.reading import Host, Outcome, Reading, fact, failure
from gpuctl.model import Fact

SMI = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
SMI_ON_WSL = "/usr/lib/wsl/lib/nvidia-smi"
"""Where Windows puts it; sudo's PATH and cron's lack that directory."""
SMI_DEADLINE = 5.0
LOADED = "/proc/driver/nvidia/version"
NO_DRIVER = (9, 12)
"""NVML_ERROR_DRIVER_NOT_LOADED and NVML_ERROR_LIBRARY_NOT_FOUND (nvml.h), which nvidia-smi has as exit status too:
the answers that there is no driver. All other errors leave open what is there."""
_LOADED = re.compile(r"NVRM version: .*?Kernel Module(?: for \S+)?\s+(\d[\d.]*)")


@dataclass(frozen=True)
class Gpu:
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


@dataclass(frozen=True)
class Driver:
    """The driver's version from every place that tells it; `version` is the first of them that does."""

    version: Fact[str]
    """From NVML, else the loaded module, else nvidia-smi, else the module file."""
    nvml_version: Fact[str]
    """Of the driver, by NVML: that of the loaded module, told by libnvidia-ml."""
    loaded_version: Fact[str]
    """/proc/driver/nvidia/version: the module in the kernel."""
    smi_version: Fact[str]
    file_version: Fact[str]
    """modinfo: the module file installed for the running kernel."""
    library_version: Fact[str]
    """The version in the file name behind libnvidia-ml.so.1."""
    open_module: Fact[bool]
    """Whether the loaded module is the open one."""
    cuda: Fact[str]
    """The highest CUDA of the driver, "12.2"."""
    nvml_error: Fact[str]
    """NVML's own words when it did not start; absent when it did."""
    smi: Fact[str]
    """Where nvidia-smi is."""
    smi_error: Fact[str]
    """What nvidia-smi said when it failed; absent when it did not."""
    gpus: Fact[Tuple[Gpu, ...]]


def probe_driver(host: Host) -> Driver:
    """Returns the driver from every side. NVML and nvidia-smi are asked side by side: a sick GPU may block either."""
    nvml, smi = begin(host.nvml), begin(lambda: _run_smi(host))
    file = begin(lambda: module_file(host))
    loaded = host.read(LOADED)
    library = probe_library_version(host)
    said, answer = smi(), nvml()
    lines = parse_nvml(answer.text)
    nvml_version, loaded_version = _nvml_value(answer, lines, "driver"), fact(loaded, parse_loaded_version)
    smi_version, file_version = _smi_version(said), _file_version(file())
    return Driver(
        version=_first((nvml_version, loaded_version, smi_version, file_version)),
        nvml_version=nvml_version,
        loaded_version=loaded_version,
        smi_version=smi_version,
        file_version=file_version,
        library_version=library,
        open_module=fact(loaded, lambda text: "Open Kernel Module" in text),
        cuda=_nvml_value(answer, lines, "cuda"),
        nvml_error=_nvml_error(answer, lines),
        smi=fact(_which_smi(host), str),
        smi_error=_smi_error(said),
        gpus=_gpus(answer, lines),
    )


def probe_version(host: Host) -> Fact[str]:
    """Returns the version alone: who comes after the first that tells it is not asked."""

    def told() -> Iterator[Fact[str]]:
        answer = host.nvml()
        yield _nvml_value(answer, parse_nvml(answer.text), "driver")
        yield fact(host.read(LOADED), parse_loaded_version)
        yield _smi_version(_run_smi(host))
        yield _file_version(module_file(host))

    return _first(told())


def parse_loaded_version(text: str) -> str:
    """Returns the version of the loaded module. Raises ValueError.

    NVRM version: NVIDIA UNIX x86_64 Kernel Module  418.87.00  Thu Aug  8 15:35:46 CDT 2019
    NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build  (dvs-builder@U16-A24-9-2)
    """
    found = _LOADED.search(text)
    if not found:
        raise ValueError("no NVRM version")
    return found.group(1)


def _which_smi(host: Host) -> Reading:
    found = host.which(SMI[0])
    on_wsl = found if found.ok else host.which(SMI_ON_WSL)
    return on_wsl if on_wsl.ok else found


def _run_smi(host: Host) -> Reading:
    program = SMI_ON_WSL if _which_smi(host).text == SMI_ON_WSL else SMI[0]
    return host.run((program, *SMI[1:]), SMI_DEADLINE)


def _smi_version(said: Reading) -> Fact[str]:
    return fact(Reading(said.source, Outcome.ABSENT) if said.code in NO_DRIVER else said, parse_smi_version)


def _file_version(file: Reading) -> Fact[str]:
    return fact(file, lambda text: modinfo_field(text, "version"))


def parse_smi_version(text: str) -> str:
    """Returns the driver's version, of nvidia-smi's line for the first GPU. Raises ValueError.

    535.161.08
    535.161.08
    """
    first = text.strip().partition("\n")[0].strip()
    if not re.match(r"\d+\.\d[\d.]*$", first):
        raise ValueError(first or "no output")
    return first


def _smi_error(said: Reading) -> Fact[str]:
    if said.outcome is not Outcome.OK:
        return fact(said, str)
    if said.code == 0:
        return Fact(None, said.source)
    words = " ".join((said.text + "\n" + said.detail).split())
    return Fact("exit status %d: %s" % (said.code, words), said.source)


def parse_nvml(text: str) -> List[Dict[str, Any]]:
    """Returns the lines that NVML's child process has printed, without one that was cut off: see gpuctl.host.nvml.

    {"driver": "535.161.08", "nvml": "12.535.161.08", "cuda": "12.2", "count": 1}
    {"index": 0, "name": "Tesla V100-SXM2-16GB", "pci": "00000000:3b:00.0"}
    """
    return [json.loads(line) for line in text.splitlines(True) if line.startswith("{") and line.endswith("}\n")]


def _failed(lines: List[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
    return next((line for line in lines if "error" in line and "index" not in line), None)


def _nvml_value(answer: Reading, lines: List[Dict[str, Any]], name: str) -> Fact[str]:
    """A value of the first line. Where NVML did not start, the driver is absent or its error the reason."""
    failed = _failed(lines)
    if lines and "count" in lines[0]:
        return Fact(lines[0].get(name), answer.source)
    if failed and failed["code"] in NO_DRIVER:
        return Fact(None, answer.source)
    if answer.outcome is Outcome.ABSENT:
        return Fact(None, answer.source)
    return Fact(None, answer.source, unknown=failed["error"] if failed else failure(answer))


def _nvml_error(answer: Reading, lines: List[Dict[str, Any]]) -> Fact[str]:
    failed = _failed(lines)
    if failed and failed["code"] >= 0:
        return Fact(failed["error"], answer.source)
    unknown = _nvml_value(answer, lines, "driver").unknown
    return Fact(None, answer.source, unknown=unknown)


def _gpus(answer: Reading, lines: List[Dict[str, Any]]) -> Fact[Tuple[Gpu, ...]]:
    """All GPUs that NVML counted: where it stopped at one, that one has the reason, and the rest were not asked.

    Unknown where it was we who stopped.
    """
    started, failed = _nvml_value(answer, lines, "count"), _failed(lines)
    if started.value is None:
        return Fact(None, answer.source, unknown=started.unknown)
    if failed and failed["code"] < 0:
        return Fact(None, answer.source, unknown=failed["error"])
    gpus = [_gpu(line) for line in lines if "index" in line]
    asked = len(gpus)
    reason = failed["error"] if failed else failure(answer)
    for index in range(asked, lines[0]["count"]):
        error = reason if index == asked else "not asked: GPU %d did not answer" % asked
        gpus.append(_gpu({"index": index, "error": error}))
    return Fact(tuple(gpus), answer.source)


def _gpu(line: Dict[str, Any]) -> Gpu:
    pci, persistence = line.get("pci"), line.get("persistence")
    return Gpu(
        index=line["index"],
        name=line.get("name"),
        uuid=line.get("uuid"),
        pci=normal_address(pci) if pci else None,
        compute_capability=line.get("compute_capability"),
        brand=line.get("brand"),
        memory=line.get("memory"),
        mig=line.get("mig"),
        persistence=None if persistence is None else bool(persistence),
        ecc_errors=line.get("ecc_errors"),
        remap_pending=line.get("remap_pending"),
        remap_failed=line.get("remap_failed"),
        error=line.get("error"),
        mig_devices=line.get("mig_devices"),
    )


def normal_address(address: str) -> str:
    """Returns a PCI address as sysfs spells it; NVML writes the domain in eight digits, old ones in four.

    00000000:3B:00.0
    """
    domain, _, rest = address.lower().partition(":")
    return "%04x:%s" % (int(domain, 16), rest)


def _first(facts: Iterable[Fact[str]]) -> Fact[str]:
    """The first that has a value; else the first that is unknown: it may have had one. Else absent."""
    silent = []
    for one in facts:
        if one.value is not None:
            return one
        silent.append(one)
    return next((one for one in silent if one.unknown is not None), silent[0])
