"""The toolkit's config.toml as a document: single settings change, and all else stays as it is written."""

from __future__ import annotations

from gpuctl.engines.merge import Values
from gpuctl.engines.toml.shown import diff
from gpuctl.engines.toml.text import NotAccepted, set_values

__all__ = ["NotAccepted", "diff", "with_settings"]


def with_settings(raw: bytes | None, changes: Values) -> bytes:
    """Returns the file with these settings. Raises NotAccepted."""
    return set_values(raw or b"", changes)
