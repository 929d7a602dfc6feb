"""What Ansible says is wrong, as a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gpuctl.bounds import plain
from gpuctl.fleet.states import LETTERS

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_MESSAGE = re.compile(r"^(?=\[(?:WARNING|ERROR|DEPRECATION WARNING)\]|ERROR!)", re.MULTILINE)
_ERROR = re.compile(r"(?:\[ERROR\]:|ERROR!)\s*(.*)")
_MISMATCH = re.compile(r"Could not match supplied host pattern, ignoring: (.+)")
_UNPARSED = re.compile(r"Completely failed to parse inventory source (.+)")
_TRIED = re.compile(
    r"(?:Failed to parse inventory|Failed to parse \S+) with '?(\w+)'? plugin: (?:Failed to parse inventory: )?(.+)"
)


def sentence(said: str) -> str:
    """The first error that Ansible tells of, which says what is wrong; later ones say that it cannot go on."""
    told = list(_paragraphs(_ESCAPES.sub("", said)))
    errors = [found[1] for one in told if (found := _ERROR.match(one)) and found[1]]
    words = next(iter(errors), told[-1] if told else "")
    mismatch, unparsed = _MISMATCH.search(words), _UNPARSED.search(words)
    if mismatch:
        return f"No host or group of the inventory is called {plain(mismatch[1])}."
    if unparsed:
        return f"{plain(unparsed[1])} is no inventory: {_why(unparsed[1], told)}."
    return f"Ansible says: {plain(words[:LETTERS])}" if words else ""


def _paragraphs(said: str) -> Iterator[str]:
    """What is said at once: up to an empty line or the next message. Ansible up to 2.18 folds lines at 79 columns."""
    for message in _MESSAGE.split(said):
        first = message.strip().split("\n\n")[0]
        if first:
            yield " ".join(first.split())


def _why(path: str, told: Sequence[str]) -> str:
    """Every plugin for inventories has tried the file and says why not: the one counts that its name is meant for."""
    reasons = {found[1]: found[2] for one in told if (found := _TRIED.search(one))}
    meant = "yaml" if path.endswith((".yml", ".yaml", ".json")) else "script" if "script" in reasons else "ini"
    reason = reasons.get(meant) or next(iter(reasons.values()), "Ansible does not say why")
    return plain(reason[:LETTERS]).rstrip(".:")
