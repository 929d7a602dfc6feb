"""What an image says of itself: in its environment or, where nobody can read that, by its tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, lru_cache

from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.judge.rulings import resolve_cuda
from gpuctl.compat.knowledge.frameworks import NotKnown
from gpuctl.compat.knowledge.images import REPOSITORY, parse_tag
from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_PREFIX, _NOT_OURS = "NVIDIA_REQUIRE_", "NVIDIA_REQUIRE_JETPACK"
_NUMBER = r"(0|[1-9][0-9]*)"
_SEMANTIC = regex(rf"v?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}(?:[-+][0-9A-Za-z.+-]+)?)?)?")
_LONGEST_VERSION = 10
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
"""What Go's ParseBool takes for true."""


@dataclass(frozen=True)
class Expression:
    """A requirement on the host; `name` is the variable or option that carries it."""

    name: str
    text: str


@dataclass(frozen=True)
class Claims:
    """What an image says of itself. `source`: where that was read.

    `cuda` is as `resolve_cuda` takes it. `broken` says why the toolkit cannot tell what the image requires.
    `architectures` are Docker's names (amd64) of what there is of it; empty where that is not known. `unread`: why the
    image itself could not be read, a sentence. `for_cpu`: it is known to ask for no CUDA. `held` is what its tag says
    is in it ("pytorch"; "": nothing), `build` the build of that which the tag names, as far as it is known.
    `read`: the image itself was read, so it is there.
    """

    reference: str
    source: str
    cuda: str | None = None
    expressions: tuple[Expression, ...] = ()
    broken: str | None = None
    disabled: bool = False
    visible_devices: str | None = None
    capabilities: str | None = None
    architectures: tuple[str, ...] = ()
    unread: str | None = None
    for_cpu: bool = False
    held: str = ""
    build: Ask | None = None
    read: bool = False


def claims_of_env(reference: str, source: str, env: Mapping[str, str], architectures: tuple[str, ...] = ()) -> Claims:
    """Returns what an image's environment says, as the NVIDIA Container Toolkit reads it.

    Source: https://github.com/NVIDIA/nvidia-container-toolkit, internal/config/image/cuda_image.go
    """
    required = tuple(
        Expression(name, value)
        for name, value in env.items()
        if name.startswith(_PREFIX) and not name.startswith(_NOT_OURS)
    )
    version, broken = env.get("CUDA_VERSION", ""), None
    if version and not env.get("NVIDIA_REQUIRE_CUDA"):
        match = _SEMANTIC.fullmatch(version)
        required += (Expression("CUDA_VERSION", f"cuda>={match[1]}.{match[2] or 0}"),) if match else ()
        broken = None if match else f"its CUDA_VERSION is no version: {version[:40]!r}"
    return Claims(
        reference,
        source,
        _known_cuda(version),
        required,
        broken,
        env.get("NVIDIA_DISABLE_REQUIRE") in _TRUE,
        env.get("NVIDIA_VISIBLE_DEVICES"),
        env.get("NVIDIA_DRIVER_CAPABILITIES"),
        architectures,
        read=True,
    )


def _known_cuda(version: str) -> str | None:
    """Returns CUDA_VERSION as an update or a version: old images give a build (11.0.221) that no release is called."""
    match = _SEMANTIC.fullmatch(version)
    if match is None or len(version) > _LONGEST_VERSION:
        return None
    minor = f"{match[1]}.{match[2] or 0}"
    update = f"{minor}.{match[3]}"
    return update if match[3] and not resolve_cuda(update).unknown else minor


@dataclass(frozen=True)
class ImageRequirement:
    """NVIDIA_REQUIRE_CUDA of the nvidia/cuda images of one CUDA version, on some operating systems."""

    cuda: str
    architectures: tuple[str, ...]
    os: tuple[str, ...]
    expression: str
    source: str
    note: str | None = None


@cache
def image_requirements() -> tuple[ImageRequirement, ...]:
    """Returns the requirements of the images whose Dockerfiles are known, oldest CUDA first."""
    return load("image_requirements", ImageRequirement)


@lru_cache(maxsize=1024)
def claims_of_tag(reference: str, architecture: str = "amd64") -> Claims | None:
    """Returns what an image's tag says: for nvidia/cuda with the known requirement, for any other image the CUDA.

    None where its tag tells nothing.
    """
    tag = parse_tag(reference)
    if tag is None:
        return _of_framework(reference) or _of_publisher(reference)
    rows = [row for row in image_requirements() if row.cuda == tag.cuda and architecture in row.architectures]
    row = next((row for row in rows if tag.os in row.os), rows[0] if rows and tag.os is None else None)
    expressions = (Expression("NVIDIA_REQUIRE_CUDA", row.expression),) if row else ()
    return Claims(reference, f"the tag, by the grammar of {REPOSITORY}", tag.cuda, expressions)


def with_build(claims: Claims) -> Claims:
    """Returns what an image says of itself with the build that its tag names, which no environment tells."""
    told = _of_framework(claims.reference) or _of_publisher(claims.reference)
    if told is None or told.build is None:
        return claims
    return replace(claims, cuda=claims.cuda or told.cuda, held=told.held, build=told.build)


def unlisted_release(reference: str) -> str | None:
    """Returns why nothing is known of the release that an image's tag names, and which there are; None: it names none,
    or a known one. Without a full stop.
    """
    from gpuctl.compat.ask import publisher_tags
    from gpuctl.compat.ask.framework_images import image_ask

    try:
        image_ask(reference)
    except NotKnown as why:
        return str(why)
    except ValueError:
        return publisher_tags.unlisted_release(reference)
    return None


def _of_framework(reference: str) -> Claims | None:
    if ":" not in reference.rpartition("/")[2]:
        return None
    from gpuctl.compat.ask.framework_images import holds_framework, image_ask

    try:
        ask = image_ask(reference)
    except ValueError:
        return None
    held = "framework" if holds_framework(reference) else ""
    return Claims(reference, ask.source, ask.cuda, held=held, build=ask)


def _of_publisher(reference: str) -> Claims | None:
    from gpuctl.compat.ask.publisher_tags import publisher_claim

    told = publisher_claim(reference)
    if told is None:
        return None
    return Claims(reference, told.source, told.cuda, for_cpu=told.cuda is None, held=told.held, build=told.build)
