"""What Ansible says is wrong, as a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gpuctl.bounds import plain
from gpuctl.fleet.inventory import passed_over
from gpuctl.fleet.states import LETTERS
from gpuctl.host.write.files import FileProblem, is_stream, read_named

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_MESSAGE = re.compile(r"^(?=\[(?:WARNING|ERROR|DEPRECATION WARNING)\]|ERROR!)", re.MULTILINE)
_ERROR = re.compile(r"(?:\[ERROR\]:|ERROR!)\s*(.*)")
_MISMATCH = re.compile(r"Could not match supplied host pattern, ignoring: (.+)")
_UNPARSED = re.compile(r"Completely failed to parse inventory source (.+)")
_TRIED = re.compile(
    r"(?:Failed to parse inventory|Failed to parse \S+) with '?(\w+)'? plugin: (?:Failed to parse inventory: )?(.+)"
)
_PRINTED = re.compile(r"^Standard error from inventory script:\n\s*(\S.*)", re.MULTILINE)
_OF_PLUGIN = "Plugin configuration YAML file"
"""What the plugin for YAML says of a file that names a plugin: why that one does not take it, `auto` says."""
_UNPACK, _NO_END = "not enough values to unpack", "a [ has no ]"
_QUOTED = re.compile(r"got: (.+)|'(.+?)'(?=[:. ]|$)|(\[[^\]]+\])")


def sentence(said: str) -> str:
    """The first error that Ansible tells of, which says what is wrong; later ones say that it cannot go on."""
    told = list(_paragraphs(_ESCAPES.sub("", said)))
    errors = [found[1] for one in told if (found := _ERROR.match(one)) and found[1]]
    words = next(iter(errors), told[-1] if told else "")
    mismatch, unparsed = _MISMATCH.search(words), _UNPARSED.search(words)
    if mismatch:
        return f"No host or group of the inventory is called {plain(mismatch[1])}."
    if unparsed:
        reason = _why(unparsed[1], told)
        printed = _PRINTED.search(said)
        reason += f": {printed[1]}" if printed and "script" in reason else ""
        number = _line_told(unparsed[1], said) or _line_found(unparsed[1], reason)
        return f"{plain(unparsed[1])} is no inventory: {plain(reason)}{f' (line {number})' if number else ''}."
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
    reason = reasons.get(meant) or next(iter(reasons.values()), "") or passed_over(path) or "Ansible does not say why"
    if reason.startswith(_OF_PLUGIN):
        reason = reasons.get("auto", reason)
    reason = re.sub(rf"^{re.escape(path)}:\d+: ", "", reason[:LETTERS])
    return _NO_END if reason.startswith(_UNPACK) else reason.rstrip(".:")


def _line_told(path: str, said: str) -> int | None:
    """The line of which Ansible speaks: the newest tells it of YAML alone."""
    found = re.search(rf"{re.escape(path)}:(\d+)", said)
    return int(found[1]) if found else None


def _line_found(path: str, reason: str) -> int | None:
    """The first line of a file that has what Ansible quotes of it, None where none has."""
    quoted = _QUOTED.search(reason)
    try:
        lines = [] if is_stream(path) else read_named(path).decode("utf-8", "replace").splitlines()
    except FileProblem:
        return None
    if reason == _NO_END:
        return next((number for number, line in enumerate(lines, 1) if "[" in line and "]" not in line), None)
    if quoted is None:
        return None
    wanted = quoted[1] or quoted[2] or quoted[3]
    of_host = "host variable" in reason
    for number, line in enumerate(lines, 1):
        words = line.split()
        if wanted in (words[1:] if of_host else (line.strip(), *words)):
            return number
    return None
