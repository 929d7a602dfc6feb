"""The NVIDIA driver as the kernel, NVML, nvidia-smi and the module file tell of it, and the GPUs as NVML sees them."""

from __future__ import annotations

from typing import Iterable, Iterator, Tuple

from gpuctl.facts.gpu.driver_library import probe_library_version
from gpuctl.facts.gpu.nvml import NO_DRIVER, Nvml, NvmlGpu, error_in, gpus_in, parse_nvml, value_in
from gpuctl.facts.machine.kernel import module_file, module_version
from gpuctl.frozen import dataclass
from gpuctl.host.decode import dotted
from gpuctl.host.look.deadline import begin
from gpuctl.host.look.reading import Host, Outcome, Reading, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

SMI = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
SMI_ON_WSL = "/usr/lib/wsl/lib/nvidia-smi"
"""Where Windows puts it; sudo's PATH and cron's lack that directory."""
SMI_DEADLINE = 5.0
LOADED = "/proc/driver/nvidia/version"
_LOADED = regex(r"NVRM version: .{0,200}?Kernel Module(?: for \S{1,50})?\s{1,50}(\d[\d.]{0,30})")


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
    gpus: Fact[Tuple[NvmlGpu, ...]]


def probe_driver(host: Host) -> Driver:
    """Returns the driver from every side. NVML and nvidia-smi are asked side by side: a sick GPU may block either."""
    nvml, smi = begin(lambda: _ask_nvml(host)), begin(lambda: _run_smi(host))
    file = begin(lambda: module_file(host))
    loaded = host.read(LOADED)
    library = probe_library_version(host)
    said, (answer, told) = smi(), nvml()
    nvml_version, loaded_version = value_in(answer, told, told.driver), fact(loaded, parse_loaded_version)
    smi_version, file_version = _smi_version(said), fact(file(), module_version)
    return Driver(
        version=_first((nvml_version, loaded_version, smi_version, file_version)),
        nvml_version=nvml_version,
        loaded_version=loaded_version,
        smi_version=smi_version,
        file_version=file_version,
        library_version=library,
        open_module=fact(loaded, lambda text: "Open Kernel Module" in text),
        cuda=value_in(answer, told, told.cuda),
        nvml_error=error_in(answer, told),
        smi=fact(_which_smi(host), str),
        smi_error=_smi_error(said),
        gpus=gpus_in(answer, told),
    )


def probe_version(host: Host) -> Fact[str]:
    """Returns the version alone: who comes after the first that tells it is not asked."""

    def told() -> Iterator[Fact[str]]:
        answer, told = _ask_nvml(host)
        yield value_in(answer, told, told.driver)
        yield fact(host.read(LOADED), parse_loaded_version)
        yield _smi_version(_run_smi(host))
        yield fact(module_file(host), module_version)

    return _first(told())


def parse_loaded_version(text: str) -> str:
    """Returns the version of the loaded module. Raises ValueError.

    NVRM version: NVIDIA UNIX x86_64 Kernel Module  418.87.00  Thu Aug  8 15:35:46 CDT 2019
    NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build  (dvs-builder@U16-A24-9-2)
    """
    found = _LOADED.search(text)
    if not found:
        raise ValueError("no NVRM version")
    return dotted(found.group(1))


def _which_smi(host: Host) -> Reading:
    found = host.which(SMI[0])
    on_wsl = found if found.ok else host.which(SMI_ON_WSL)
    return on_wsl if on_wsl.ok else found


def _run_smi(host: Host) -> Reading:
    program = SMI_ON_WSL if _which_smi(host).text == SMI_ON_WSL else SMI[0]
    return host.run((program, *SMI[1:]), SMI_DEADLINE)


def _smi_version(said: Reading) -> Fact[str]:
    return fact(Reading(said.source, Outcome.ABSENT) if said.code in NO_DRIVER else said, parse_smi_version)


def parse_smi_version(text: str) -> str:
    """Returns the driver's version, of nvidia-smi's line for the first GPU. Raises ValueError.

    535.161.08
    535.161.08
    """
    first = text.strip().partition("\n")[0].strip()
    if not first:
        raise ValueError("no output")
    return dotted(first)


def _smi_error(said: Reading) -> Fact[str]:
    if said.outcome is not Outcome.OK:
        return fact(said, str)
    if said.code == 0:
        return Fact(None, said.source)
    words = " ".join((said.text + "\n" + said.detail).split())
    return Fact("exit status %d: %s" % (said.code, words), said.source)


def _ask_nvml(host: Host) -> Tuple[Reading, Nvml]:
    """How NVML's process ended, and what it had said by then; an answer that is not understood is none."""
    answer = host.nvml()
    try:
        return answer, parse_nvml(answer.text)
    except ValueError as error:
        return Reading(answer.source, Outcome.ERROR, detail="not understood: %s" % error), Nvml()


def _first(facts: Iterable[Fact[str]]) -> Fact[str]:
    """The first that has a value; else the first that is unknown: it may have had one. Else absent."""
    silent = []
    for one in facts:
        if one.value is not None:
            return one
        silent.append(one)
    return next((one for one in silent if one.unknown is not None), silent[0])
