"""Another Ansible than the tests' own, on another Python where one is installed: as the lock has it."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from old_python import installed_python
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).parent / "requirements.lock"
ANSIBLE = "ansible-core"
COMPILED = frozenset(("cffi", "cryptography", "markupsafe", "pyyaml"))
"""What Ansible needs that is made for one Python. All else is pure Python, and serves from the tests' own packages."""
PYTHONS = ("3.14", "3.13", "3.12", "3.11", "3.10")


def other_ansible(folder: Path) -> str:
    """Returns the newest Python with another Ansible, in an environment of its own in a folder.

    Where none is installed, that is this Python with the oldest Ansible of the lock.
    """
    locked = [(_requirement(text), text) for text in _texts(LOCK.read_text())]
    ansibles = [(one, text) for one, text in locked if _name(one) == ANSIBLE]
    python, ansible = next(_candidates(ansibles), (sys.executable, ansibles[0][1]))
    compiled = [text for one, text in locked if _name(one) in COMPILED]
    environment, file = folder / "environment", folder / "needed.lock"
    file.write_text("".join((re.sub(r" ;[^\\]*", " ", ansible), *compiled)))
    subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True)
    ours = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--python", ours, "install")
    lean = ("--no-deps", "--no-compile", "--only-binary", ":all:", "--require-hashes", "-r", file)
    subprocess.run([*pip, *lean], check=True, capture_output=True, timeout=300)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "behind.pth").write_text(sysconfig.get_path("purelib"))
    return str(ours)


def _candidates(ansibles: Sequence[tuple[Requirement, str]]) -> Iterator[tuple[str, str]]:
    """Pythons that are installed here, each with the lock's Ansible for it, where that is not this Python's."""
    own = _for(ansibles, f"{sys.version_info.major}.{sys.version_info.minor}")
    for version in PYTHONS:
        python = installed_python(version)
        if python and _for(ansibles, version) != own:
            yield python, _for(ansibles, version)


def _for(ansibles: Sequence[tuple[Requirement, str]], version: str) -> str:
    here = {"python_full_version": f"{version}.0"}
    return next(text for one, text in ansibles if one.marker is None or one.marker.evaluate(here))


def _texts(lock: str) -> Iterator[str]:
    """Each package of a lock with its hashes."""
    yield from re.findall(r"^[A-Za-z0-9].*\n(?: .*\n)*", lock, re.MULTILINE)


def _requirement(text: str) -> Requirement:
    return Requirement(text.partition(" \\")[0])


def _name(one: Requirement) -> str:
    return canonicalize_name(one.name)
