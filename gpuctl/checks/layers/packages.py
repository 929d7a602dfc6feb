"""Do the package manager's sources and packages let the toolkit be installed, and is it the one that is meant?"""

from __future__ import annotations

from gpuctl.checks.engine import Judgement, check, passed, warned
from gpuctl.checks.layers.docker import GPUS_FLAG_SINCE, at_least
from gpuctl.checks.remedies import as_root, install, remove_packages, upgrade_toolkit
from gpuctl.command import command, operands
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.system import DOCKER_ARCHITECTURES, System
from gpuctl.facts.packages.packages import REPLACED, TOOLKIT, Offer, Packages, is_whole
from gpuctl.facts.packages.sources import APT_LIST, Source, contradictions
from gpuctl.model import Disturbs, Evidence, Remedy

CUDA_KEY = "A4B469963BF863CC"
"""The key 3bf863cc of NVIDIA's CUDA repository since April 2022; 7fa2af80 before.
Source: https://developer.nvidia.com/blog/updating-the-cuda-linux-gpg-repository-key/"""


def _source(source: Source) -> Evidence:
    return Evidence(source.file, f"{source.uri} {source.suite} Signed-By: {source.signed_by or 'none'}")


@check("packages.sources-agree")
def sources_agree(system: System, packages: Packages) -> Judgement | None:
    """Apt refuses to do anything while one repository has two Signed-By: "Conflicting values set for option Signed-By".

    An old nvidia-docker.list or libnvidia-container.list beside a newer file is the usual cause.
    Source: https://github.com/NVIDIA/nvidia-container-toolkit/issues/170
    """
    sources = packages.sources.get()
    if packages.manager.get() != "apt" or sources is None:
        return None
    pairs = contradictions(sources, DOCKER_ARCHITECTURES.get(system.architecture.get() or "", ""))
    if not pairs:
        return passed("No two of apt's sources contradict each other", packages.sources)
    one, other = pairs[0]
    message = f"apt refuses to do anything: {one.uri} has one Signed-By in {one.file} and another in {other.file}."
    return warned(message, _source(one), _source(other), remedy=_disable(system, one, other))


def _disable(system: System, one: Source, other: Source) -> Remedy:
    """The one without a Signed-By goes, as the older way; a file that may hold more than that is not for a command."""
    old = other if one.signed_by else one
    if APT_LIST in (one.file, other.file) or one.file == other.file:
        return Remedy(f"Remove {one.uri} from {old.file}.")
    text = f"Put {old.file} out of use; it stays beside where it was."
    move = command("mv", *operands(old.file, f"{old.file}.disabled"))
    return Remedy(text, as_root(system, move, command("apt-get", "update")))


@check("packages.sources-whole")
def sources_whole(system: System, packages: Packages) -> Judgement | None:
    """For a distribution that it has no list for, nvidia.github.io sends a sentence, which curl saves as the list.

    Source: https://github.com/NVIDIA/nvidia-docker/issues/963
    """
    spoilt = packages.spoilt.get()
    if spoilt is None:
        return passed("No file of NVIDIA's sources holds an error page", packages.spoilt)
    text = "Remove the file, and take the list that serves every distribution."
    remove = as_root(system, command("rm", *operands(spoilt)))
    commands = (*remove, *install("toolkit", "", system, Disturbs.NOTHING).commands)
    remedy = Remedy(text, commands)
    return warned(f"{spoilt} holds an error page, and no sources.", packages.spoilt, remedy=remedy)


@check("packages.dpkg-whole")
def dpkg_whole(system: System, packages: Packages) -> Judgement | None:
    """After dpkg was interrupted, apt installs nothing until that is mended: dpkg(1), --audit."""
    if packages.manager.get() != "apt":
        return None
    if packages.interrupted.get() is None:
        return passed("dpkg ended all that it began", packages.interrupted)
    remedy = Remedy("Let dpkg end what it began.", as_root(system, command("dpkg", "--configure", "-a")), Disturbs.HOST)
    return warned(
        "dpkg was interrupted: apt installs nothing until that is mended.", packages.interrupted, remedy=remedy
    )


@check("packages.cuda-key")
def cuda_key(packages: Packages) -> Judgement | None:
    """NVIDIA's CUDA repository is signed by another key since April 2022; cuda-keyring brings it (NO_PUBKEY else).

    Source: https://developer.nvidia.com/blog/updating-the-cuda-linux-gpg-repository-key/
    """
    keys = packages.cuda_keys.get()
    if keys is None:
        return None
    if CUDA_KEY in keys:
        return passed("apt has the present key of NVIDIA's CUDA repository", packages.cuda_keys)
    text = "Install NVIDIA's package cuda-keyring, and remove the line of the repository that names no key."
    message = f"apt lacks the key {CUDA_KEY[8:].lower()} of NVIDIA's CUDA repository: apt-get update fails there."
    return warned(message, packages.cuda_keys, remedy=Remedy(text))


@check("packages.key-readable")
def key_readable(system: System, packages: Packages) -> Judgement | None:
    """apt reads keys as its user _apt: one that is closed to it counts as none: NO_PUBKEY.

    A key that was written under the umask 077 is such a one.
    Source: sources.list(5); https://github.com/NVIDIA/nvidia-docker/issues/1658
    """
    if packages.manager.get() != "apt":
        return None
    closed = packages.closed.get()
    if closed is None:
        return passed("apt's user may read the keys that its sources name", packages.closed)
    remedy = Remedy(
        "Let all read it.", as_root(system, command("chmod", "a+rX", *operands(closed)), command("apt-get", "update"))
    )
    message = (
        f"apt's own user may not read {closed}: the source that names it counts as not signed, and brings nothing."
    )
    return warned(message, packages.closed, remedy=remedy)


@check("packages.toolkit-preferred")
def toolkit_preferred(system: System, packages: Packages) -> Judgement | None:
    """Distributions have toolkit packages of their own, which a pin puts before NVIDIA's newer ones (Pop!_OS).

    Mixed, they do not fit together: "you have held broken packages".
    Source: https://github.com/NVIDIA/nvidia-docker/issues/1388
    """
    policy, installed = packages.policy.get(), packages.installed.get() or {}
    if policy is None and packages.manager.get() == "apt" and is_whole(installed):
        return passed("The toolkit is installed as a whole, and apt has no other to choose", *_versions(packages))
    nvidias, chosen = (policy.nvidias, policy.before_nvidias) if policy else (None, None)
    if not policy or not nvidias or not policy.candidate:
        return None
    if chosen is None:
        return passed(f"apt takes {TOOLKIT[0]} {policy.candidate} of NVIDIA's repository", packages.policy)
    message = f"apt puts {TOOLKIT[0]} {chosen.version} before {nvidias.version} of NVIDIA's repository."
    remedy = upgrade_toolkit(system, packages, "Install all of NVIDIA's packages.")
    return warned(message, *map(_offer, (chosen, nvidias)), remedy=remedy)


def _offer(offer: Offer) -> Evidence:
    return Evidence("apt-cache policy", f"{offer.version}: priority {offer.priority}, {', '.join(offer.places)}")


@check("packages.leftovers")
def leftovers(system: System, packages: Packages, docker: Docker, tegra: Tegra) -> Judgement | None:
    """nvidia-docker2 and nvidia-container-runtime ended with toolkit 1.14.0, and hold back a newer toolkit's packages.

    On a Jetson they are JetPack's own, which nvidia-container and nvidia-jetpack depend on.
    Source: https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/release-notes.html
    """
    installed = packages.installed.get()
    if not installed or not any(name in installed for name in TOOLKIT):
        return None
    if tegra.release.value or _has_no_gpus(docker):
        return None
    left = [name for name in REPLACED if name in installed and installed[name].version]
    seen = _versions(packages)
    if not left:
        return passed("No package is left of the time before the toolkit", *seen)
    text = "Remove what the toolkit replaces; /etc/docker/daemon.json stays."
    remedy = Remedy(text, remove_packages(system, *left))
    return warned(f"{' and '.join(left)} is installed, which the toolkit has replaced.", *seen, remedy=remedy)


def _versions(packages: Packages) -> list[Evidence]:
    installed = packages.installed.get() or {}
    return [Evidence(packages.installed.source, f"{name} {one.version}") for name, one in installed.items()]


def _has_no_gpus(docker: Docker) -> bool:
    """Whether this is a Docker from before --gpus, whose people need what nvidia-docker2 brings."""
    daemon = docker.daemon.value
    return daemon is not None and not at_least(daemon, GPUS_FLAG_SINCE)
