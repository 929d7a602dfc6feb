"""What `--cuda`, `--driver` and `--gpu` describe, and this host where they leave something open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from gpuctl.cli.frame.snapshots import look

if TYPE_CHECKING:
    from gpuctl.compat.ask.question import Machine
    from gpuctl.compat.knowledge.gpus.gpus import Gpu


def described_gpus(driver: str | None, names: list[str]) -> tuple[Gpu, ...]:
    """Returns the GPUs that are named.

    Raises BadParameter for an unknown one, and for a driver that is neither a version nor a branch.
    """
    from gpuctl.compat.judge.named import gpus_beside
    from gpuctl.compat.knowledge.branch_ends import releases_meant
    from gpuctl.compat.versions import parse_driver

    try:
        releases = releases_meant(driver) if driver is not None else ()
        for release in releases:
            parse_driver(release)
        return tuple(gpu for name in names for gpu in gpus_beside(releases, name))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def check_cuda_option(cuda: str | None) -> None:
    """Raises BadParameter where a CUDA version was typed that is none."""
    from gpuctl.compat.versions import parse_cuda

    try:
        if cuda is not None:
            parse_cuda(cuda)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def described_or_here(driver: str | None, names: list[str], snapshot: str | None) -> Machine:
    """Returns the driver and the GPUs that are described, and asks this host, or a snapshot's, for what is not."""
    from gpuctl.compat.ask.question import Machine

    gpus = described_gpus(driver, names)
    if driver and gpus:
        return Machine(driver, gpus)
    from gpuctl.checks.questions.host_answer import SUBJECTS, machine_here

    facts = look(snapshot, SUBJECTS, "Looking at this host's GPUs and driver")
    return machine_here(facts, driver, gpus)
