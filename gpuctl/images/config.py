"""What an image says of itself, wherever it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpuctl.host.redact import without_secrets


class Unreadable(Exception):
    """An image's configuration could not be read. The message is one sentence that says why, free of secrets."""

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


@dataclass(frozen=True)
class ImageConfig:
    """An image's configuration. Its texts are the image's: untrusted."""

    reference: str
    """As it was typed."""
    env: Mapping[str, str]
    """The image's environment. Of a variable that is there twice, the last counts."""
    os: str
    """"linux"; "" where the image does not say."""
    architecture: str
    """In Docker's words: "amd64", "arm64"; "" where the image does not say."""
    platforms: tuple[str, ...]
    """What a multi-platform image offers ("linux/amd64", "linux/arm64/v8"); none for an image of one platform."""
    digest: str | None
    """In a registry, of what the reference names: the manifest, or the index. On this host, the image's id."""
    source: str
    """Where it was read."""


def environment(entries: Any) -> dict[str, str]:
    """Returns an image's environment. Raises ValueError where it is no list of texts.

    ["PATH=/usr/bin", "NVIDIA_REQUIRE_CUDA=cuda>=12.4"]
    """
    if entries is None:
        return {}
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError("its environment is no list of texts")
    pairs = (encodable(entry).partition("=") for entry in entries)
    return {name: value for name, equals, value in pairs if equals}


def text(document: Mapping[str, Any], name: str) -> str:
    """Returns a text in a document, "" where it has none. Raises ValueError where it is something else."""
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"its {name} is no text")
    return encodable(value or "")


def encodable(value: str) -> str:
    """JSON can hold half a character, which no output can."""
    return value.encode("utf-8", "replace").decode()
