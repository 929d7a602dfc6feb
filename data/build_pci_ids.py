"""Writes pci_ids.jsonl: every NVIDIA GPU from Fermi on that a pci.ids file names.

Usage: python3 data/build_pci_ids.py /usr/share/misc/pci.ids

pci.ids holds no device class, so an entry counts as a GPU when its text is a chip's name alone or a chip's name and a
product in brackets; "GF100 High Definition Audio Controller" and "GB20B PCI bridge" are neither.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Iterator

HERE = Path(__file__).parent
ENTRY = re.compile(
    r"(?P<chip>[A-Z]{2}[0-9]{2,3}[A-Z]*)(?: / [A-Z0-9-]+)?(?: Engineering Sample)?(?: \[(?P<product>.+)\])?"
)
UNKNOWN_CHIPS = {"GB120": {"compute_capability": None, "architecture": "Blackwell"}}
"""What a row tells of a chip that the architectures do not name: of the others its name tells it."""


def chips() -> tuple[str, ...]:
    """Returns the beginnings of the names of all chips."""
    rows = [json.loads(line) for line in (HERE / "architectures.jsonl").read_text().splitlines()]
    return (*(chip for row in rows for chip in row["chips"]), *UNKNOWN_CHIPS)


def nvidia_entries(text: str) -> Iterator[tuple[str, str]]:
    """Yields device id and name of vendor 10de's entries."""
    section = text.split("\n10de  ", 1)[1]
    for line in section.split("\n")[1:]:
        if line and line[0] not in "\t#":
            return
        match = re.fullmatch(r"\t([0-9a-f]{4})  (.+)", line)
        if match:
            yield match[1], match[2]


def rows(text: str) -> Iterator[dict[str, str | None]]:
    """Yields a row for each GPU, in the order of the device ids."""
    known = chips()
    version = re.search(r"^#\s+Version: (\S+)", text, re.MULTILINE)
    source = f"pci.ids {version[1] if version else 'of unknown date'}"
    for device, name in nvidia_entries(text):
        entry = ENTRY.fullmatch(name)
        if entry is None or not name.startswith(known) or "NVSwitch" in name:
            continue
        yield {
            "device": device,
            "product": entry["product"] or entry["chip"],
            "chip": entry["chip"],
            **UNKNOWN_CHIPS.get(entry["chip"], {}),
            "source": source,
        }


if __name__ == "__main__":
    table = rows(Path(sys.argv[1]).read_text(encoding="utf-8"))
    lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in table)
    (HERE / "pci_ids.jsonl").write_text("".join(line + "\n" for line in lines))
