"""`gpuctl check`: will this run on this host, or on one that is described?"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.defaults import configured
from gpuctl.cli.frame.described import check_cuda_option, described_gpus
from gpuctl.cli.frame.endings import CODES
from gpuctl.cli.frame.formats import FormatName, OutputFiles, Outputs, deliver, outputs
from gpuctl.cli.frame.options import (
    CudaVersions,
    DriverVersion,
    Frameworks,
    From,
    GpuNames,
    Hosts,
    ImageName,
    Json,
    Offline,
    ReadFile,
)
from gpuctl.cli.frame.question import Evaluator, asked_question, pinned
from gpuctl.cli.frame.snapshots import host_at
from gpuctl.compat.ask.question import Machine
from gpuctl.images.inquiry import Inquiry, answer_to, question_elsewhere
from gpuctl.model import ExitCode, Verdict
from gpuctl.render.draw.progress import working
from gpuctl.render.draw.text import say
from gpuctl.render.formats.formats import Format, answer_in

if TYPE_CHECKING:
    from gpuctl.compat.answer.answer import Compatibility


def command(
    cuda: CudaVersions = None,
    image: ImageName = None,
    require: Annotated[
        list[str] | None,
        typer.Option("--require", metavar="EXPR", help="As in NVIDIA_REQUIRE_CUDA; repeatable.", show_default=False),
    ] = None,
    framework: Frameworks = None,
    requirements: Annotated[
        str | None,
        typer.Option(
            "--requirements", metavar="FILE", help="A requirements or lock file, - for stdin.", show_default=False
        ),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option("--python", metavar="X.Y", help="The Python that installs FILE.", show_default=False),
    ] = None,
    hosts: Hosts = None,
    smi: Annotated[
        typer.FileBinaryRead | None,
        typer.Option(
            "--smi",
            click_type=ReadFile(),
            metavar="FILE",
            help="What nvidia-smi printed there, - for stdin.",
            show_default=False,
        ),
    ] = None,
    driver: DriverVersion = None,
    driver_cuda: Annotated[
        str | None,
        typer.Option("--driver-cuda", metavar="X.Y", help="The driver's highest CUDA version.", show_default=False),
    ] = None,
    gpu: GpuNames = None,
    brand: Annotated[
        str | None, typer.Option("--brand", metavar="NAME", help="The GPUs' brand, as NVML has it.", show_default=False)
    ] = None,
    evaluator: Annotated[
        Evaluator, typer.Option("--evaluator", help="How requirements are read; go: as on Tegra.")
    ] = Evaluator.LIBRARY,
    offline: Offline = False,
    snapshot: From = None,
    json: Json = False,
    format: FormatName = None,
    output: OutputFiles = None,
    strict: Annotated[
        bool | None,
        typer.Option("--strict/--no-strict", help="`limited` and `unknown` exit with 1.", show_default=False),
    ] = None,
) -> None:
    """Say whether a container runs on a driver and its GPUs, why, and what would change it."""
    defaults = configured()
    wanted = outputs(format, json, output, defaults.format)
    strict = bool(defaults.strict) if strict is None else strict
    try:
        described = _described(driver, gpu or [], brand, driver_cuda, smi)
        files = () if requirements is None else pinned(requirements, snapshot, _python(python, requirements))
        question = asked_question(cuda or [], require or [], framework or [], files, evaluator)
        if hosts is not None and snapshot is not None:
            raise ValueError("--hosts describes the hosts: --from does not go with it")
        # A snapshot asks no registry: whose credentials would it be asked with?
        offline = offline or snapshot is not None
        asked = Inquiry(question, image, described, brand, offline, lambda: host_at(snapshot), working)
        if hosts is not None:
            raise typer.Exit(_many(hosts, asked, _json_lines(wanted, format), strict))
        if image is None and not question.anything:
            raise ValueError(
                "nothing to check: give --cuda, --image, --require, --framework or --requirements, "
                "or --hosts with rows that ask themselves"
            )
        answer = answer_to(asked)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    code = _state(answer, strict) if wanted.shown is Format.NAGIOS else _code({answer.verdict}, strict)
    raise typer.Exit(deliver(wanted, lambda one: answer_in(one, answer, strict), code))


def _python(python: str | None, requirements: str | None) -> str | None:
    """Returns an application's Python as it was typed. Raises ValueError for what is none, and without a file."""
    if python is not None and requirements is None:
        raise ValueError("--python says who installs --requirements, and there is none")
    if python is not None and not re.fullmatch(r"3\.[0-9]{1,2}", python):
        raise ValueError(f"{python[:20]!r} is no version of Python such as 3.11")
    return python


def _state(answer: Compatibility, strict: bool) -> int:
    from gpuctl.render.formats.nagios import nagios_state
    from gpuctl.render.views.answer_report import answer_report

    return nagios_state(answer_report(answer), strict)


def _json_lines(wanted: Outputs[Format], format: Format | None) -> bool:
    """Whether many hosts are told as lines of JSON. Raises ValueError for a format that has no lines."""
    if wanted.files or format not in (None, Format.TEXT, Format.JSON):
        raise ValueError("--hosts is told in lines of text or JSON: no other --format and no -o goes with it")
    return wanted.shown is Format.JSON


def _described(
    driver: str | None, names: list[str], brand: str | None, driver_cuda: str | None, smi: typer.FileBinaryRead | None
) -> Machine:
    from gpuctl.compat.knowledge.gpus.gpus import with_brand

    if smi is not None:
        if names or driver_cuda:
            raise ValueError("--smi tells the GPUs, and the driver's CUDA: --gpu and --driver-cuda do not go with it")
        described_gpus(driver, [])  # raises for what is no driver
        told = _of_smi(smi, driver)
        return replace(told, gpus=with_brand(told.gpus, brand))
    check_cuda_option(driver_cuda)
    gpus = with_brand(described_gpus(driver, names), brand)
    return Machine(driver, gpus, driver_cuda=driver_cuda)


def _of_smi(file: typer.FileBinaryRead, driver: str | None) -> Machine:
    from gpuctl.bounds import TooLong, whole
    from gpuctl.compat.ask.encodings import encoding_of
    from gpuctl.compat.ask.smi import LARGEST, machine_of_smi

    try:
        content = whole(file.read, LARGEST)
        return machine_of_smi(content.decode(encoding_of(content), "replace"), driver)
    except TooLong as error:
        raise ValueError(f"{file.name}: it is {error.words}, and nvidia-smi prints no such amount") from None
    except ValueError as error:
        raise ValueError(f"{file.name}: {error}") from None


def _many(file: typer.FileBinaryRead, asked: Inquiry, json: bool, strict: bool) -> ExitCode:
    from gpuctl.compat.answer.fleet_rows import NoHosts, host_verdicts, lines_of
    from gpuctl.render.views.hosts import print_hosts

    if asked.described != Machine():
        options = "--smi, --driver, --driver-cuda, --gpu and --brand"
        raise ValueError(f"--hosts describes the hosts: {options} do not go with it")
    question = question_elsewhere(asked)
    try:
        verdicts = print_hosts(host_verdicts(lines_of(file), question, _say_unread), json)
    except NoHosts as error:
        raise ValueError(f"{file.name}: {error}") from None
    return _code(verdicts, strict)


def _say_unread(field: str) -> None:
    say(f"The field {field!r} is not read: what it says counts for nothing here.")


def _code(verdicts: set[Verdict], strict: bool) -> ExitCode:
    """Returns the exit code of the verdict that is worst."""
    codes = {CODES[verdict] for verdict in verdicts}
    doubtful = verdicts & {Verdict.LIMITED, Verdict.UNKNOWN}
    if ExitCode.PROBLEM in codes or (strict and doubtful):
        return ExitCode.PROBLEM
    return ExitCode.UNDETERMINED if ExitCode.UNDETERMINED in codes else ExitCode.GOOD
