"""What the tags of other publishers' images tell: which CUDA and which framework's build is in the image, that none
is, that the tag moves.
"""

from __future__ import annotations

import re

from gpuctl.compat.ask.asks import Ask, OwnCode, release_ask
from gpuctl.compat.knowledge.frameworks import FrameworkRelease, next_to_it, release_covering, releases_of, spelt_out
from gpuctl.compat.knowledge.indirect import indirect_packages
from gpuctl.compat.knowledge.package_code import release_code
from gpuctl.compat.tables.loader import cuda_versions
from gpuctl.compat.versions import leading, parts
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_DOTTED = regex(r"(?:^|[-_.])cuda[-_]?([0-9]{1,2}(?:[.-][0-9]{1,2}(?:\.[0-9]{1,2})?)?)(?=$|[-_]|\.(?![0-9]))")
"""cuda12.1, cuda12.1.1, cuda-10-1 and cuda12, of pytorch/pytorch, rapidsai/base, nvcr.io/nvidia/k8s/cuda-sample and
many others. Sources: https://hub.docker.com/r/pytorch/pytorch/tags, https://github.com/rapidsai/docker, README.md"""
_SHORT = regex(r"(?:^|[-_.])cu([0-9]{2,3})(?=$|[-_.])")
"""cu129, of vllm/vllm-openai and Google's Deep Learning Containers.
Sources: https://github.com/vllm-project/vllm/issues/42738, https://huggingface.co/docs/google-cloud/containers"""
_MOVING = {"latest", "nightly", "main", "master", "stable", "edge"}
_OF_NO_RELEASE = regex(r"(?:cuda[0-9]{0,2}|[^0-9])+")
"""server-cuda and server-cuda13, beside which each build has its own, server-cuda13-b9445.
Source: https://github.com/ggml-org/llama.cpp/blob/master/docs/docker.md"""
_VERSION = regex(r"(?:^|[-_])v?([0-9]{1,9}\.[0-9]{1,9}(?:\.[0-9]{1,9})?(?:\.post[0-9]{1,9})?)(?=$|[-_])")
"""2.3.1 of pytorch/pytorch:2.3.1-cuda12.1-cudnn8-runtime and mosaicml/pytorch:2.3.1_cu121-python3.11-ubuntu20.04,
0.10.2 of vllm/vllm-openai:v0.10.2-cu129, 25.08 of rapidsai/base:25.08-cuda12-py3.12."""
_TENSORFLOW = "tensorflow/tensorflow"
"""Its tags are VERSION, of the build for the CPU, and VERSION-gpu. Source: https://www.tensorflow.org/install/docker"""
_HELD = {
    "pytorch": "pytorch",
    "torch": "pytorch",
    "tensorflow": "tensorflow",
    "vllm": "vllm",
    "sglang": "sglang",
    "rapidsai": "rapids",
}
"""What an image holds that has such a word in its name. The tags of pytorch/pytorch and of those made like it begin
with PyTorch's version, as those of vllm/vllm-openai, lmsysorg/sglang and rapidsai/base do with that of theirs.
Sources: https://hub.docker.com/r/pytorch/pytorch/tags, https://hub.docker.com/r/vllm/vllm-openai/tags,
https://hub.docker.com/r/lmsysorg/sglang/tags, https://github.com/rapidsai/docker, README.md"""


@dataclass(frozen=True)
class TagClaim:
    """The CUDA version that a tag tells, None: it is for the CPU. `source`: by what.

    `held` is what the image is known to hold, `build` the build of it that the tag names, as far as it is known.
    """

    cuda: str | None
    source: str
    held: str = ""
    build: Ask | None = None


def publisher_claim(reference: str) -> TagClaim | None:
    """Returns what a tag tells of the image's CUDA; None for one that tells nothing of it."""
    repository, tag = _repository_and_tag(reference)
    dotted, short = _DOTTED.search(tag), _SHORT.search(tag)
    named = dotted[1].replace("-", ".") if dotted else spelt_out(short[1]) if short else None
    told = _least(named) if named else None
    if told is None:
        return _of_tensorflow(tag) if repository == _TENSORFLOW else None
    words = re.split(r"[-_/.:]", repository)
    held = next((held for word, held in _HELD.items() if word in words), "")
    return TagClaim(told, f"its tag, which names CUDA {named}", held, _build(held, tag, told))


def unlisted_release(reference: str) -> str | None:
    """Returns why nothing is known of the release that a tag of TensorFlow's own images names, without a full stop."""
    repository, tag = _repository_and_tag(reference)
    version = _VERSION.match(tag) if repository == _TENSORFLOW else None
    if version is None or _of_tensorflow(tag):
        return None
    rows, number = _for_gpus("tensorflow"), parts(leading(version[1]))
    older = [one.until or one.version for one in rows if parts(one.version) < number]
    newer = [one.version for one in rows if parts(one.version) > number]
    return f"TensorFlow {version[1]} is not known here: {next_to_it(older, newer)}"


def is_moving(reference: str) -> bool:
    """Returns whether a reference names whatever image is the newest at the time: by such a word in its tag, by a tag
    without the number of any release, or by having neither tag nor digest.
    """
    _, tag = _repository_and_tag(reference)
    words = set(re.split(r"[-_.]", tag or "latest"))
    return "@" not in reference and (bool(_MOVING & words) or _OF_NO_RELEASE.fullmatch(tag) is not None)


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
    version = _VERSION.match(tag)
    if version is None:
        return None
    if "gpu" not in tag.split("-"):
        return TagClaim(None, "https://www.tensorflow.org/install/docker")
    release = _release("tensorflow", version[1])
    if release is None:
        return None
    return TagClaim(release.cudas[-1], release.source, "tensorflow", release_ask(release, release.cudas[-1]))


def _release(framework: str, version: str) -> FrameworkRelease | None:
    """Returns a release for GPUs; None for one that the table lacks."""
    return release_covering(leading(version), _for_gpus(framework))


def _for_gpus(framework: str) -> list[FrameworkRelease]:
    """Returns a framework's releases for GPUs, oldest first; where two packages have one, tensorflow's is the last."""
    rows = releases_of("tensorflow-gpu", "tensorflow") if framework == "tensorflow" else releases_of(framework)
    return sorted(
        (release for release in rows if release.cudas), key=lambda one: (parts(one.version), one.framework == framework)
    )


def _build(held: str, tag: str, cuda: str) -> Ask | None:
    """Returns the build that is in an image with a CUDA version: of a framework, or of a package and what it pins."""
    version = _VERSION.search(tag)
    if not held or version is None:
        return None
    row, code = indirect_packages().get(held), release_code(held, version[1], is_wheel=False)
    pinned = row.pinned(version[1]) if row else ""
    framework, _, pin = pinned.partition("==")
    release = _release(_HELD[framework], pin) if pinned else _release(held, version[1])
    build = release.build_for(".".join(cuda.split(".")[:2])) if release else None
    by = f"{held} {version[1]}"
    own = (OwnCode(by, code),) if code else ()
    if release is None or build is None:
        return Ask(cuda, by, code.source, beside=own) if code else None
    codes = release.codes(build)
    unjudged = () if codes else (by,)
    return Ask(cuda, by, release.source, None if pinned else release, codes, beside=own, unjudged=unjudged)
