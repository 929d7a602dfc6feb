"""The words by which containers ask for GPUs, read and written: --gpus, NVIDIA_VISIBLE_DEVICES, CDI names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gpuctl.migrate.migration import ALL, Gpus
from gpuctl.model import GPU_KIND
from gpuctl.regex import regex

NO_GPU = ("none", "void", "")
"""Values of NVIDIA_VISIBLE_DEVICES that ask for no GPU: none brings the driver's files all the same, the others nothing
(https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html)."""
USUAL = ("compute", "utility")
"""Capabilities that the toolkit brings where an image asks for none
(https://github.com/NVIDIA/nvidia-container-toolkit, internal/config/image/capabilities.go)."""
_ID = regex(r"\d{1,4}(?::\d{1,2})?|(?:GPU|MIG)-[0-9A-Za-z/-]+")
_MOST = 64
_FIELDS = ("driver", "count", "device", "capabilities", "options")
_INTEGER = regex(r"[+-]?\d{1,18}", re.ASCII)


def parse_gpus(value: str) -> Gpus | None:
    """Returns what Docker reads in a value of --gpus; None where it asks otherwise than for NVIDIA's GPUs.

    all
    "device=0,2",capabilities=utility
    count=2,driver=nvidia
    """
    import csv  # only where there is a --gpus

    try:
        fields = next(csv.reader([value], strict=True), [])
    except csv.Error:
        return None
    ids, count, capabilities = tuple[str, ...](), None, tuple[str, ...]()
    for number, field in enumerate(fields):
        key, equals, given = field.partition("=")
        if not equals and number == 0:
            key, given = "count", key
        if key == "count":
            count = -1 if given == ALL else int(given) if given.isdecimal() and int(given) <= _MOST else None
            if count is None or ids:
                return None
        elif key == "device" and count is None:
            ids = tuple(given.split(","))
        elif key == "capabilities":
            capabilities = tuple(one for one in given.split(",") if one not in ("gpu", "nvidia"))
        elif key != "driver" or given != "nvidia":
            return None
    if ids:
        return Gpus(ids, None, capabilities) if ids == (ALL,) or _all_known(ids) else None
    return None if count == 0 or not fields else Gpus((ALL,), count if count and count > 0 else None, capabilities)


def docker_refuses(value: str) -> bool:
    """Returns whether Docker's client takes no such value of --gpus (https://github.com/docker/cli, opts/gpus.go)."""
    import csv

    try:
        fields = next(csv.reader([value], strict=True), [])
    except csv.Error:
        return True
    seen = list[str]()
    for field in fields:
        key, equals, given = field.partition("=")
        name, number = (key, given) if equals else ("count", key)
        if name in seen or name not in _FIELDS:
            return True
        if name == "count" and number != ALL and not _INTEGER.fullmatch(number):
            return True
        seen.append(name)
    return not fields


def parse_visible(value: str) -> Gpus | None:
    """Returns the GPUs that NVIDIA_VISIBLE_DEVICES or NV_GPU names, None for none and for what is not known.

    0,GPU-7d2b9c1e-0000-1111
    nvidia.com/gpu=all
    """
    ids = visible_names(value)
    return Gpus(ids) if ids == (ALL,) or (ids and _all_known(ids)) else None


def visible_names(value: str) -> tuple[str, ...]:
    """Returns what NVIDIA_VISIBLE_DEVICES names, by itself or as a CDI device."""
    return tuple(name.removeprefix(f"{GPU_KIND}=") for name in value.replace(" ", ",").split(",") if name)


def parse_cdi(names: Iterable[str]) -> Gpus | None:
    """Returns the GPUs of CDI names such as nvidia.com/gpu=0, None where one is none of NVIDIA's."""
    ids = tuple(dict.fromkeys(name.removeprefix(f"{GPU_KIND}=") for name in names))
    return Gpus((ALL,)) if ALL in ids else Gpus(ids) if ids and _all_known(ids) else None


def together(first: Gpus | None, second: Gpus | None) -> Gpus | None:
    """Returns the GPUs of both requests; None where a number of any is among them, and others are named beside it."""
    if first is None or second is None or first == second:
        return first or second
    capabilities = tuple(dict.fromkeys((*first.capabilities, *second.capabilities)))
    if (ALL in first.ids and first.count is None) or (ALL in second.ids and second.count is None):
        return Gpus((ALL,), None, capabilities)
    if first.count is not None or second.count is not None:
        return None
    ids = dict.fromkeys((*first.ids, *second.ids))
    return Gpus(tuple(sorted(ids, key=int) if all(map(str.isdecimal, ids)) else ids), None, capabilities)


def gpus_value(gpus: Gpus) -> str:
    """Returns the value of `docker run --gpus`; a list needs quotes of its own there, which the shell must leave."""
    asked = f"device={','.join(gpus.ids)}" if gpus.ids != (ALL,) else ALL if gpus.count is None else str(gpus.count)
    fields = [asked, *([f"capabilities={','.join(gpus.capabilities)}"] if gpus.capabilities else [])]
    return ",".join(f'"{field}"' if "," in field else field for field in fields)


def names(gpus: Gpus) -> tuple[str, ...]:
    """Returns the ids; of a number of any the first ones, as Docker takes them."""
    return gpus.ids if gpus.count is None else tuple(map(str, range(gpus.count)))


def cdi_names(gpus: Gpus) -> tuple[str, ...]:
    """Returns the CDI devices, as NVIDIA's own tools name them."""
    return tuple(f"{GPU_KIND}={name}" for name in names(gpus))


def _all_known(ids: Iterable[str]) -> bool:
    return all(_ID.fullmatch(one) for one in ids)
