"""What of gpuctl records a host, and goes to where that is not installed: docs/develop/architecture.md."""

from __future__ import annotations

TRAVELS = (
    "__init__.py",
    *("bounds.py", "collector.py", "command.py", "documents.py", "frozen.py", "model.py", "regex.py"),
    *("facts", "host"),
)
