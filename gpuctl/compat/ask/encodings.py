"""In which encoding a text file is, by how it begins: PowerShell's `>` writes UTF-16."""

from __future__ import annotations

import codecs

UTF16 = "utf-16"


def encoding_of(content: bytes) -> str:
    """Returns the codec that reads a file: UTF-16 where a byte order mark says so, UTF-8 otherwise."""
    return UTF16 if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
