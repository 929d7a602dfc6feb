"""What is wrong with a folder's tables over gpuctl's own, or with those of this run."""

from __future__ import annotations

from gpuctl.compat.tables.verify import Verified, verify
from gpuctl.frozen import dataclass
from gpuctl.host.places import VARIABLE
from gpuctl.tables.overlay import chosen_overlay, read_choice


@dataclass(frozen=True)
class Verification:
    """What `gpuctl data verify` found, and in which folder over gpuctl's own tables; None: in those alone."""

    folder: str | None
    verified: Verified
    notes: tuple[str, ...]


def verify_tables(folder: str | None) -> Verification:
    """Verifies a folder's tables over gpuctl's own, or those of this run. Raises NoTables and TablesRefused."""
    chosen = read_choice(VARIABLE, folder) if folder else chosen_overlay()
    if chosen is None:
        return Verification(None, verify(), ())
    return Verification(chosen.whole.folder, verify(chosen.overlay), chosen.notes)
