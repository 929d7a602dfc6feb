"""The names of images: which registry, repository, tag and digest a person means.

Docker's rules: https://github.com/distribution/reference (regexp.go has the grammar, normalize.go what a short name
means). The Docker SDK splits names, but knows neither the grammar nor library/.
"""

from __future__ import annotations

import re

from gpuctl.frozen import dataclass

HUB = "docker.io"
_LENGTH_LIMIT = 1000
_NAME_LIMIT = 255
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_DIGEST = r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}"
_REFERENCE = re.compile(
    rf"(?P<registry>{_REGISTRY})/(?P<repository>{_PART}(?:/{_PART})*)"
    rf"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?(?:@(?P<digest>{_DIGEST}))?"
)
_IMAGE_ID = re.compile(r"(?:sha256:)?[a-f0-9]{64}")
_SHAPE = "[REGISTRY/]NAME[:TAG][@DIGEST]"


@dataclass(frozen=True)
class Reference:
    """An image's full name. `tag` is None where only a digest was given; where both were, the digest counts."""

    registry: str
    """A host, with a port where one was given: "docker.io", "localhost:5000"."""
    repository: str
    tag: str | None
    digest: str | None

    @property
    def host(self) -> str:
        """The registry without its port; an IPv6 address without its brackets."""
        bare = self.registry[1:].partition("]")[0]
        return bare if self.registry.startswith("[") else self.registry.partition(":")[0]

    @property
    def version(self) -> str:
        """What to ask the registry for: the digest, else the tag."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.registry}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """Returns the full name that Docker understands: `ubuntu` is docker.io/library/ubuntu:latest. Raises ValueError."""
    registry, rest = _split(text)
    match = _REFERENCE.fullmatch(f"{registry}/{rest}") if len(text) <= _LENGTH_LIMIT else None
    if is_image_id(text) or match is None or len(match["registry"] + match["repository"]) >= _NAME_LIMIT:
        raise ValueError(_complaint(text, rest))
    tag, digest = match["tag"], match["digest"]
    return Reference(match["registry"], match["repository"], tag if tag or digest else "latest", digest)


def is_image_id(text: str) -> bool:
    """Returns whether this is the full id of an image on a host, which no registry can be asked for."""
    return _IMAGE_ID.fullmatch(text) is not None


def _split(text: str) -> tuple[str, str]:
    """A first part is a registry where it has a dot, a port or an upper-case letter, or is localhost."""
    first, slash, rest = text.partition("/")
    if not slash or not (first == "localhost" or first != first.lower() or "." in first or ":" in first):
        first, rest = HUB, text
    registry = HUB if first == f"index.{HUB}" else first
    return registry, f"library/{rest}" if registry == HUB and "/" not in rest else rest


def _complaint(text: str, rest: str) -> str:
    if not text:
        return "the name of the image is empty"
    shown = text if len(text) <= _NAME_LIMIT else text[:_NAME_LIMIT] + "…"
    if is_image_id(text):
        return f"{shown!r} is the id of an image, not its name"
    name = rest.partition("@")[0].partition(":")[0]
    if name != name.lower():
        return f"{shown!r} is not the name of an image: upper case is for tags only"
    return f"{shown!r} is not the name of an image: give {_SHAPE}, such as nvidia/cuda:12.4.1-base-ubuntu22.04"
