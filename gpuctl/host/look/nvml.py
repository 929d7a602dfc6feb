"""What NVML says, printed as JSON lines by a process of its own.

A sick GPU can block NVML for minutes, in a way that no thread can be pulled out of. So gpuctl asks in a child
process and reads line by line: what came before the deadline counts.

Lines: {"driver": …, "nvml": …, "cuda": …, "count": n} then one per GPU, in index order, or {"error": …, "code": n}
when NVML cannot start; a code below 0 is a failure of our own, which says nothing of the driver. A value that NVML
refuses to tell is absent from its line; a GPU that cannot be asked at all is {"index": i, "error": …}.
"""

from __future__ import annotations

import json
import sys

TYPE_CHECKING = False  # a tenth of the time that this process takes would go by for typing
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Tuple

LIBRARY = "libnvidia-ml.so.1"
LIBRARY_NOT_FOUND = 12
"""NVML_ERROR_LIBRARY_NOT_FOUND (nvml.h)."""
# nvml.h, nvmlBrandType_t, spelt as libnvidia-container spells them in the images' brand conditions; from 17 on it has
# no spelling, and they are spelt alike.
BRANDS = {
    0: "unknown",
    1: "quadro",
    2: "tesla",
    3: "nvs",
    4: "grid",
    5: "geforce",
    6: "titan",
    7: "vapps",
    8: "vpc",
    9: "vcs",
    10: "vws",
    11: "cloudgaming",
    12: "quadrortx",
    13: "nvidiartx",
    14: "nvidia",
    15: "geforcertx",
    16: "titanrtx",
    17: "nvidiadla",
    18: "vgamedev",
    19: "nvidianpu",
}

# nvml.h, NVML_GPU_FABRIC_STATE_*; 0 is "not supported".
FABRIC_STATES = {1: "not started", 2: "in progress", 3: "completed"}


def main() -> None:
    """Prints the lines. Ends with status 0 even when NVML fails: that is an answer, not an error of ours."""
    if not _has_library():  # pynvml would say so too, once it has loaded, which takes longer than all the rest
        _say({"error": "NVML Shared Library Not Found", "code": LIBRARY_NOT_FOUND})
        return
    _spare_search()
    try:
        import pynvml
    except ImportError:
        _say({"error": "nvidia-ml-py is not installed", "code": -1})
        return
    try:
        pynvml.nvmlInit()
        _say(_system(pynvml))
        for index in range(pynvml.nvmlDeviceGetCount()):
            _say(_gpu(pynvml, index))
    except pynvml.NVMLError as error:
        _say({"error": _decoded(str, error), "code": getattr(error, "value", -1)})
    except Exception as error:
        _say({"error": "NVML's answer is not understood: %s" % error, "code": -1})


def _has_library() -> bool:
    import ctypes

    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


def _spare_search() -> None:
    """Has ctypes.util loaded when it is asked for a library, and not before.

    pynvml takes a function from it that it never calls (12.535.161 to 13.590.44), and to load what that needs takes a
    quarter of this process.
    """
    spared = type(sys)("ctypes.util")
    spared.find_library = _find_library  # type: ignore[attr-defined]
    sys.modules[spared.__name__] = spared


def _find_library(name: str) -> Any:
    del sys.modules["ctypes.util"]
    from ctypes.util import find_library

    return find_library(name)


def _say(line: Dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def _system(nvml: Any) -> Dict[str, Any]:
    cuda = _told(nvml, nvml.nvmlSystemGetCudaDriverVersion)
    return _known(
        driver=_told(nvml, nvml.nvmlSystemGetDriverVersion),
        nvml=_told(nvml, nvml.nvmlSystemGetNVMLVersion),
        cuda=None if cuda is None else "%d.%d" % (cuda // 1000, cuda % 1000 // 10),
        count=nvml.nvmlDeviceGetCount(),
    )


def _gpu(nvml: Any, index: int) -> Dict[str, Any]:
    try:
        device = nvml.nvmlDeviceGetHandleByIndex(index)
        name = _decoded(nvml.nvmlDeviceGetName, device)
    except nvml.NVMLError as error:
        return {"index": index, "error": _decoded(str, error)}
    capability = _told(nvml, nvml.nvmlDeviceGetCudaComputeCapability, device)
    pci = _told(nvml, nvml.nvmlDeviceGetPciInfo, device)
    memory = _told(nvml, nvml.nvmlDeviceGetMemoryInfo, device)
    mig = _told(nvml, nvml.nvmlDeviceGetMigMode, device)
    return _known(
        index=index,
        name=name,
        uuid=_told(nvml, nvml.nvmlDeviceGetUUID, device),
        pci=None if pci is None else _plain(pci.busId).lower(),
        compute_capability=None if capability is None else "%d.%d" % tuple(capability),
        brand=BRANDS.get(_told(nvml, nvml.nvmlDeviceGetBrand, device)),
        memory=None if memory is None else memory.total,
        mig=None if mig is None else bool(mig[0]),
        **_mig_devices(nvml, device, bool(mig and mig[0])),
        persistence=_told(nvml, nvml.nvmlDeviceGetPersistenceMode, device),
        minor=_told(nvml, nvml.nvmlDeviceGetMinorNumber, device),
        ecc_errors=_ecc_errors(nvml, device),
        fabric=_fabric(nvml, device),
        vbios=_told(nvml, nvml.nvmlDeviceGetVbiosVersion, device),
        ecc=_ecc_mode(nvml, device),
        power_limit=_told(nvml, nvml.nvmlDeviceGetPowerManagementLimit, device),
        pcie_width=_told(nvml, nvml.nvmlDeviceGetCurrPcieLinkWidth, device),
        pcie_generation=_told(nvml, nvml.nvmlDeviceGetMaxPcieLinkGeneration, device),
        nvlinks=_nvlinks(nvml, device),
        **_remapped(nvml, device),
    )


def _told(nvml: Any, ask: Callable[..., Any], *arguments: Any) -> Any:
    # Old drivers lack functions and consumer boards lack features: "not told" is an ordinary answer.
    try:
        return _decoded(ask, *arguments)
    except nvml.NVMLError:
        return None


def _decoded(ask: Callable[..., Any], *arguments: Any) -> Any:
    # pynvml decodes strictly, and what a board has in its memory need not be UTF-8.
    try:
        return ask(*arguments)
    except UnicodeDecodeError as error:
        return _plain(error.object)


def _ecc_errors(nvml: Any, device: Any) -> Any:
    kind = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
    return _told(nvml, nvml.nvmlDeviceGetTotalEccErrors, device, kind, nvml.NVML_VOLATILE_ECC)


def _fabric(nvml: Any, device: Any) -> Any:
    """Whether the GPU has joined its NVLink fabric; None where it has none, and of a driver that cannot tell."""
    from ctypes import byref

    told = nvml.c_nvmlGpuFabricInfo_t()
    asked = _told(nvml, nvml.nvmlDeviceGetGpuFabricInfo, device, byref(told))
    return None if asked is None else FABRIC_STATES.get(told.state)


def _remapped(nvml: Any, device: Any) -> Dict[str, bool]:
    rows: Tuple[int, ...] = _told(nvml, nvml.nvmlDeviceGetRemappedRows, device) or ()
    return {"remap_pending": bool(rows[2]), "remap_failed": bool(rows[3])} if len(rows) == 4 else {}


def _ecc_mode(nvml: Any, device: Any) -> Any:
    mode = _told(nvml, nvml.nvmlDeviceGetEccMode, device)
    return None if mode is None else bool(mode[0])


def _nvlinks(nvml: Any, device: Any) -> Any:
    """How many of its NVLinks are up; None where it has none, as nvml.h has it for links that are not there."""
    states = (_told(nvml, nvml.nvmlDeviceGetNvLinkState, device, link) for link in range(nvml.NVML_NVLINK_MAX_LINKS))
    known = [state for state in states if state is not None]
    return sum(state > 0 for state in known) if known else None


def _mig_devices(nvml: Any, device: Any, is_on: bool) -> Dict[str, Any]:
    """How many MIG devices there are where MIG is on, and the profile of each, "1g.5gb", as far as it is told."""
    places = range((_told(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, device) or 0) if is_on else 0)
    handles = [_told(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, device, place) for place in places]
    found = [handle for handle in handles if handle is not None]
    if not is_on:
        return {}
    told = [_told(nvml, nvml.nvmlDeviceGetAttributes, handle) for handle in found]
    profiles = sorted(mig_profile(one) for one in told if one is not None)
    return {"mig_devices": len(found), **({"mig_profiles": profiles} if len(profiles) == len(found) else {})}


def mig_profile(told: Any) -> str:
    """Returns a MIG device's profile as nvidia-smi calls it: 1g.5gb, or 1c.3g.20gb with one compute slice of three."""
    whole = "%dg.%dgb" % (told.gpuInstanceSliceCount, -(-told.memorySizeMB // 1024))
    if told.computeInstanceSliceCount == told.gpuInstanceSliceCount:
        return whole
    return "%dc.%s" % (told.computeInstanceSliceCount, whole)


def _plain(text: Any) -> Any:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def _known(**values: Any) -> Dict[str, Any]:
    return {name: _plain(value) for name, value in values.items() if value is not None}
