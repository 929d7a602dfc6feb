"""Where what a file was is kept: beside it, except where every file of its folder counts.

| folder | which files count |
| --- | --- |
| crio.conf.d | every one, whatever its name: crio.conf.d(5) |
| sources.list.d | .list and .sources; apt tells of each file whose name it does not know: sources.list(5) |
| containerd's imports | those that a pattern fits: engines/containerd/files.py looks before it writes |
| /etc/cdi | .json and .yaml: https://github.com/cncf-tags/container-device-interface, SPEC.md |
| yum.repos.d, zypp/repos.d | .repo: dnf.conf(5), zypper(8) |
"""

from __future__ import annotations

import posixpath

from gpuctl.facts.crio import FOLDER
from gpuctl.facts.packages.sources import APT_FOLDER

_EVERY_FILE = (FOLDER, APT_FOLDER)


def aside(path: str) -> str:
    """Returns the folder in which what that file was is kept, "" for its own."""
    return next((posixpath.dirname(folder) for folder in _EVERY_FILE if path.startswith(f"{folder}/")), "")
