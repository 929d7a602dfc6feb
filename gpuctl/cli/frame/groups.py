"""Options that go together: a class of them is one parameter of a command, and many options at the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Returns a command that takes the fields of a dataclass, each as an option, in the place of that parameter."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}

    @wraps(command)
    def taking_options(**typed: Any) -> None:
        made = {
            name: group(**{one.name: typed.pop(one.name) for one in fields(group)}) for name, group in groups.items()
        }
        command(**typed, **made)

    own = signature(command).parameters.values()
    options = [option for one in own for option in _options(one, hints[one.name], one.name in groups)]
    taking_options.__annotations__ = {one.name: one.annotation for one in options}
    taking_options.__signature__ = Signature(options)  # type: ignore[attr-defined]
    return taking_options


def _options(parameter: Parameter, hint: Any, is_group: bool) -> Iterator[Parameter]:
    if not is_group:
        yield _named(parameter.name, hint, parameter.default)
        return
    hints = get_type_hints(hint, include_extras=True)
    for one in fields(hint):
        yield _named(one.name, hints[one.name], Parameter.empty if one.default is MISSING else one.default)


def _named(name: str, hint: Any, default: object) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=hint)
