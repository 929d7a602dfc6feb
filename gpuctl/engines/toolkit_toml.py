"""The toolkit's config.toml as a document: single settings change, and all else stays as it is written."""

from __future__ import annotations

from gpuctl.engines.merge import Keys, Values
from gpuctl.engines.toml_shown import diff as toml_diff
from gpuctl.engines.toml_text import NotAccepted, set_values

__all__ = ["NotAccepted", "diff", "with_settings"]

_SHOWN = ("ldconfig", "root", "path", "mode", "user", "log-level", "runtimes")
"""Keys whose text is no secret. `environment` may hold anything."""


def with_settings(raw: bytes | None, changes: Values) -> bytes:
    """Returns the file with these settings. Raises NotAccepted."""
    return set_values(raw or b"", changes)


def diff(path: str, before: bytes | None, after: bytes | None) -> str:
    """Returns the unified diff of two contents, without what may be a secret."""
    return toml_diff(path, before, after, _is_public)


def _is_public(keys: Keys) -> bool:
    return keys[-1] in _SHOWN
