"""A `podman run` as a Quadlet unit, a .container file of systemd: podman-systemd.unit(5)."""

from __future__ import annotations

from collections.abc import Iterator

from gpuctl.compat.knowledge.run_options import run_options
from gpuctl.migrate.migration import Change
from gpuctl.migrate.run_command import Option, RunCommand
from gpuctl.regex import regex

_RESTART = {"always": "always", "unless-stopped": "always", "on-failure": "on-failure", "no": "no"}
"""Podman's policies, and what systemd.service(5) calls them."""
_FALLS_AWAY = {
    "--detach": "systemd starts it in the background",
    "--rm": "Quadlet removes each container that has ended",
    "--interactive": "a service has no terminal",
    "--tty": "a service has no terminal",
    "--replace": "Quadlet replaces a container of the same name",
    "--detach-keys": "a service has no terminal",
    "--sig-proxy": "systemd sends the signals",
    "--cidfile": "Quadlet keeps the id itself",
}
_PLAIN = regex(r"[A-Za-z0-9_@+=:,./^~-]+")
_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def unit(run: RunCommand) -> tuple[str, tuple[Change, ...]]:
    """Returns the unit of a command for Podman, and which options it does without.

    Raises ValueError with a sentence for a command that only a shell can finish.
    """
    if run.doubt or run.image is None:
        raise ValueError(run.doubt)
    doubtful = next((word.text for word in run.words if word.expands or word.splits or word.text.startswith("~")), None)
    if doubtful:
        raise ValueError(f"a unit has no shell that could expand {doubtful}")
    lines = [f"Image={_text(run.words[run.image].value)}", *(line for option in run.options for line in _lines(option))]
    behind = [word.value for word in run.words[run.image + 1 :]]
    if behind:
        lines.append(f"Exec={' '.join(map(_word, behind))}")
    restart = [_RESTART.get(option.value.partition(":")[0], "no") for option in run.given("--restart")]
    service = ["", "[Service]", f"Restart={restart[-1]}"] if restart else []
    gone = tuple(Change(one.name, "", _FALLS_AWAY[one.name]) for one in run.options if one.name in _FALLS_AWAY)
    parts = ("[Container]", *lines, *service, "", "[Install]", "WantedBy=default.target")
    return "\n".join(parts) + "\n", gone


def _lines(option: Option) -> Iterator[str]:
    row = run_options("podman")[option.name]
    if option.name in _FALLS_AWAY or option.name == "--restart":
        return
    if option.name == "--env" and "=" not in option.value:
        yield f"PodmanArgs={option.name} {_word(option.value)}"
    elif row.quadlet == "Environment":
        yield f"Environment={_word(option.value)}"
    elif row.quadlet and not row.takes_value:
        yield f"{row.quadlet}={'false' if option.is_false else 'true'}"
    elif row.quadlet:
        yield f"{row.quadlet}={_word(option.value) if row.quadlet in _SPLIT else _text(option.value)}"
    elif row.takes_value:
        yield f"PodmanArgs={option.name} {_word(option.value)}"
    else:
        yield f"PodmanArgs={option.name}{'=false' if option.is_false else ''}"


_SPLIT = ("Annotation", "Label", "Sysctl", "AddCapability", "DropCapability")
"""Keys whose value Quadlet splits into words."""


def _text(value: str) -> str:
    """A value that Quadlet takes as it stands. systemd makes a part of a command of it, and reads % and $ there."""
    if "\n" in value:
        raise ValueError("a unit has no value of several lines")
    return value.replace("%", "%%").replace("$", "$$")


def _word(value: str) -> str:
    """A word where Quadlet takes several."""
    if _PLAIN.fullmatch(value):
        return value
    value = value.replace("%", "%%").replace("$", "$$")
    return '"' + "".join(_ESCAPED.get(letter, letter) for letter in value) + '"'
