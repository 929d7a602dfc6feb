"""`gpuctl fleet check`: on which of many hosts will this run?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from gpuctl.cli.frame import fleet
from gpuctl.cli.frame.endings import CODES
from gpuctl.cli.frame.fleet import asked, recorded_run, silence
from gpuctl.cli.frame.fleet_report import Verbose
from gpuctl.cli.frame.options import CudaVersions, Frameworks, ImageName, Json, Offline
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.compat.ask.question import Question


def check(
    context: typer.Context,
    cuda: CudaVersions = None,
    image: ImageName = None,
    framework: Frameworks = None,
    offline: Offline = False,
    inventory: fleet.Inventories = None,
    hosts: fleet.HostNames = None,
    slurm: fleet.Slurm = None,
    limit: fleet.Limit = None,
    become: fleet.Become = False,
    ask_become_pass: fleet.AskPassword = False,
    become_pass_fd: fleet.PasswordFrom = None,
    host_timeout: fleet.HostTimeout = fleet.HOST_SECONDS,
    run_timeout: fleet.RunTimeout = fleet.RUN_SECONDS,
    logs: fleet.Logs = False,
    run: fleet.RunFolder = None,
    resume: fleet.Resume = None,
    max_unreachable: fleet.MaxUnreachable = fleet.NONE_SILENT,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Say on which hosts of an inventory a container runs, why not on the others, and what would change it."""
    from gpuctl.fleet.check import fleet_answer
    from gpuctl.render.views.fleet_check import check_json, check_text

    try:
        question = _question(cuda or [], image, framework or [], offline)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    found = recorded_run(("check", *_asked(cuda, image, framework)), asked(context))
    answer = fleet_answer(found, question, image is not None)
    if json:
        typer.echo(check_json(answer))
    else:
        check_text(answer, verbose).show()
    codes = {silence(found, max_unreachable), *(CODES[one.verdict] for one in answer.classes)}
    raise typer.Exit(next((one for one in (ExitCode.PROBLEM, ExitCode.UNDETERMINED) if one in codes), ExitCode.GOOD))


def _asked(cuda: list[str] | None, image: str | None, framework: list[str] | None) -> tuple[str, ...]:
    return (
        *(word for one in cuda or () for word in ("--cuda", one)),
        *(() if image is None else ("--image", image)),
        *(word for one in framework or () for word in ("--framework", one)),
    )


def _question(cuda: list[str], image: str | None, framework: list[str], offline: bool) -> Question:
    from gpuctl.cli.frame.question import Evaluator, asked_question
    from gpuctl.cli.frame.snapshots import host_at
    from gpuctl.compat.ask.question import Machine
    from gpuctl.images.inquiry import Inquiry, question_elsewhere
    from gpuctl.render.draw.progress import working

    question = asked_question(cuda, [], framework, (), Evaluator.LIBRARY)
    if image is None and not question.anything:
        raise ValueError("nothing to check: give --cuda, --image or --framework")
    return question_elsewhere(Inquiry(question, image, Machine(), None, offline, lambda: host_at(None), working))
