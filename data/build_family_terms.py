"""Writes data/family_terms.json anew from the tables: in how many lines of which families each term stands.

A test compares.
"""

from __future__ import annotations

from pathlib import Path

from gpuctl.diagnose.family_terms import FILE, text

if __name__ == "__main__":
    Path(__file__).with_name(FILE).write_text(text(), encoding="utf-8")
