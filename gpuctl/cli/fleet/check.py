"""`gpuctl fleet check`: on which of many hosts will this run?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from gpuctl.cli.frame.endings import CODES
from gpuctl.cli.frame.fleet.asked import Asked, Recording, recorded_run, silence
from gpuctl.cli.frame.fleet.report import Verbose
from gpuctl.cli.frame.groups import spread
from gpuctl.cli.frame.options import CudaVersions, Frameworks, ImageName, Json, Offline
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.compat.ask.question import Question


@spread
def check(
    cuda: CudaVersions = None,
    image: ImageName = None,
    framework: Frameworks = None,
    offline: Offline = False,
    *,
    asked: Asked,
    recording: Recording,
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
    found = recorded_run(("check", *_asked(cuda, image, framework)), asked, recording)
    answer = fleet_answer(found, question, image is not None)
    if json:
        typer.echo(check_json(answer))
    else:
        check_text(answer, verbose).show()
    codes = {silence(found, recording.max_unreachable), *(CODES[one.verdict] for one in answer.classes)}
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
