"""What a registry serves: manifests, lists of manifests by platform, configurations.

https://github.com/opencontainers/image-spec (manifest.md, image-index.md, config.md) and
https://distribution.github.io/distribution/spec/manifest-v2-2/ for Docker's forms of the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from gpuctl.frozen import dataclass
from gpuctl.host.decode import object_in, objects_in, parse_object, text_in
from gpuctl.images.config import environment

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
_UNSPECIFIC = ("", "application/json", "application/octet-stream", "text/plain")
"""What a plain file server calls a manifest, which then says itself what it is."""
_DIGEST = re.compile(r"(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})")
_SHOWN = 80


@dataclass(frozen=True)
class Platform:
    """One entry of an index: the platform ("linux/arm64/v8"), and the digest of its manifest."""

    os: str
    architecture: str
    variant: str
    digest: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True)
class Index:
    """What a multi-platform image offers."""

    platforms: tuple[Platform, ...]


@dataclass(frozen=True)
class Manifest:
    """An image of one platform: the digest of its configuration."""

    config: str


@dataclass(frozen=True)
class Config:
    """What gpuctl reads of an image's configuration."""

    env: Mapping[str, str]
    os: str
    architecture: str
    container: Mapping[str, Any]


def parse_manifest(raw: bytes, content_type: str) -> Manifest | Index:
    """Returns what a registry gives for an image's name. Raises ValueError where it is no image.

    {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
     "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:…"}, "layers": []}
    """
    document = json_object(raw)
    kind = _kind(document, content_type.partition(";")[0].strip().lower())
    # One document that can be read as both would mean different images to different readers (CVE-2021-41190).
    if "manifests" in document and ("config" in document or "layers" in document):
        raise ValueError("it is a manifest and a list of manifests at once")
    if kind in INDEXES:
        return Index(tuple(_platforms(document)))
    config = object_in(document, "config")
    if text_in(config, "mediaType") not in CONFIGS:
        raise ValueError(f"it holds {_shown(text_in(config, 'mediaType'))}, not an image")
    return Manifest(_digest_in(config))


def parse_config(raw: bytes) -> Config:
    """Returns an image's configuration. Raises ValueError.

    {"os": "linux", "architecture": "amd64", "config": {"Env": ["PATH=/usr/bin"]}}
    """
    document = json_object(raw)
    config = object_in(document, "config")
    system, architecture = text_in(document, "os") or "", text_in(document, "architecture") or ""
    return Config(environment(config), system, architecture, config)


def choose(index: Index, architecture: str) -> Platform | None:
    """Returns what linux on `architecture` runs of an index: of several variants the oldest, which every host has."""
    ours = [one for one in index.platforms if (one.os, one.architecture) == ("linux", architecture)]
    return min(ours, key=lambda one: one.variant, default=None)


def digest_of(raw: bytes, like: str = "sha256:") -> str:
    """Returns the digest of a body, by the algorithm that another digest names."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, raw).hexdigest()}"


def is_digest(value: str) -> bool:
    """Returns whether this is a digest that gpuctl can verify."""
    return _DIGEST.fullmatch(value) is not None


def json_object(raw: bytes | str) -> dict[str, Any]:
    """Returns a JSON object that somebody else wrote. Raises ValueError."""
    return parse_object(raw)


def _kind(document: Mapping[str, Any], served_as: str) -> str:
    said = text_in(document, "mediaType") or ""
    if served_as.startswith(_SCHEMA_1) or document.get("schemaVersion") == 1:
        raise ValueError("it is in Docker's first format (schema 1), which says too little: push it again")
    kind = said if served_as in _UNSPECIFIC else served_as
    if kind not in (*INDEXES, *MANIFESTS):
        raise ValueError(f"it is {_shown(kind)}, not an image")
    if said not in ("", kind):
        raise ValueError(f"it is served as {_shown(kind)} and calls itself {_shown(said)}")
    return kind


def _platforms(document: Mapping[str, Any]) -> list[Platform]:
    """Without the attestations that BuildKit lists as manifests for the platform unknown/unknown."""
    entries = objects_in(document, "manifests")
    found = [_platform(entry) for entry in entries if text_in(entry, "mediaType") in (*MANIFESTS, *INDEXES)]
    return [one for one in found if one.os not in ("", "unknown")]


def _platform(entry: Mapping[str, Any]) -> Platform:
    told = object_in(entry, "platform")
    system, architecture, variant = (text_in(told, name) or "" for name in ("os", "architecture", "variant"))
    return Platform(system, architecture, variant, _digest_in(entry))


def _digest_in(descriptor: Mapping[str, Any]) -> str:
    digest = text_in(descriptor, "digest") or ""
    if not is_digest(digest):
        raise ValueError("it names a part by a digest that gpuctl cannot verify")
    return digest


def _shown(kind: str | None) -> str:
    return (kind or "")[:_SHOWN] or "of no type"
