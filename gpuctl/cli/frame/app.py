"""The command line's frame: the commands, the options they share, and how every run ends."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any, NoReturn, cast

import typer
from typer._click.exceptions import ClickException
from typer.core import TyperGroup
from typer.main import get_command

from gpuctl import __version__
from gpuctl.cli.frame.examples import examples
from gpuctl.cli.frame.nearest import did_you_mean
from gpuctl.cli.frame.streams import lost_output, open_streams
from gpuctl.cli.frame.tables import over_tables
from gpuctl.host.act.signals import BY_SIGNAL, ignore_endings, take_endings

COMMANDS = (
    "doctor",
    "explain",
    "check",
    "matrix",
    "recommend",
    "image",
    "dockerfile",
    "migrate",
    "install-runtime",
    "uninstall-runtime",
    "bundle",
    "rollback",
    "history",
    "smoke",
    "collect",
    "diff",
    "k8s",
    "fleet",
    "data",
)
"""In the order in which a person meets them.

Each is the function `command` of the file of that name. Where it has commands of its own, `commands` names them: each
is the function of that name in the same file, or in a file of that name beside it. `also_called` has such names of them
as a person may look for.
"""
WITHOUT_TABLES = ("uninstall-runtime", "rollback", "history", "collect", "data")
"""They work whatever is wrong with the tables that GPUCTL_DATA or an installation puts over gpuctl's own."""

WITH_ANOTHERS_WORDS = ("fleet plan",)
"""They take another command with its options, and look at those themselves."""


class Words(TyperGroup):
    """Says what each of its commands does in a whole sentence, and which one a word that is none may have meant.

    A command's file is loaded when it is asked for: a run pays for one command, not for all.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.help or "") for name, command in commands if command]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, names = args[0], self.list_commands(ctx)
        if name not in names and not name.startswith("-"):
            known = self.also_called().get(name, name)
            ctx.fail(f"there is no command {_plain(name)}.{did_you_mean(known, names)}")
        return super().resolve_command(ctx, args)

    def also_called(self) -> Mapping[str, str]:
        """Returns names of commands by words that are not spelt like them, and mean the same to a person."""
        return {}


class Group(Words):
    """The commands below one, whose names `file` has."""

    file: ModuleType

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.file.commands)

    def also_called(self) -> Mapping[str, str]:
        return getattr(self.file, "also_called", {})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.file.commands:
            return None
        beside = import_module(f"{self.file.__name__}.{cmd_name}") if hasattr(self.file, "__path__") else self.file
        return _only(f"{self.name} {cmd_name}", getattr(beside, cmd_name))


class Commands(Words):
    """The commands of gpuctl."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes `help COMMAND` for `COMMAND --help`."""
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        file = import_module(f"gpuctl.cli.{cmd_name.replace('-', '_')}")
        if hasattr(file, "commands"):
            return _with_commands(cmd_name, file)
        return _only(cmd_name, file.command if cmd_name in WITHOUT_TABLES else over_tables(file.command))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if not error.message:  # what is missing is told by its name
                raise
            # It repeats what was typed, which may be another's words and must not steer a terminal.
            raise typer.BadParameter(_plain(error.message), error.ctx, error.param, error.param_hint) from None


def _plain(words: str) -> str:
    if words.isprintable():
        return words
    from gpuctl.render.draw.text import plain

    return plain(words)


HELP = {"help_option_names": ["-h", "--help"]}


def _only(name: str, command: Callable[..., None]) -> Any:
    only = typer.Typer(add_completion=False, rich_markup_mode=None)
    settings = {**HELP, "ignore_unknown_options": name in WITH_ANOTHERS_WORDS}
    only.command(name.rpartition(" ")[2], epilog=examples(name), context_settings=settings)(command)
    return get_command(only)


def _with_commands(name: str, file: ModuleType) -> Group:
    """A command with others below it. Where its file has one of its own, that begins whichever of them is asked for."""
    own = getattr(file, "command", None)
    group = typer.Typer(
        name=name,
        cls=Group,
        help=own.__doc__ if own else file.HELP,
        no_args_is_help=not own,
        invoke_without_command=bool(own),
        add_completion=False,
        rich_markup_mode=None,
        context_settings=HELP,
    )
    begin = own or _begin
    epilog = examples(name) if own else None
    group.callback(epilog=epilog)(begin if name in WITHOUT_TABLES else over_tables(begin))
    made = cast(Group, get_command(group))
    made.file = file
    return made


def _begin() -> None:
    """Nothing: the commands below do it all."""


app = typer.Typer(
    name="gpuctl",
    cls=Commands,
    help="From nothing works to a GPU container ran here, verified.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"gpuctl {__version__}")
        raise typer.Exit


@app.callback(
    epilog="More of a command: gpuctl help COMMAND. "
    "Exit codes: 0 good, 1 a problem or no, 2 wrong usage, 3 could not tell, "
    "4 rolled back, 5 not rolled back, 70 a bug in gpuctl."
)
def common(
    version: Annotated[
        bool, typer.Option("-V", "--version", is_eager=True, callback=_say_version, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when gpuctl itself fails.")] = False,
) -> None:
    if debug:
        os.environ["GPUCTL_DEBUG"] = "1"


def run() -> NoReturn:
    """Runs the command in sys.argv and ends the process; what goes wrong is one sentence on stderr."""
    atexit.register(_leave)  # the first that is registered is the last that is called
    open_streams()
    take_endings()
    try:
        code = app(standalone_mode=False)
    except SystemExit as end:
        code = end.code
    except ClickException as wrong:
        code = _say_wrong(wrong)
    except typer.Abort:
        print("Aborted!", file=sys.stderr)
        code = 1
    except MemoryError:
        from gpuctl.model import ExitCode

        print("gpuctl: this takes more memory than there is for it.", file=sys.stderr)
        sys.exit(ExitCode.UNDETERMINED)
    except Exception as error:
        if os.environ.get("GPUCTL_DEBUG"):
            raise
        _fail(error)
    _end(code)


def _say_wrong(wrong: ClickException) -> int:
    """Says what is wrong with the usage, folded as all text is. Returns the exit code."""
    from io import StringIO

    from gpuctl.render.draw.text import Styled

    words = StringIO()
    wrong.show(words)
    Styled(words.getvalue()).show(sys.stderr)
    return wrong.exit_code


def _fail(error: Exception) -> NoReturn:
    from gpuctl.host.look.limits import limit_reached
    from gpuctl.model import ExitCode
    from gpuctl.render.draw.text import say

    limit = limit_reached(error)
    if limit:
        say(f"gpuctl: it cannot go on: {limit}.")
        sys.exit(ExitCode.UNDETERMINED)
    say(f"gpuctl: a bug: {type(error).__name__}: {error}. Please report it with `gpuctl --debug …`.")
    sys.exit(ExitCode.BUG)


def _end(code: str | int | None) -> NoReturn:
    if isinstance(code, int) and code > BY_SIGNAL:
        ignore_endings()
        print("gpuctl: interrupted.", file=sys.stderr)
    lost = lost_output()
    if lost is not None:
        from gpuctl.model import ExitCode
        from gpuctl.render.draw.text import say

        say(f"gpuctl: the output could not be written: {lost}.")
        code = code or ExitCode.UNDETERMINED
    global _ended
    _ended = code or 0
    sys.exit(code)


_ended: str | int | None = None
"""The exit code, once the run has ended."""


def _leave() -> None:
    """Ends the process at once: Python would take all that is loaded apart first, for a tenth of a doctor's time."""
    if isinstance(_ended, int):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_ended)
