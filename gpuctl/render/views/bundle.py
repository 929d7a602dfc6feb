"""What `gpuctl bundle` has put into a file: as text and as JSON."""

from __future__ import annotations

import hashlib

from gpuctl.command import command
from gpuctl.provision.bundle.archive import ZIPAPP, Manifest, manifest_fields
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import document


def bundle_json(manifest: Manifest, path: str, raw: bytes) -> str:
    """Returns what was written as JSON: the file, and what its manifest tells."""
    return document(
        "bundle",
        {"file": path, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest(), **manifest_fields(manifest)},
    )


def bundle_text(manifest: Manifest, path: str | None, size: int, key_file: str | None = None) -> Styled:
    """Returns what was written, and what to do with it on the hosts.

    `path` is None for stdout; `size` in bytes; `key_file` is the person's, which the hosts have to be given as well.
    """
    text = Styled(f"Wrote {plain(path or 'to stdout')}", "bold").append(f": {size / 1e6:.1f} MB for {manifest.os}, ")
    text.append(f"{manifest.architecture}.\n")
    text.append(f"From {plain(manifest.repository)}, signed by {manifest.fingerprint}:\n")
    text.append("".join(f"  {plain(one.name)} {plain(one.version)}\n" for one in manifest.packages))
    if path is None:
        return text
    takes = any(one.path == ZIPAPP for one in manifest.files)
    if takes:
        text.append("With gpuctl as a single file. On a host without it: ")
        text.append(f"{command('tar', '-xf', path, ZIPAPP)}\n", "cyan")
    begin = ("python3", ZIPAPP) if takes else ("gpuctl",)
    named = ("--key-file", key_file) if key_file else ()
    there = command(*begin, "install-runtime", "--from-bundle", path, *named)
    return text.append("There: ").append(f"{there}\n", "cyan")
