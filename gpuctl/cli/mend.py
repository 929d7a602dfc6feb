"""`gpuctl doctor --fix`: look, mend what can be undone, look again."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from gpuctl.facts.gather import Facts
from gpuctl.model import ExitCode, Report
from gpuctl.provision.mend import Examined, Mended


def fix_host(
    look: Callable[[], tuple[Facts, Report]], dry_run: bool, yes: bool, json: bool, verbose: bool
) -> tuple[Examined, ExitCode]:
    """Returns the last look, and how the changes ended: GOOD, or the code of the one that failed."""
    from gpuctl.host.look.local import LocalHost
    from gpuctl.provision.mend import Mender
    from gpuctl.render.draw.progress import taking_steps
    from gpuctl.render.views.mend import fix_json, fix_text

    mender = Mender(
        LocalHost(), lambda: Examined(*look()), _consent(yes, dry_run), dry_run, lambda: taking_steps("Mending")
    )
    mended, seen = mender.fix()
    if json:
        typer.echo(fix_json(seen, mended))
    else:
        fix_text(seen, mended, dry_run, verbose).show()
    return seen, max((one.result.code for one in mended if one.carried_out), default=ExitCode.GOOD)


def _consent(yes: bool, dry_run: bool) -> Callable[[Mended], bool]:
    """Asks on a terminal; elsewhere nobody can answer, and of a dry run nobody needs to be asked."""

    def allow(planned: Mended) -> bool:
        if yes:
            return True
        if dry_run or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        from gpuctl.render.views.mend import plan_text

        plan_text(planned).show(sys.stderr)
        return typer.confirm("Do that?", err=True)

    return allow
