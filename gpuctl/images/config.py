"""What an image says of itself, wherever it was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuctl.frozen import dataclass
from gpuctl.host.decode import texts_in
from gpuctl.host.record.redact import without_secrets


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
    container: Mapping[str, Any]
    """What it says of its containers, as it stands: `parse_run` reads it."""


def environment(config: Mapping[str, Any]) -> dict[str, str]:
    """Returns an image's environment. Raises ValueError where it is no list of texts.

    {"Env": ["PATH=/usr/bin", "NVIDIA_REQUIRE_CUDA=cuda>=12.4"]}
    """
    pairs = (entry.partition("=") for entry in texts_in(config, "Env"))
    return {name: value for name, equals, value in pairs if equals}
