"""The writing half of the door: a folder for files that a program is to read, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from typing import Iterator, Mapping

from gpuctl.host.write.files import explained


@contextlib.contextmanager
def scratch(files: Mapping[str, bytes], private: bool = False) -> Iterator[str]:
    """Gives a new folder of these files, by relative path, that all may read, or only its owner. Raises FileProblem.

    All: apt reads its keys as a user without rights. A name that ends with "/" is a folder.
    """
    with explained("write in", tempfile.gettempdir()):
        folder = tempfile.mkdtemp(prefix="gpuctl-")
    try:
        with explained("write in", folder):
            os.chmod(folder, 0o700 if private else 0o755)
            for name, raw in files.items():
                _write(os.path.join(folder, name), raw)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(path: str, raw: bytes) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    if not path.endswith("/"):
        with open(path, "wb") as file:
            file.write(raw)
        os.chmod(path, 0o644)


def discard(folder: str) -> None:
    """Removes a folder and all that is in it, as far as that can be done."""
    shutil.rmtree(folder, ignore_errors=True)
