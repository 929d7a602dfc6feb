"""What the tags of other publishers' images tell: which CUDA is in the image, that none is, that the tag moves."""

from __future__ import annotations

import re

from gpuctl.compat.knowledge.frameworks import releases_of, spelt_out
from gpuctl.compat.tables.loader import cuda_versions
from gpuctl.compat.versions import parts
from gpuctl.frozen import dataclass

_DOTTED = re.compile(r"(?:^|[-_.])cuda[-_]?([0-9]{1,2}(?:[.-][0-9]{1,2}(?:\.[0-9]{1,2})?)?)(?=$|[-_]|\.(?![0-9]))")
"""cuda12.1, cuda12.1.1, cuda-10-1 and cuda12, of pytorch/pytorch, rapidsai/base, nvcr.io/nvidia/k8s/cuda-sample and
many others. Sources: https://hub.docker.com/r/pytorch/pytorch/tags, https://github.com/rapidsai/docker, README.md"""
_SHORT = re.compile(r"(?:^|[-_.])cu([0-9]{2,3})(?=$|[-_.])")
"""cu129, of vllm/vllm-openai and Google's Deep Learning Containers.
Sources: https://github.com/vllm-project/vllm/issues/42738, https://huggingface.co/docs/google-cloud/containers"""
_MOVING = {"latest", "nightly", "main", "master", "stable", "edge"}
_TENSORFLOW = "tensorflow/tensorflow"
"""Its tags are VERSION, of the build for the CPU, and VERSION-gpu. Source: https://www.tensorflow.org/install/docker"""
_TENSORFLOW_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


@dataclass(frozen=True)
class TagClaim:
    """The CUDA version that a tag tells, None: it is for the CPU. `source`: by what."""

    cuda: str | None
    source: str


def publisher_claim(reference: str) -> TagClaim | None:
    """Returns what a tag tells of the image's CUDA; None for one that tells nothing of it."""
    repository, tag = _repository_and_tag(reference)
    dotted, short = _DOTTED.search(tag), _SHORT.search(tag)
    named = dotted[1].replace("-", ".") if dotted else spelt_out(short[1]) if short else None
    told = _least(named) if named else None
    if told:
        return TagClaim(told, f"its tag, which names CUDA {named}")
    return _of_tensorflow(tag) if repository == _TENSORFLOW else None


def is_moving(reference: str) -> bool:
    """Returns whether a reference names whatever image is the newest at the time: by such a word in its tag, or by
    having neither tag nor digest.
    """
    _, tag = _repository_and_tag(reference)
    return "@" not in reference and bool(_MOVING & set(re.split(r"[-_.]", tag or "latest")))


def _repository_and_tag(reference: str) -> tuple[str, str]:
    path, slash, last = reference.partition("@")[0].rpartition("/")
    name, _, tag = last.partition(":")
    return (path + slash + name).removeprefix("docker.io/"), tag


def _least(cuda: str) -> str | None:
    """Returns the least that a tag asks for: of a major version alone its first minor version; None for no version."""
    if "." not in cuda:
        return min((known for known in cuda_versions() if known.split(".")[0] == cuda), key=parts, default=None)
    return cuda if ".".join(cuda.split(".")[:2]) in cuda_versions() else None


def _of_tensorflow(tag: str) -> TagClaim | None:
    version = _TENSORFLOW_VERSION.match(tag)
    if version is None:
        return None
    if "gpu" not in tag.split("-"):
        return TagClaim(None, "https://www.tensorflow.org/install/docker")
    minor = version[0].rpartition(".")[0] + "."
    known = [release for release in releases_of("tensorflow-gpu", "tensorflow") if release.version.startswith(minor)]
    release = next((one for one in known if one.version == version[0]), known[-1] if known else None)
    return TagClaim(release.cudas[-1], release.source) if release and release.cudas else None
