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
# Jetson Thor was 10.1 in CUDA 12.8 and 12.9 and is 11.0 since. The compute capability of GB120 is not known.
NOT_A_CHIP_OF = {"10.1"}
UNKNOWN_CHIPS = {"GB120": (None, "Blackwell")}


def chips() -> dict[str, tuple[str | None, str]]:
    """Returns compute capability and architecture by chip, longest name first: GA10B is not GA102's family."""
    rows = [json.loads(line) for line in (HERE / "architectures.jsonl").read_text().splitlines()]
    known = {
        chip: (row["compute_capability"], row["architecture"])
        for row in rows
        if row["compute_capability"] not in NOT_A_CHIP_OF
        for chip in row["chips"]
    }
    return dict(sorted({**known, **UNKNOWN_CHIPS}.items(), key=lambda item: -len(item[0])))


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
        chip = next((chip for chip in known if name.startswith(chip)), None)
        if entry is None or chip is None or "NVSwitch" in name:
            continue
        capability, architecture = known[chip]
        yield {
            "device": device,
            "product": entry["product"] or entry["chip"],
            "chip": entry["chip"],
            "compute_capability": capability,
            **({} if capability else {"architecture": architecture}),
            "source": source,
        }


if __name__ == "__main__":
    table = rows(Path(sys.argv[1]).read_text(encoding="utf-8"))
    lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in table)
    (HERE / "pci_ids.jsonl").write_text("".join(line + "\n" for line in lines))
