"""What the image that a stage begins with is, by its name: which CUDA, which release, whether it is for GPUs."""

from __future__ import annotations

from functools import lru_cache

from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.ask.question import Question, typed_cuda, with_image
from gpuctl.compat.knowledge.images import Tag, is_cuda_image, parse_tag
from gpuctl.compat.knowledge.lifetimes import Release, by_codename, releases
from gpuctl.compat.tables.loader import cuda_versions
from gpuctl.compat.versions import minor_of, parts
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_CATALOGUES = ("nvcr.io/nvidia/", "ufoym/deepo")
_IDS = {"ubi": "rhel", "rockylinux": "rocky", "oraclelinux": "ol", "amazonlinux": "amzn"}
"""How tags call what os-release calls otherwise."""
_SYSTEMS = "ubuntu|debian|centos|ubi|rockylinux|almalinux|fedora|oraclelinux|amazonlinux"
_SYSTEM = regex(rf"(?:^|[^a-z])({_SYSTEMS})[-_]?([0-9]{{1,4}}(?:\.[0-9]{{1,2}})?)(?![0-9.])")
_WORDS = regex(r"[a-z]+")
_GPU_WORDS = (
    "cuda",
    "cudnn",
    "gpu",
    "nvidia",
    "pytorch/pytorch",
    "tensorrt",
    "rapids",
    "vllm",
    "cupy",
    "triton",
    "ufoym/deepo",
)
_LABEL = regex(r"(?:^|[^a-z])cu[0-9]{2,3}")
_OF_CPUS = regex(r"(?:^|[^a-z])(?:cpu|rocm|xpu)(?![a-z])")
_PLAIN = frozenset(
    (
        *("ubuntu", "debian", "centos", "fedora", "rockylinux", "almalinux", "amazonlinux", "alpine", "python", "ros"),
        *("buildpack-deps", "continuumio/anaconda3", "continuumio/miniconda3", "continuumio/miniconda", "osrf/ros"),
        *("continuumio/anaconda", "condaforge/mambaforge", "condaforge/miniforge3", "mambaorg/micromamba"),
        *("phusion/baseimage", "jupyter/base-notebook", "jupyter/minimal-notebook", "jupyter/scipy-notebook"),
        *("jupyter/datascience-notebook", "archlinux", "archlinux/archlinux", "oraclelinux", "opensuse/leap"),
        *("opensuse/tumbleweed", "redhat/ubi8", "redhat/ubi9", "redhat/ubi10"),
    )
)
"""Images of which it is known that they say nothing of GPUs."""
_RED_HAT = "registry.access.redhat.com/"
_CUDA = regex(r"cuda[-_:]?v?([0-9]{1,2}\.[0-9]{1,2})|(?:^|[^a-z])cu(?:da)?([0-9]{2,3})(?![0-9.])")


@dataclass(frozen=True)
class NamedImage:
    """An image by its name. `cuda` is a version such as 12.4 or 12.4.1, None where the name does not tell.

    `of_gpus`: the name says that it is for GPUs. `plain`: it is known to say nothing of them. `tag` is that of
    nvidia/cuda alone.
    """

    reference: str
    tag: Tag | None
    cuda: str | None
    release: Release | None
    of_gpus: bool
    plain: bool
    nvidia_cuda: bool

    @property
    def minor(self) -> tuple[int, int] | None:
        """The CUDA version as (12, 4)."""
        return minor_of(self.cuda) if self.cuda else None

    @property
    def ask(self) -> Ask | None:
        """What it asks for as `gpuctl check` judges it: its CUDA, and the code of the build that its tag names."""
        if "$" in self.reference:
            return typed_cuda(self.cuda) if self.cuda else None
        from gpuctl.compat.ask.image_claims import claims_of_tag

        claims = claims_of_tag(self.reference)
        asks = with_image(Question(), claims).asks if claims else ()
        return next(iter(asks), typed_cuda(self.cuda) if self.cuda else None)

    @property
    def carries_compat(self) -> bool:
        """Whether the cuda-compat package of its CUDA is in it, as it is in NVIDIA's own images.

        Source: https://docs.nvidia.com/deeplearning/triton-inference-server/release-notes/rel-24-01.html
        """
        from gpuctl.compat.ask.framework_images import in_catalogue

        return self.nvidia_cuda or in_catalogue(self.reference)

    @property
    def sets_paths(self) -> bool:
        """Whether its PATH and LD_LIBRARY_PATH are known to name the folders of the driver and of CUDA."""
        return self.nvidia_cuda or self.cuda is not None


@lru_cache(maxsize=512)
def base_of(reference: str) -> NamedImage:
    """Returns what an image's name says."""
    lower = reference.lower()
    name, _, label = lower.partition("@")[0].partition(":")
    tag, ours = parse_tag(reference), is_cuda_image(reference)
    cpu = _OF_CPUS.search(label) is not None
    cuda = tag.cuda if tag else _of_catalogue(reference) or _cuda_in(lower)
    of_gpus = not cpu and (ours or any(word in lower for word in _GPU_WORDS) or bool(_LABEL.search(lower)))
    plain = name.removeprefix("docker.io/").removeprefix("library/") in _PLAIN or name.startswith(_RED_HAT)
    return NamedImage(reference, tag, cuda, _release(name, label), of_gpus, plain, ours)


def _of_catalogue(reference: str) -> str | None:
    """The CUDA version of a framework's image, whose tag is a month or says nothing of it."""
    if not reference.startswith(_CATALOGUES) or "$" in reference:
        return None
    from gpuctl.compat.ask.image_claims import claims_of_tag

    claims = claims_of_tag(reference)
    return claims.cuda if claims else None


def cuda_of_label(digits: str) -> str | None:
    """Returns the version that digits behind cu stand for: 12.1 of 121, 9.2 of 92; None where there is none (12)."""
    version = f"{digits[:-1]}.{digits[-1]}"
    return version if version in cuda_versions() else None


def _cuda_in(reference: str) -> str | None:
    versions = (found[1] or cuda_of_label(found[2]) for found in _CUDA.finditer(reference))
    return next((version for version in versions if version and version in cuda_versions()), None)


def _release(name: str, label: str) -> Release | None:
    """The release of the system in an image: by the image's name, a word of its tag, or a codename in it."""
    found = _SYSTEM.search(f"{name.rpartition('/')[2]}-{label}")
    if found:
        return _row(_IDS.get(found[1], found[1]), found[2])
    return next((by_codename()[word] for word in _WORDS.findall(label) if word in by_codename()), None)


def _row(id: str, version: str) -> Release | None:
    """The release's row; of an older one than a row whose support is over, which the table lacks, that row's end."""
    known = releases().get((id, version)) or releases().get((id, version.partition(".")[0]))
    if known:
        return known
    newer = [row for row in releases().values() if row.id == id and parts(row.version) > parts(version)]
    first = min(newer, key=lambda row: parts(row.version), default=None)
    return Release(id, version, first.end_of_life, first.source) if first else None
