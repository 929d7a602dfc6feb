"""From a framework's image to the CUDA version in it: NVIDIA's catalogue (NGC), and ufoym/deepo."""

from __future__ import annotations

import re
from dataclasses import replace

from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.knowledge.frameworks import ForCpu, FrameworkRelease, NotKnown, next_to_it, releases_of

DEEPO = "ufoym/deepo"
# The images whose monthly releases share a base, by NVIDIA's release notes of the frameworks.
_CATALOGUE = (
    "caffe",
    "cuda-dl-base",
    "digits",
    "jax",
    "mxnet",
    "paddlepaddle",
    "pytorch",
    "tensorflow",
    "tensorrt",
    "tritonserver",
)
# In these lies less than in the others, or another program, for which the notes say no, or an older, lowest GPU.
# Source: https://docs.nvidia.com/deeplearning/tensorrt/container-release-notes/rel_18.12.html
_FOR_OLDER_GPUS = ("cuda-dl-base", "tensorrt")
_LIBRARIES_ALONE = "cuda-dl-base"
"""As in nvidia/cuda there is nothing in it but what CUDA itself is for. Source: https://catalog.ngc.nvidia.com/orgs/nvidia/containers/cuda-dl-base"""
_LAST_MONTHS = {
    "tf1": ("TensorFlow 1", "23.03"),
    "tensorflow": ("TensorFlow", "25.02"),
    "mxnet": ("MXNet", "24.06"),
    "py2": ("Python 2", "19.10"),
}
"""What images of a name, or with such a word in their tag, have in them, and the last month of such. Sources:
https://github.com/NVIDIA/tensorflow/releases, and the last release in
https://docs.nvidia.com/deeplearning/frameworks/tensorflow-release-notes/ (of Python 2: rel_19.10) and
https://docs.nvidia.com/deeplearning/frameworks/mxnet-release-notes/"""
_DEEPO_CUDA = re.compile(r"cu[0-9]{2,3}")
_DEEPO_PLAIN = "cu113"  # what the tags hold that name no CUDA version


def is_image(text: str) -> bool:
    """Returns whether a text names an image ("ngc:24.05", "nvcr.io/nvidia/pytorch:24.05-py3"), not a package."""
    return " " not in text and "://" not in text and ("/" in text or text.split(":")[0] == "ngc")


def in_catalogue(reference: str) -> bool:
    """Returns whether a reference names an image of NVIDIA's catalogue that comes by the month."""
    maker, _, image = _name_and_tag(reference.partition("@")[0])[0].rpartition("/")
    return maker in ("ngc", "nvidia") and image in (*_CATALOGUE, "")


def holds_framework(reference: str) -> bool:
    """Returns whether a framework is in an image that `image_ask` knows, and not what frameworks are built on alone."""
    return _image(reference) not in _FOR_OLDER_GPUS


def _image(reference: str) -> str:
    """Returns an image's name without its maker and its tag."""
    return _name_and_tag(reference.partition("@")[0])[0].rpartition("/")[2]


def image_ask(reference: str) -> Ask:
    """Returns what an image asks for; without a tag, what its newest known release does.

    Raises ValueError for an image or a release that is not known, and ForCpu for one that is for the CPU.
    """
    tagged, _, digest = reference.partition("@")
    name, tag = _name_and_tag(tagged)
    if digest and not tag:
        raise ValueError(f"{reference!r} names no release: give the image with its tag")
    if name == DEEPO:
        return _deepo_ask(tag)
    if not in_catalogue(tagged):
        raise ValueError(
            f"{reference!r} is no framework's image that gpuctl knows: it knows {DEEPO}, ngc:MONTH, and "
            f"nvcr.io/nvidia/IMAGE:MONTH for {', '.join(_CATALOGUE)}"
        )
    ask = _catalogue_ask(tagged, tag)
    if holds_framework(tagged):
        return ask
    return replace(ask, codes=(), unjudged=() if _image(tagged) == _LIBRARIES_ALONE else (ask.by,))


def _name_and_tag(reference: str) -> tuple[str, str]:
    """Returns ("ngc/", "24.05") of ngc:24.05, ("ngc/pytorch", "24.05") of ngc:pytorch:24.05, else path and tag."""
    if reference.split(":")[0] == "ngc":
        image, _, tag = reference.removeprefix("ngc").removeprefix(":").partition(":")
        return (f"ngc/{image}", tag) if image and not image[0].isdigit() else ("ngc/", image)
    path, _, last = reference.rpartition("/")
    image, _, tag = last.partition(":")
    for registry in ("nvcr.io/", "docker.io/"):
        path = path.removeprefix(registry)
    return f"{path}/{image}", tag


def _catalogue_ask(reference: str, tag: str) -> Ask:
    releases = releases_of("ngc-trtllm" if "trtllm" in tag else "ngc")
    months = [release.version for release in releases]
    month = tag.partition("-")[0]
    if not month:
        return replace(_ask(releases[-1], f"{reference}:{months[-1]} (the newest known)"), has_compat=True)
    if month not in months:
        # Months are written so that they sort as text.
        near = next_to_it([known for known in months if known < month], [known for known in months if known > month])
        raise NotKnown(f"NGC release {month!r} is not known here: {near}")
    for word in (*tag.split("-"), _image(reference)):
        held, last = _LAST_MONTHS.get(word, ("", month))
        if month > last:
            raise NotKnown(f"NVIDIA's images of {held} end with {last}: there is no {reference}")
    return replace(_ask(releases[months.index(month)], reference), has_compat=True)


def _deepo_ask(tag: str) -> Ask:
    if "cpu" in tag:
        raise ForCpu(f"{DEEPO}:{tag} is for the CPU and asks for no CUDA")
    known = {release.version: release for release in releases_of(DEEPO)}
    named = _DEEPO_CUDA.search(tag)
    version = named[0] if named else "" if "py36" in tag or "py27" in tag else _DEEPO_PLAIN
    if version not in known:
        raise ValueError(
            f"which CUDA version {DEEPO}:{tag} holds is not known: the known tags end in {', '.join(known)}"
        )
    return _ask(known[version], f"{DEEPO}:{tag}" if tag else DEEPO)


def _ask(release: FrameworkRelease, by: str) -> Ask:
    cuda = release.cudas[-1]
    codes = release.codes(cuda)
    return Ask(cuda, by, release.source, codes=codes, unjudged=() if codes else (by,))
