"""Regular expressions that are compiled where they are first used.

A run uses a third of those that it loads, and Python takes longer to compile one than to load a small file.
"""

from __future__ import annotations

import re

__all__ = ["regex"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import compile as regex
else:

    class regex:
        """What `re.compile` gives, as far as that is asked for."""

        def __init__(self, pattern, flags=0):
            self._made = pattern, flags

        def __getattr__(self, name):
            value = getattr(re.compile(*self._made), name)
            setattr(self, name, value)
            return value
