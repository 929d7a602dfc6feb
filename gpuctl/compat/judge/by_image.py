"""What an image itself rules, whatever the GPU: its platform, the GPUs and the driver capabilities it asks for."""

from __future__ import annotations

from functools import lru_cache

from gpuctl.compat.ask.framework_images import in_catalogue
from gpuctl.compat.ask.image_claims import Claims, unlisted_release
from gpuctl.compat.ask.publisher_tags import is_moving
from gpuctl.compat.judge.rulings import Ruling
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.compat.knowledge.images import delisted, is_cuda_image, lacks_tag
from gpuctl.compat.knowledge.jetpack import is_for_jetson, jetpack_of, l4t_of_image, of_tegra
from gpuctl.model import Reason, Verdict

_ENVIRONMENT = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html"
_TAGS = "https://docs.docker.com/reference/cli/docker/image/tag/"
_NVIDIAS_TAGS = "https://gitlab.com/nvidia/container-images/cuda/-/blob/master/doc/README.md"
_L4T = "https://catalog.ngc.nvidia.com/orgs/nvidia/containers/l4t-base"
_IGPU = "https://docs.nvidia.com/deeplearning/frameworks/install-pytorch-jetson-platform-release-notes/"
_THOR = "11.0"
"""From Thor on a Jetson runs what Arm servers run. Source: https://developer.nvidia.com/embedded/jetpack/downloads/archive-7.1.md"""
_NO_GPU = ("none", "void")


@lru_cache(maxsize=1024)
def image_rulings(claims: Claims, architecture: str | None, gpus: tuple[Gpu, ...] = ()) -> tuple[Ruling, ...]:
    """Returns what the image rules on a host of this architecture (Docker's name; None: not known) with these GPUs."""
    rules = (_unread, _no_such_tag, _unlisted, _delisted, _silent, _code, _moving, _visible, _compute, _disabled)
    about_host = (_platform(claims, architecture), _for_jetson(claims, gpus), _for_servers(claims, gpus))
    rulings = (*about_host, *(rule(claims) for rule in rules))
    return tuple(ruling for ruling in rulings if ruling)


def without_gpu(claims: Claims) -> Ruling:
    """Returns what holds on every GPU for an image that is for the CPU."""
    message = f"{claims.reference} is for the CPU: it asks for no CUDA, and uses no GPU."
    return Ruling(Verdict.COMPATIBLE, Reason("image.for-cpu", message, claims.source))


def _platform(claims: Claims, architecture: str | None) -> Ruling | None:
    if architecture is None or not claims.architectures or architecture in claims.architectures:
        return None
    message = f"{claims.reference} is for {', '.join(claims.architectures)}, and this host is {architecture}."
    return Ruling(Verdict.INCOMPATIBLE, Reason("image.platform", message, claims.source))


def _unread(claims: Claims) -> Ruling | None:
    if claims.unread is None:
        return None
    if claims.cuda is None and not claims.for_cpu:
        return Ruling(Verdict.UNKNOWN, Reason("image.unreadable", claims.unread, claims.source))
    message = f"Judged by its tag alone, since the image was not read: {claims.unread}"
    return Ruling(Verdict.COMPATIBLE, Reason("image.by-tag", message, claims.source))


def _code(claims: Claims) -> Ruling | None:
    if not claims.held or (claims.build and claims.build.tells_gpus):
        return None
    message = (
        f"For which GPUs the {claims.held} in {claims.reference} is built is not known here: it runs only if that has "
        "code for this GPU, whatever its CUDA."
    )
    return Ruling(Verdict.LIMITED, Reason("image.code-not-known", message, claims.source))


def _for_jetson(claims: Claims, gpus: tuple[Gpu, ...]) -> Ruling | None:
    if not is_for_jetson(claims.reference):
        return None
    l4t = l4t_of_image(claims.reference)
    row = jetpack_of(l4t) if l4t else None
    jetpack = f" (JetPack {row.jetpack}, CUDA {row.cuda})" if row else ""
    message = f"{claims.reference} is for a Jetson" + (f" with Jetson Linux {l4t}{jetpack}" if l4t else "")
    others = [gpu.name for gpu in gpus if gpu.compute_capability and not of_tegra([gpu.compute_capability])]
    source = row.source if row else _L4T
    if others:
        return Ruling(Verdict.INCOMPATIBLE, Reason("image.for-jetson", f"{message}, and {others[0]} is none.", source))
    message += ": cat /etc/nv_tegra_release tells which Jetson Linux a board has."
    return Ruling(Verdict.UNKNOWN, Reason("image.for-jetson", message, source))


def _for_servers(claims: Claims, gpus: tuple[Gpu, ...]) -> Ruling | None:
    boards = [gpu.name for gpu in gpus if gpu.compute_capability != _THOR and of_tegra([gpu.compute_capability])]
    if not boards or is_for_jetson(claims.reference) or not in_catalogue(claims.reference):
        return None
    message = (
        f"{claims.reference} is for servers, on Arm too: the images of the catalogue for {boards[0]} are those whose "
        "tags end in -igpu, of 23.11 and later."
    )
    return Ruling(Verdict.LIMITED, Reason("image.for-servers", message, _IGPU))


def _no_such_tag(claims: Claims) -> Ruling | None:
    lacks = None if claims.read else lacks_tag(claims.reference)
    return Ruling(Verdict.UNKNOWN, Reason("image.no-such-tag", lacks, _NVIDIAS_TAGS)) if lacks else None


def _unlisted(claims: Claims) -> Ruling | None:
    said = None if claims.read or claims.cuda or claims.for_cpu else unlisted_release(claims.reference)
    return Ruling(Verdict.UNKNOWN, Reason("image.release-not-known", f"{said}.", "gpuctl's tables")) if said else None


def _delisted(claims: Claims) -> Ruling | None:
    said = None if claims.read else delisted(claims.reference)
    return Ruling(Verdict.LIMITED, Reason("image.delisted", said, _NVIDIAS_TAGS)) if said else None


def _moving(claims: Claims) -> Ruling | None:
    if is_cuda_image(claims.reference) or not is_moving(claims.reference):
        return None
    message = (
        f"{claims.reference} is a moving tag: it names another image after the next release. Name a version, or the "
        "image's digest, to run what was judged."
    )
    return Ruling(Verdict.COMPATIBLE, Reason("image.moving", message, _TAGS))


def _silent(claims: Claims) -> Ruling | None:
    if claims.cuda or claims.expressions or claims.broken or claims.unread:
        return None
    message = f"{claims.reference} says nothing of CUDA: neither CUDA_VERSION nor NVIDIA_REQUIRE_CUDA is set in it."
    return Ruling(Verdict.COMPATIBLE, Reason("image.no-cuda", message, claims.source))


def _visible(claims: Claims) -> Ruling | None:
    if claims.visible_devices not in _NO_GPU:
        return None
    message = f"By itself it asks for no GPU (NVIDIA_VISIBLE_DEVICES={claims.visible_devices}): run it with --gpus all."
    return Ruling(Verdict.COMPATIBLE, Reason("image.no-gpu", message, _ENVIRONMENT))


def _compute(claims: Claims) -> Ruling | None:
    asked = {word.strip() for word in (claims.capabilities or "").split(",")} - {""}
    if not asked or asked & {"all", "compute"}:
        return None
    message = (
        f"It asks for the driver capabilities {', '.join(sorted(asked))} and not for compute: without libcuda no CUDA "
        "program runs in it. Run it with -e NVIDIA_DRIVER_CAPABILITIES=compute,utility."
    )
    return Ruling(Verdict.LIMITED, Reason("image.no-compute", message, _ENVIRONMENT))


def _disabled(claims: Claims) -> Ruling | None:
    if not claims.disabled:
        return None
    message = "It sets NVIDIA_DISABLE_REQUIRE: the toolkit does not check what it requires."
    return Ruling(Verdict.COMPATIBLE, Reason("gate.disabled", message, _ENVIRONMENT))
