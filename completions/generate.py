"""Writes the completion files for bash, zsh and fish beside this file, from the command line itself.

They are static, so that a Tab starts no Python. Run this after a change of commands or options; a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import typer.main

from gpuctl.cli.app import app

HERE = Path(__file__).parent
NOTE = "# Written by completions/generate.py: change the command line, not this file."


@dataclass(frozen=True)
class Option:
    """One option: its spellings, what it does, whether it takes a value, and whether that value is a file."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    is_file: bool


@dataclass(frozen=True)
class Command:
    """One command; the name "" is gpuctl itself."""

    name: str
    help: str
    options: tuple[Option, ...]


def commands() -> tuple[Command, ...]:
    """Returns gpuctl itself and then every command, as the command line defines them."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="gpuctl")
    subs = ((name, group.get_command(context, name)) for name in group.list_commands(context))
    return (_command("", group), *(_command(name, sub) for name, sub in subs))


def _command(name: str, command: Any) -> Command:
    context = typer.Context(command, info_name=name or "gpuctl", **command.context_settings)
    options = (_option(one) for one in command.get_params(context) if one.param_type_name == "option")
    return Command(name, _sentence(command.help), tuple(options))


def _option(option: Any) -> Option:
    # An option whose value is a file says so by its metavar.
    names = sorted((*option.opts, *option.secondary_opts), reverse=True)  # those of --help come in any order
    return Option(tuple(names), _sentence(option.help), not option.is_flag, option.metavar == "FILE")


def _sentence(text: str | None) -> str:
    first = (text or "").strip().partition("\n")[0].rstrip(".")
    return "".join(letter for letter in first if letter not in "'\"`[]:\\")


def bash(all_commands: tuple[Command, ...]) -> str:
    """Returns the bash completion."""
    subs = " ".join(one.name for one in all_commands[1:])
    files = "|".join(name for one in all_commands for option in one.options if option.is_file for name in option.names)
    values = "|".join(
        sorted({name for one in all_commands for option in one.options if option.takes_value for name in option.names})
    )
    cases = [
        f"        {one.name or chr(39) * 2}) words='{' '.join(name for option in one.options for name in option.names)}"
        f"{'' if one.name else ' ' + subs}' ;;"
        for one in all_commands
    ]
    body = [
        NOTE,
        "_gpuctl() {",
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command= word words=",
        '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        f"        case $word in {subs.replace(' ', '|')}) command=$word; break ;; esac",
        "    done",
        "    case $prev in",
        f'        {files}) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;' if files else "",
        f"        {values}) COMPREPLY=(); return ;;",
        "    esac",
        "    case $command in",
        *cases,
        "    esac",
        '    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")',
        "}",
        "complete -F _gpuctl gpuctl",
    ]
    return "\n".join(line for line in body if line) + "\n"


def zsh(all_commands: tuple[Command, ...]) -> str:
    """Returns the zsh completion function."""
    described = " ".join(f"'{one.name}:{one.help}'" for one in all_commands[1:])
    cases = [f"        {one.name}) _arguments {_zsh_options(one)} ;;" for one in all_commands[1:]]
    body = [
        "#compdef gpuctl",
        NOTE,
        "_gpuctl() {",
        "    local context state state_descr line",
        "    typeset -A opt_args",
        f"    _arguments -C {_zsh_options(all_commands[0])} '1: :->command' '*:: :->rest'",
        "    case $state in",
        f"        command) local -a commands=({described}); _describe command commands; return ;;",
        "        rest) ;;",
        "        *) return ;;",
        "    esac",
        "    case $words[1] in",
        *cases,
        "    esac",
        "}",
        '_gpuctl "$@"',
    ]
    return "\n".join(body) + "\n"


def _zsh_options(command: Command) -> str:
    words = []
    for option in command.options:
        action = "" if not option.takes_value else ":file:_files" if option.is_file else ":value: "
        words += [f"'*{name}[{option.help}]{action}'" for name in option.names]
    return " ".join(words)


def fish(all_commands: tuple[Command, ...]) -> str:
    """Returns the fish completion."""
    subs = " ".join(one.name for one in all_commands[1:])
    lines = [NOTE, "complete -c gpuctl -f"]
    for one in all_commands:
        seen = f"__fish_seen_subcommand_from {one.name or subs}"
        where = f"-n '{seen}'" if one.name else f"-n 'not {seen}'"
        if one.name:
            lines.append(
                f"complete -c gpuctl -n 'not __fish_seen_subcommand_from {subs}' -a {one.name} -d '{one.help}'"
            )
        lines += [f"complete -c gpuctl {where} {_fish_option(option)}" for option in one.options]
    return "\n".join(lines) + "\n"


def _fish_option(option: Option) -> str:
    names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
    value = "" if not option.takes_value else " -r -F" if option.is_file else " -x"
    return f"{names}{value} -d '{option.help}'"


def files() -> dict[str, str]:
    """Returns every completion file's text by its name."""
    all_commands = commands()
    return {"gpuctl.bash": bash(all_commands), "_gpuctl": zsh(all_commands), "gpuctl.fish": fish(all_commands)}


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text, encoding="utf-8")
