"""The kernel's side of the driver: modules loaded and installed, DKMS, Secure Boot."""

from __future__ import annotations

import re
from typing import FrozenSet, Optional, Tuple

from gpuctl.frozen import dataclass
from gpuctl.host.decode import dotted
from gpuctl.host.look.deadline import begin
from gpuctl.host.look.reading import Host, Outcome, Reading, fact, failure
from gpuctl.model import Fact
from gpuctl.regex import regex

OSRELEASE = "/proc/sys/kernel/osrelease"
MODULES = "/lib/modules"
_OF_NETWORKS = (
    *("iptable_raw", "iptable_nat", "iptable_filter", "iptable_mangle", "ip6table_raw", "ip6table_nat"),
    *("ip6table_filter", "ip6table_mangle", "xt_addrtype", "xt_conntrack", "xt_MASQUERADE", "veth"),
)
"""What Docker makes containers' networks of: moby, contrib/check-config.sh."""
WATCHED = frozenset(
    (
        *("nvidia", "nvidia_uvm", "nvidia_modeset", "nvidia_drm", "nouveau", "nova_core", "vfio_pci", "nvgpu"),
        *_OF_NETWORKS,
    )
)
FILE_NAMES = ("nvidia", "nvidia-current")
"""Names of the module's file: Debian's packages keep theirs as nvidia-current, and alias it."""
EFI = "/sys/firmware/efi"
SECURE_BOOT = EFI + "/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
"""The EFI global variable: UEFI specification, section 3.3."""
_MODULE_PATH = regex(r"^(\S*/nvidia(?:-current)?\.ko(?:\.[a-z]+)?):", re.MULTILINE)
_DKMS_LINE = regex(
    r"^(?P<module>[^\s,/:]+)(?:, |/)(?P<version>[^\s,:]+)(?:, (?P<kernel>[^\s,]+), [^\s:]+)?: (?P<state>[\w-]+)"
)


@dataclass(frozen=True)
class DkmsModule:
    """One line of `dkms status`. `kernel` is "" where the module was only added."""

    module: str
    version: str
    kernel: str
    state: str


@dataclass(frozen=True)
class Kernel:
    """What the running kernel has and could load."""

    modules: Fact[FrozenSet[str]]
    """Names of loaded modules, of those that are WATCHED."""
    module_file: Fact[str]
    """The nvidia module installed for the running kernel."""
    module_version: Fact[str]
    """The version of that file, which is not always the one that is loaded."""
    module_license: Fact[str]
    """Of that file: "NVIDIA" is the proprietary module, "Dual MIT/GPL" the open one."""
    dkms: Fact[Tuple[DkmsModule, ...]]
    """Its NVIDIA modules."""
    headers: Fact[str]
    """The directory of the running kernel's headers, where a module is built."""
    with_modules: Fact[Tuple[str, ...]]
    """Releases of which modules are installed; the running one is not among them once its package was replaced."""
    secure_boot: Fact[bool]


def probe_kernel(host: Host) -> Kernel:
    """Returns the kernel's modules as loaded, as installed, and what keeps them from being built or loaded."""
    dkms = begin(lambda: host.run(("dkms", "status")))
    file = module_file(host)
    return Kernel(
        modules=_modules(host),
        module_file=fact(file, lambda text: modinfo_field(text, "filename")),
        module_version=fact(file, module_version),
        module_license=fact(file, lambda text: modinfo_field(text, "license")),
        dkms=fact(dkms(), parse_dkms),
        headers=_headers(host),
        with_modules=fact(host.list(MODULES), lambda text: tuple(text.splitlines())),
        secure_boot=_secure_boot(host),
    )


def module_file(host: Host) -> Reading:
    """Returns what modinfo says of the nvidia module for the running kernel; absent when it has no such module."""
    for name in FILE_NAMES:
        reading = host.run(("modinfo", name))
        if reading.outcome is Outcome.ABSENT:
            return _module_by_index(host)
        if reading.ok or "not found" not in reading.detail:
            return reading
    return Reading("modinfo nvidia", Outcome.ABSENT, detail="Module nvidia not found")


def _module_by_index(host: Host) -> Reading:
    """Without modinfo: the file's name from depmod's index of the running kernel's modules, and no version."""
    release = host.read(OSRELEASE)
    if not release.ok:
        return release
    folder = "/lib/modules/" + release.text.strip()
    index = host.read(folder + "/modules.dep")
    if not index.ok:
        return index
    found = module_in_index(index.text)
    if not found:
        return Reading(index.source, Outcome.ABSENT, detail="no nvidia module")
    return Reading(index.source, Outcome.OK, "filename: %s/%s" % (folder, found))


def module_in_index(text: str) -> Optional[str]:
    """Returns the nvidia module of depmod's index of a kernel's modules, None where it has none.

    updates/dkms/nvidia-uvm.ko: updates/dkms/nvidia.ko
    updates/dkms/nvidia.ko:
    """
    found = _MODULE_PATH.search(text)
    return found.group(1) if found else None


def modinfo_field(text: str, name: str) -> str:
    """Returns a field of modinfo's. Raises ValueError when it is not there.

    filename:       /lib/modules/6.1.0-18-amd64/updates/dkms/nvidia-current.ko
    version:        535.161.08
    license:        NVIDIA
    """
    for line in text.splitlines():
        field, _, value = line.partition(":")
        if field == name:
            return value.strip()
    raise ValueError("no " + name)


def module_version(text: str) -> str:
    """Returns the version that modinfo tells. Raises ValueError.

    version:        535.161.08
    """
    return dotted(modinfo_field(text, "version"))


def _modules(host: Host) -> Fact[FrozenSet[str]]:
    loaded = host.read("/proc/modules")
    if loaded.outcome is not Outcome.ABSENT:
        return fact(loaded, parse_modules)
    if not host.read(OSRELEASE).ok:
        return Fact(None, loaded.source, unknown="procfs is not mounted")
    built_in = host.list("/sys/module")  # a kernel that cannot load modules: its own parts are in sysfs
    if not built_in.ok and host.list("/sys/bus").outcome is Outcome.ABSENT:
        return Fact(None, built_in.source, unknown="sysfs is not mounted")
    return fact(built_in, parse_modules) if built_in.ok else Fact(frozenset(), loaded.source)


def parse_modules(text: str) -> FrozenSet[str]:
    """Returns the watched modules that are there, of /proc/modules or of the listing of /sys/module.

    nvidia_uvm 4694016 0 - Live 0x0000000000000000 (PO)
    nvidia 56709120 19 nvidia_uvm,nvidia_modeset, Live 0x0000000000000000 (PO)
    """
    return WATCHED & {line.split(" ", 1)[0] for line in text.splitlines()}


def parse_dkms(text: str) -> Tuple[DkmsModule, ...]:
    """Returns the NVIDIA modules that `dkms status` lists, in its order; dkms 3 has another form than its forerunners.

    nvidia, 418.87.00, 4.19.0-6-amd64, x86_64: installed
    nvidia-current/535.161.08, 6.1.0-18-amd64, x86_64: installed (WARNING! Diff between built and installed module!)
    nvidia/535.104.05: added
    """
    lines = filter(None, map(_DKMS_LINE.match, text.splitlines()))
    found = (DkmsModule(line["module"], line["version"], line["kernel"] or "", line["state"]) for line in lines)
    return tuple(module for module in found if module.module.startswith("nvidia"))


def _headers(host: Host) -> Fact[str]:
    release = host.read(OSRELEASE)
    if not release.ok:
        return fact(release, str)
    path = "%s/%s/build" % (MODULES, release.text.strip())
    return fact(host.stat(path), lambda _: path)


def _secure_boot(host: Host) -> Fact[bool]:
    variables = host.list(EFI)
    if variables.outcome is Outcome.ABSENT:
        firmware = host.list("/sys/firmware")
        if firmware.ok and not firmware.text:  # container engines cover it with an empty directory
            return Fact(None, EFI, unknown="/sys/firmware is hidden")
        return Fact(False, EFI)
    variable = host.read(SECURE_BOOT)
    if variable.ok and variable.text:
        return Fact(parse_secure_boot(variable.text), SECURE_BOOT)
    return _secure_boot_by_mokutil(host.run(("mokutil", "--sb-state")), variable)


def parse_secure_boot(text: str) -> bool:
    r"""Returns whether the EFI variable SecureBoot is on: four bytes of attributes, then the value.

    \x06\x00\x00\x00\x01
    """
    return text[-1] == "\x01"


def _secure_boot_by_mokutil(said: Reading, variable: Reading) -> Fact[bool]:
    state = parse_mokutil(said.text + said.detail)
    if state is not None:
        return Fact(state, said.source)
    return Fact(None, SECURE_BOOT, unknown=failure(variable))


def parse_mokutil(text: str) -> Optional[bool]:
    """Returns whether Secure Boot is on by `mokutil --sb-state`, None when it does not tell.

    SecureBoot enabled
    SecureBoot disabled
    This system doesn't support Secure Boot
    """
    if "SecureBoot enabled" in text:
        return True
    return False if "SecureBoot disabled" in text or "doesn't support Secure Boot" in text else None
