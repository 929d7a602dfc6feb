"""Writes the completion files for bash, zsh and fish beside this file, from the command line itself.

They are static, so that a Tab starts no Python. Run this after a change of commands or options; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import typer.main

from gpuctl.checks.every import CHECKS, LAYERS
from gpuctl.cli.frame.app import app
from gpuctl.compat.knowledge.dockerfile_rules import dockerfile_rules
from gpuctl.compat.knowledge.errors.failures import written
from gpuctl.k8s.checks import CHECKS as OF_CLUSTERS

ARGUMENTS = {"DIR": "folder", "OLD": "file", "NEW": "file", "FILE [FILE]...": "file"}
"""Metavars of arguments that are to be completed as what they are."""
WORDS = {"LAYER|ID": (*LAYERS, *CHECKS), "[TEXT]...": (*written(), *CHECKS, *dockerfile_rules(), *OF_CLUSTERS)}
"""What there is to name, by the metavars of options and arguments that take an id."""
HERE = Path(__file__).parent
NOTE = "# Written by completions/generate.py: change the command line, not this file."


@dataclass(frozen=True)
class Option:
    """One option: its spellings, what it does, and its value: whether it takes one, a file, or one of these words."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    is_file: bool
    words: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """One command, such as "check" or "data show"; the name "" is gpuctl itself.

    `words` are its own commands; `argument` is "folder" or "file" where it has an argument that is one, and `ids` are
    what its argument may be.
    """

    name: str
    help: str
    options: tuple[Option, ...]
    words: tuple[str, ...]
    argument: str
    ids: tuple[str, ...]

    @property
    def word(self) -> str:
        """What is typed last to name it."""
        return self.name.rpartition(" ")[2]

    @property
    def offered(self) -> tuple[str, ...]:
        """All that may follow it: spellings of its options, its own commands, ids."""
        return (*(name for option in self.options for name in option.names), *self.words, *self.ids)


def commands() -> tuple[Command, ...]:
    """Returns gpuctl itself and then every command, each before its own commands, as the command line defines them."""
    return tuple(_commands("", typer.main.get_command(app), None))


def _commands(name: str, command: Any, parent: Any) -> Iterator[Command]:
    context = typer.Context(command, parent, info_name=name or "gpuctl", **command.context_settings)
    words = command.list_commands(context) if hasattr(command, "list_commands") else []
    parameters = command.get_params(context)
    options = tuple(_option(one) for one in parameters if one.param_type_name == "option")
    metavars = [one.metavar for one in parameters if one.param_type_name == "argument"]
    place = max((ARGUMENTS.get(metavar, "") for metavar in metavars), default="")
    ids = tuple(word for metavar in metavars for word in WORDS.get(metavar, ()))
    yield Command(name, _sentence(command.help), options, tuple(words), place, ids)
    for word in words:
        yield from _commands(f"{name} {word}".strip(), command.get_command(context, word), context)


def children(of: Command, all_commands: tuple[Command, ...]) -> list[Command]:
    """Returns a command's own commands."""
    names = [f"{of.name} {word}".strip() for word in of.words]
    return [one for one in all_commands if one.name in names]


def _option(option: Any) -> Option:
    # An option whose value is a file says so by its metavar.
    names = sorted((*option.opts, *option.secondary_opts), reverse=True)  # those of --help come in any order
    return Option(tuple(names), _sentence(option.help), not option.is_flag, option.metavar == "FILE", _words(option))


def _words(option: Any) -> tuple[str, ...]:
    """The values that there are: ids, those of an enum, or those that the metavar lists, docker|podman."""
    if option.metavar in WORDS:
        return WORDS[option.metavar]
    listed = (option.metavar or "").split("|")
    is_list = len(listed) > 1 and all(word.isalpha() and word.islower() for word in listed)
    return tuple(getattr(option.type, "choices", listed if is_list else ()))


def _sentence(text: str | None) -> str:
    first = (text or "").strip().partition("\n")[0].rstrip(".")
    return "".join(letter for letter in first if letter not in "'\"`[]:\\")


def bash(all_commands: tuple[Command, ...]) -> str:
    """Returns the bash completion."""
    names = "|".join(f"'{one.name if ' ' in one.name else ' ' + one.name}'" for one in all_commands[1:])
    places = [
        f"        '{one.name}') "
        f'[[ $cur == -* ]] || {{ mapfile -t COMPREPLY < <(compgen {flag} -- "$cur"); return; }} ;;'
        for one in all_commands
        if (flag := {"folder": "-d", "file": "-f"}.get(one.argument))
    ]
    files = "|".join(name for one in all_commands for option in one.options if option.is_file for name in option.names)
    options = [option for one in all_commands for option in one.options]
    listed = dict.fromkeys(option.words for option in options if option.words)
    values = "|".join(
        sorted({name for one in all_commands for option in one.options if option.takes_value for name in option.names})
    )
    cases = [f"        '{one.name}') words='{' '.join(one.offered)}' ;;" for one in all_commands]
    body = [
        NOTE,
        "_gpuctl() {",
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command= word words=",
        '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        f'        case "$command $word" in {names}) command="${{command:+$command }}$word" ;; esac',
        "    done",
        "    case $prev in",
        f'        {files}) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;' if files else "",
        *(_bash_words(words, options) for words in listed),
        f"        {values}) COMPREPLY=(); return ;;",
        "    esac",
        "    case $command in",
        *cases,
        "    esac",
        "    case $command in",
        *places,
        "    esac",
        '    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")',
        "}",
        "complete -F _gpuctl gpuctl",
    ]
    return "\n".join(line for line in body if line) + "\n"


def _bash_words(words: tuple[str, ...], options: list[Option]) -> str:
    names = "|".join(dict.fromkeys(name for option in options if option.words == words for name in option.names))
    return f"""        {names}) mapfile -t COMPREPLY < <(compgen -W '{" ".join(words)}' -- "$cur"); return ;;"""


def zsh(all_commands: tuple[Command, ...]) -> str:
    """Returns the zsh completion: a function for gpuctl, and one for each command that has commands of its own."""
    functions = [_zsh_function(one, children(one, all_commands)) for one in all_commands if one.words]
    return "\n".join(("#compdef gpuctl", NOTE, *reversed(functions), '_gpuctl "$@"')) + "\n"


def _zsh_function(command: Command, subs: list[Command]) -> str:
    described = " ".join(f"'{one.word}:{one.help}'" for one in subs)
    body = [
        f"{_zsh_name(command)}() {{",
        "    local context state state_descr line",
        "    typeset -A opt_args",
        f"    _arguments -C {_zsh_options(command)} '1: :->command' '*:: :->rest'",
        "    case $state in",
        f"        command) local -a commands=({described}); _describe command commands; return ;;",
        "        rest) ;;",
        "        *) return ;;",
        "    esac",
        "    case $words[1] in",
        *(
            f"        {one.word}) {_zsh_name(one) if one.words else '_arguments ' + _zsh_options(one)} ;;"
            for one in subs
        ),
        "    esac",
        "}",
    ]
    return "\n".join(body)


def _zsh_name(command: Command) -> str:
    return "_".join(("_gpuctl", *command.name.split()))


def _zsh_options(command: Command) -> str:
    words = []
    for option in command.options:
        value = f"({' '.join(option.words)})" if option.words else " "
        action = "" if not option.takes_value else ":file:_files" if option.is_file else f":value:{value}"
        words += [f"'*{name}[{option.help}]{action}'" for name in option.names]
    argument = {"folder": ["'1:folder:_files -/'"], "file": ["'*:file:_files'"]}.get(command.argument, [])
    ids = [f"'*:id:({' '.join(command.ids)})'"] if command.ids else []
    return " ".join((*words, *argument, *ids))


def fish(all_commands: tuple[Command, ...]) -> str:
    """Returns the fish completion."""
    lines = [NOTE, "complete -c gpuctl -f"]
    for one in all_commands:
        where = _fish_condition(one)
        for sub in children(one, all_commands):
            lines.append(f"complete -c gpuctl {where} -a {sub.word} -d '{sub.help}'")
        lines += [f"complete -c gpuctl {where} {_fish_option(option)}" for option in one.options]
        if one.ids:
            lines.append(f"complete -c gpuctl {where} -a '{' '.join(one.ids)}'")
        if one.argument == "folder":
            lines.append(f"complete -c gpuctl {where} -a '(__fish_complete_directories)'")
        if one.argument == "file":
            lines.append(f"complete -c gpuctl {where} -F")
    return "\n".join(lines) + "\n"


def _fish_condition(command: Command) -> str:
    seen = [f"__fish_seen_subcommand_from {word}" for word in command.name.split()]
    unseen = [f"not __fish_seen_subcommand_from {' '.join(command.words)}"] if command.words else []
    return f"-n '{'; and '.join(seen + unseen)}'"


def _fish_option(option: Option) -> str:
    names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
    words = f" -a '{' '.join(option.words)}'" if option.words else ""
    value = "" if not option.takes_value else " -r -F" if option.is_file else f" -x{words}"
    return f"{names}{value} -d '{option.help}'"


def files() -> dict[str, str]:
    """Returns every completion file's text by its name."""
    all_commands = commands()
    return {"gpuctl.bash": bash(all_commands), "_gpuctl": zsh(all_commands), "gpuctl.fish": fish(all_commands)}


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text, encoding="utf-8")
