"""Writes the manual page docs/gpuctl.1 from the command line itself; a test compares."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import typer.main

from gpuctl import __version__
from gpuctl.cli.frame.app import app

PAGE = Path(__file__).with_name("gpuctl.1")
NOTE = r".\" Written by docs/man.py: change the command line, not this file."
ENVIRONMENT = {
    "GPUCTL_DATA": "A folder with newer tables, which go over gpuctl's own: see gpuctl data.",
    "NO_COLOR": "Where it is set, no text has colours.",
    "FORCE_COLOR": "Where it is set, text has colours in a pipe or file too.",
}
FILES = {
    "/etc/gpuctl/config.toml": "Defaults and waivers of this host.",
    "$XDG_CONFIG_HOME/gpuctl/config.toml": "The user's, over it; root reads no user's.",
}


def page() -> str:
    """Returns the page, for man(7)."""
    root = typer.main.get_command(app)
    context = typer.Context(root, info_name="gpuctl")
    commands = [line for name in root.list_commands(context) for line in _command(root, name, context)]
    lines = (
        NOTE,
        f'.TH GPUCTL 1 "" "gpuctl {__version__}" "User Commands"',
        *(".SH NAME", rf"gpuctl \- {_escaped(root.help.rstrip('.'))}"),
        *(".SH SYNOPSIS", _usage(root, context)),
        *(".SH OPTIONS", *_parameters(root, context)),
        *(".SH COMMANDS", *commands),
        *(".SH EXIT STATUS", _escaped(root.epilog.removeprefix("Exit codes: "))),
        *(".SH ENVIRONMENT", *_described(ENVIRONMENT)),
        *(".SH FILES", *_described(FILES)),
    )
    return "\n".join(lines) + "\n"


def _command(parent: Any, name: str, above: Any) -> Iterator[str]:
    command = parent.get_command(above, name)
    context = typer.Context(command, above, info_name=name, **command.context_settings)
    yield f".SS {context.command_path}"
    yield _usage(command, context)
    for paragraph in inspect.cleandoc(command.help).split("\n\n"):
        yield from (".PP", _escaped(" ".join(paragraph.split())))
    yield from _parameters(command, context)
    if command.epilog:
        yield from (".PP", _escaped(command.epilog))
    for word in getattr(command, "list_commands", lambda _: [])(context):
        yield from _command(command, word, context)


def _usage(command: Any, context: Any) -> str:
    return rf"\fB{_escaped(context.command_path)}\fR {_escaped(' '.join(command.collect_usage_pieces(context)))}"


def _parameters(command: Any, context: Any) -> Iterator[str]:
    records = [one.get_help_record(context) for one in command.get_params(context)]
    return _described(dict(record for record in records if record))


def _described(words: dict[str, str]) -> Iterator[str]:
    for word, help in words.items():
        yield from (".TP", rf"\fB{_escaped(word)}\fR", _escaped(help))


def _escaped(text: str) -> str:
    """Text that roff prints as it is: a line of it can be no request, and a hyphen can be copied as a minus."""
    shown = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{shown}" if shown.startswith((".", "'")) else shown


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
