"""The driver in an image: its libraries and programs, its packages, its installers."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from gpuctl.compat.knowledge.driver_parts import DriverPart, PartKind, driver_part
from gpuctl.dockerfile.packages import NamedPackage
from gpuctl.dockerfile.rules.engine import Found, Subject, base, rule
from gpuctl.dockerfile.shell import PlacedWord, ShellCommand
from gpuctl.dockerfile.source import shown
from gpuctl.dockerfile.stages import Stage
from gpuctl.dockerfile.words import Pair
from gpuctl.regex import regex

_PACKAGES = (
    *("nvidia-driver", "nvidia-current", "nvidia-kernel-", "nvidia-dkms-", "nvidia-headless-", "nvidia-utils-"),
    *("nvidia-compute-utils-", "nvidia-smi", "libcuda1", "libnvcuvid1", "libgl1-nvidia-", "nvidia-libopencl1"),
    *("nvidia-opencl-icd", "xserver-xorg-video-nvidia", "xorg-x11-drv-nvidia", "akmod-nvidia", "kmod-nvidia"),
    *("nvidia-kmod", "nvidia-x11-drv", "cuda-drivers", "cuda-runtime-", "libnvidia-"),
    *("nvidia-compute-G", "nvidia-computeG", "nvidia-gl-G", "nvidia-glG", "nvidia-video-G", "x11-video-nvidia"),
)
"""How packages that hold the driver or depend on it begin: Debian's, Ubuntu's, Fedora's, RPM Fusion's, ELRepo's,
openSUSE's and NVIDIA's own."""
_NO_PACKAGES = ("libnvidia-container", "libnvidia-ml-dev", "nvidia-kernel-common")
_OF_ARCH = regex(
    r"(?:lib32-)?(?:opencl-)?nvidia(?:-(?:\d{3}xx|beta|dkms|lts|open|utils|vulkan))*|cuda(?:-?\d+(?:\.\d+)?)?"
)
"""Arch's packages of the driver, its users' too, and the toolkit's, which depends on nvidia-utils
(https://www.archlinux.org/packages/extra/x86_64/nvidia-open-dkms/, https://aur.archlinux.org/packages/cuda-12.9)."""
_SYSTEMS = ("apt", "rpm", "pacman", "apk")
"""The managers of a distribution's packages."""
_OF_A_BRANCH = regex(r"nvidia-[0-9]{3}(?:-.*)?")
_OTHER_LIBRARY = regex(r"libnvidia-(?!container|egl-)[a-z0-9-]+\.so(?:\.[0-9.*]+)?")
"""Libraries of a driver that the toolkit does not mount; those of EGL's platforms are packages of their own."""
_META = regex(r"cuda(?:-([0-9]{1,2})[-.]([0-9]{1,2})(?:[-.][0-9.-]+)?)?")
"""The packages that bring the toolkit and the driver."""
_RUN_FILE = regex(r"NVIDIA-Linux-[A-Za-z0-9_]+-[^/]*\.run")
_FETCHERS = ("wget", "curl", "axel", "aria2c")
_CUDA_RUN_FILE = regex(r"cuda_[^/]*linux[^/]*(?:\.run)?")
_ONLY_PARTS = regex(r"--?(?:toolkit|samples|extract(?:=.*)?|help|tar|librarypath.*|defaultroot.*)")


@rule("dockerfile.driver-library")
def driver_libraries(subject: Subject) -> Iterator[Found]:
    """Finds files of the driver that are copied, moved, linked or fetched into a shipped stage."""
    for stage in subject.dockerfile.shipping:
        for step in stage.steps:
            if step.name in ("COPY", "ADD"):
                yield from _once(step.words, f"{step.name} puts {{}} of the driver into the image")
            for pair in step.pairs if step.name == "ENV" and "LIBRARY_PATH" in step.instruction.body.text else ():
                yield from _folder(pair)
            for command in step.commands if step.name == "RUN" else ():
                if command.program in ("cp", "mv", "install", "rsync"):
                    yield from _once(command.words[1:], f"{command.program} puts {{}} of the driver into the image")
                elif command.program == "ln":
                    yield from _link(command)


def _folder(pair: Pair) -> Iterator[Found]:
    """A search path with a folder of one driver version, which nobody maps any more, or with CUDA's stubs of one."""
    for folder in re.finditer(r"[^:\"'\s]+", pair.value or "") if pair.name == "LD_LIBRARY_PATH" else ():
        part = driver_part(folder[0])
        if part and part.kind is PartKind.FOLDER and not folder[0].startswith("/usr/local/nvidia"):
            what = "where a driver lies that is mapped by hand"
        elif folder[0].rstrip("/").endswith("/stubs"):
            what = "where a libcuda without function lies, for linkers only"
        else:
            continue
        start = pair.start + folder.start()
        yield Found(start, start + len(folder[0]), f"LD_LIBRARY_PATH names {shown(folder[0])}, {what}.")
        return


def _once(words: tuple[PlacedWord, ...], message: str) -> Iterator[Found]:
    """Tells the first word that is a part of the driver, and how many more are."""
    parts = [word for word in words if _in_driver(word.value)]
    if parts:
        name = shown(posixpath.basename(parts[0].value.rstrip("/")) or parts[0].value)
        more = f" and {len(parts) - 1} more" if len(parts) > 1 else ""
        yield Found(parts[0].start, parts[0].end, f"{message.format(name + more)}.")


def _in_driver(path: str) -> DriverPart | None:
    part = driver_part(path)
    if part is None and _OTHER_LIBRARY.fullmatch(posixpath.basename(path)):
        return DriverPart(PartKind.LIBRARY)
    return part if part and part.kind in (PartKind.LIBRARY, PartKind.PROGRAM) else None


def _link(command: ShellCommand) -> Iterator[Found]:
    """A link by a driver's name outside of the stubs: it is found before what the toolkit mounts, or leads nowhere."""
    paths = [word for word in command.words[1:] if not word.value.startswith("-")]
    if len(paths) < 2 or "/stubs" in paths[-1].value:
        return
    target, name = paths[0], paths[-1]
    led = _in_driver(name.value) or (_in_driver(target.value) and name.value.endswith("/"))
    if led:
        what = shown(posixpath.basename(name.value.rstrip("/")))
        stub = ", a stub without function," if "/stubs" in target.value else ""
        yield Found(name.start, name.end, f"ln makes {what}{stub} a file of the image, in the driver's place.")


@rule("dockerfile.driver-package")
def driver_packages(subject: Subject) -> Iterator[Found]:
    """Finds packages of the driver, and those that bring it along."""
    for stage in subject.dockerfile.shipping:
        for step in stage.steps:
            for one in step.installs:
                if one.manager in _SYSTEMS:
                    yield from _package(one, subject.dockerfile.source.text)
            for command in step.commands if step.name == "RUN" else ():
                if command.program == "ubuntu-drivers" and {"install", "autoinstall"} & {*command.values}:
                    word = command.words[0]
                    yield Found(word.start, word.end, "ubuntu-drivers installs the driver in the image.")


def _package(one: NamedPackage, text: str) -> Iterator[Found]:
    name, word = _plain_name(one), one.word
    if one.manager == "pacman" and name.startswith("cuda"):
        if _is_of_driver(one):
            instead = "of Arch no toolkit comes without it: build on nvidia/cuda"
            yield Found(word.start, word.end, f"{shown(name)} brings the driver along (nvidia-utils); {instead}.")
        return
    if _is_of_driver(one):
        yield Found(word.start, word.end, f"{shown(name)} is a package of the driver.")
        return
    meta = _META.fullmatch(name)
    if meta:
        version = f"{meta[1]}-{meta[2]}" if meta[1] else ""
        toolkit = f"cuda-toolkit-{version}" if version else "cuda-toolkit"
        exact = version and name == f"cuda-{version}" == text[word.start : word.end]
        edits = ((word.start, word.end, toolkit),) if exact else ()
        yield Found(word.start, word.end, f"{shown(name)} brings the driver along; {toolkit} does not.", edits)


def _plain_name(one: NamedPackage) -> str:
    name = one.name.removesuffix("*").rstrip("-.") if one.name.endswith("*") else one.name
    return name.removesuffix(":i386")


def _is_of_driver(one: NamedPackage) -> bool:
    name = _plain_name(one)
    if one.manager == "pacman":
        return _OF_ARCH.fullmatch(name) is not None
    ours = name.startswith(_PACKAGES) and not name.startswith(_NO_PACKAGES)
    return ours or _OF_A_BRANCH.fullmatch(name) is not None


def brings_driver(stage: Stage) -> bool:
    """Returns whether files or packages of the driver are put into a stage: its image is for GPUs."""
    return any(
        any(one.manager in _SYSTEMS and _is_of_driver(one) for one in step.installs)
        or (step.name in ("COPY", "ADD") and any(_in_driver(word.value) for word in step.words))
        for step in stage.all_steps
    )


def names_installer(stage: Stage) -> bool:
    """Returns whether a stage has to do with the driver's installer; it may be what puts the driver on a host."""
    return any(_RUN_FILE.search(step.instruction.body.text) for step in stage.all_steps)


@rule("dockerfile.driver-installer")
def driver_installers(subject: Subject) -> Iterator[Found]:
    """Finds the driver's .run file, copied or run, and a CUDA installer that is not kept from installing it."""
    for stage in subject.dockerfile.shipping:
        for step in stage.steps:
            if step.name in ("COPY", "ADD"):
                found = [word for word in step.words if _RUN_FILE.fullmatch(posixpath.basename(word.value))]
                if found:
                    message = f"{step.name} puts an installer of the driver into the image."
                    yield Found(found[0].start, found[0].end, message)
            elif step.name == "RUN":
                extracted = any({"-x", "--extract-only"} & {*command.values} for command in step.commands)
                yield from _first(_run_file(command) for command in step.commands if not extracted)


def _first(found: Iterator[Found | None]) -> Iterator[Found]:
    yield from [one for one in found if one][:1]


def _run_file(command: ShellCommand) -> Found | None:
    values = command.values
    if command.program in _FETCHERS:
        fetched = next((word for word in command.words if _RUN_FILE.fullmatch(posixpath.basename(word.value))), None)
        message = f"{shown(command.program)} fetches an installer of the driver."
        return Found(fetched.start, fetched.end, message) if fetched else None
    for word in command.words[:3]:
        name = posixpath.basename(word.value)
        if _RUN_FILE.fullmatch(name) and command.program in (name, "sh", "bash"):
            return Found(word.start, word.end, f"{shown(name)} installs the driver in the image.")
        if command.program in (name, "sh", "bash") and _CUDA_RUN_FILE.fullmatch(name) and len(values) > 1:
            driver = any(value in ("--driver", "-driver") for value in values)
            silent = any(value.startswith(("--silent", "-silent", "--s")) or value == "-noprompt" for value in values)
            if driver or (silent and not any(_ONLY_PARTS.fullmatch(value) for value in values)):
                return Found(word.start, word.end, f"{shown(name)} installs the driver too: it lacks --toolkit.")
    return None


@rule("dockerfile.cuda-compat")
def cuda_compat(subject: Subject) -> Iterator[Found]:
    """Finds cuda-compat packages older than the base's CUDA, and their folder on LD_LIBRARY_PATH for good."""
    for stage in subject.dockerfile.shipping:
        minor = base(stage).minor
        for step in stage.steps:
            for one in step.installs:
                found = re.fullmatch(r"cuda-compat-([0-9]{1,2})-([0-9]{1,2})", one.name)
                if found and minor and (int(found[1]), int(found[2])) < minor:
                    version = ".".join(map(str, minor))
                    message = f"{one.name} is older than the base's CUDA {version}, for which it does nothing."
                    yield Found(one.word.start, one.word.end, message)
            for pair in step.pairs if step.name == "ENV" else ():
                place = (pair.value or "").find("/compat")
                if pair.name == "LD_LIBRARY_PATH" and re.search(r"cuda[^:]*/compat(?:[:/\"']|$)", pair.value or ""):
                    start = pair.start + max(place, 0)
                    message = "cuda-compat stands on LD_LIBRARY_PATH for good: it hides a newer driver's own libcuda."
                    yield Found(start, start + len("/compat"), message)
