"""Options that several commands share: the same spelling, the same help."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DriverVersion = Annotated[
    str | None,
    typer.Option("--driver", metavar="VERSION", help="A driver, instead of this host's.", show_default=False),
]
GpuNames = Annotated[
    list[str] | None,
    typer.Option("--gpu", metavar="NAME|CC", help="A GPU, instead of this host's; repeatable.", show_default=False),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the diff and the steps; change nothing.")]
TakeUp = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for Docker to take it up.")]
