"""`gpuctl explain`: from error text to its cause, and the encyclopaedia behind it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from gpuctl.cli.frame.nearest import did_you_mean
from gpuctl.cli.frame.options import Json, ReadFile, filled
from gpuctl.cli.frame.snapshots import host_at
from gpuctl.cli.frame.streams import nobody_writes

if TYPE_CHECKING:
    from gpuctl.diagnose.entries import Entry
    from gpuctl.diagnose.explained import Explained
    from gpuctl.host.look.reading import Host

_ID = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)+")
"""One word that looks like an id, and not like what a program says when it fails."""
_DIGITS = re.compile(r"\d+")
_MISTYPED = 0.8
"""How like an id such a word has to be to be taken for one that was mistyped."""


def command(
    text: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]...",
            parser=filled,
            help="Error text, or the id of a failure, check or rule; without it or with -, stdin.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        typer.FileBinaryRead | None,
        typer.Option(
            "-f",
            "--file",
            click_type=ReadFile(),
            metavar="FILE",
            help="A log of any length, - for stdin.",
            show_default=False,
        ),
    ] = None,
    no_probe: Annotated[bool, typer.Option("--no-probe", help="The text is from elsewhere: ask nothing here.")] = False,
    list_: Annotated[
        bool, typer.Option("--list", help="List every failure, check and rule that has an entry.")
    ] = False,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every match whole, with all lines.")] = False,
) -> None:
    """Say which failures an error text shows, why, and which command mends them."""
    if (text is not None) + (file is not None) + list_ > 1:
        raise typer.BadParameter("give one of TEXT, --file and --list")
    chosen = _entries(text, list_)
    if chosen:
        _show_entries(chosen, list_, json)
        raise typer.Exit
    found = _explained(_stream(text, file), None if no_probe else lambda: host_at(None))
    _show(found, json, verbose)
    raise typer.Exit(found.exit_code)


def _entries(text: list[str] | None, everything: bool) -> tuple[Entry, ...]:
    if everything:
        return _every_entry()
    if not text or len(text) > 1 or not _ID.fullmatch(text[0]):
        return ()
    from gpuctl.diagnose.entries import entry

    one = entry(text[0])
    if one:
        return (one,)
    known = {each.id: each for each in _every_entry()}
    # A number is never mistyped for another: xid-79, which has no entry of that name, is read as a text.
    alike = [id for id in known if _DIGITS.findall(id) == _DIGITS.findall(text[0])]
    near = "" if text[0] in known else did_you_mean(text[0], alike, _MISTYPED)
    if near:
        raise typer.BadParameter(f"no failure, check or rule has the id {text[0]}.{near}")
    return (known[text[0]],) if text[0] in known else ()


def _every_entry() -> tuple[Entry, ...]:
    from gpuctl.diagnose.entries import entries
    from gpuctl.k8s.checks.entries import cluster_entries

    return (*entries(), *cluster_entries())


def _stream(text: list[str] | None, file: BinaryIO | None) -> BinaryIO:
    if text and text != ["-"]:
        _check_text(text)
        return BytesIO(" ".join(text).encode(errors="surrogateescape"))
    if file is not None:
        return file
    if nobody_writes():
        raise typer.BadParameter("nothing to explain: give TEXT or --file FILE, or pipe a log into it")
    return sys.stdin.buffer


def _check_text(text: list[str]) -> None:
    """Raises BadParameter for the path of a file in the place of what a program said."""
    from gpuctl.command import quoted
    from gpuctl.host.write.files import check_named

    if len(text) > 1 or "/" not in text[0] or re.search(r"\s", text[0]):
        return
    with suppress(OSError, ValueError):
        check_named(text[0])
        raise typer.BadParameter(f"{quoted(text[0])} is a file: gpuctl explain -f {quoted(text[0])} reads it")


def _explained(stream: BinaryIO, host: Callable[[], Host] | None) -> Explained:
    from gpuctl.diagnose.explained import UnreadableText, explained
    from gpuctl.render.draw.progress import working

    try:
        return explained(stream, host, working)
    except UnreadableText as why:
        raise typer.BadParameter(f"the text cannot be read: {why}") from None


def _show(found: Explained, json: bool, verbose: bool) -> None:
    from gpuctl.render.views.explain import matches_json, matches_text

    if json:
        typer.echo(matches_json(found))
    else:
        matches_text(found, verbose).show()


def _show_entries(chosen: tuple[Entry, ...], as_list: bool, json: bool) -> None:
    from gpuctl.render.views.entries import entries_json, entries_text, entry_text

    if json:
        typer.echo(entries_json(chosen))
    elif as_list:
        entries_text(chosen).show()
    else:
        entry_text(chosen[0]).show()
