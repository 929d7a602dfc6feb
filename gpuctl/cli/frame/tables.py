"""The tables that a command goes by: gpuctl's own, or those that GPUCTL_DATA or an installation puts over them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from gpuctl.host.places import chosen_data

if TYPE_CHECKING:
    from gpuctl.tables.overlay import Chosen


def over_tables(command: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the command with the chosen tables put in effect before it begins."""

    @wraps(command)
    def with_tables(*args: Any, **options: Any) -> Any:
        chosen_tables()
        return command(*args, **options)

    return with_tables


def chosen_tables() -> Chosen | None:
    """Puts the chosen tables in effect and returns them; None: gpuctl's own. Ends the run where they are refused."""
    if chosen_data() is None:
        return None
    from gpuctl.tables.overlay import TablesRefused, use_chosen_tables

    try:
        return use_chosen_tables()
    except TablesRefused as error:
        from gpuctl.cli.frame.endings import refused

        raise refused(str(error)) from None
