"""A new Dockerfile for people: what is said beside it; and as JSON with all that it rests on."""

from __future__ import annotations

from collections.abc import Mapping

from gpuctl.compat.ask.question import Machine
from gpuctl.compat.knowledge.branch_ends import branch_ends
from gpuctl.dockerfile.app.wants import Wants
from gpuctl.dockerfile.framework import ChosenFramework
from gpuctl.dockerfile.new import DockerfileWish, NewDockerfile
from gpuctl.host.write.output import is_stdout
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import document


def new_text(made: NewDockerfile, path: str) -> Styled:
    """Returns what is said beside the Dockerfile that was written to a path: problems first."""
    text = Styled()
    if not is_stdout(path):
        text.append(f"Wrote {plain(path)}, based on {made.base.image.reference}.\n")
    for problem in made.problems:
        text.append("problem  ", "bold red").append(f"{plain(problem)}\n")
    for note in made.notes:
        text.append("note     ", "dim").append(f"{plain(note)}\n")
    return text


def new_json(made: NewDockerfile, wish: DockerfileWish) -> str:
    """Returns the Dockerfile as JSON, with what was chosen, what is needed and by what, and what was left."""
    image = made.base.image
    body = {
        "dockerfile": made.text,
        "base": {
            "reference": image.reference,
            "cuda": image.row.cuda,
            "flavour": made.base.flavour,
            "os": made.base.system.os,
            "verdict": image.verdict,
            "status": image.row.status,
        },
        "hosts": [_host_json(machine) for machine in wish.machines],
        "machine": wish.machine,
        "capabilities": made.capabilities,
        "packages": [
            {"name": one.package.name, "known": one.package.known, "file": one.file, "users": one.users}
            for one in made.base.installs
        ],
        "framework": _framework_json(made.framework) if made.framework else None,
        "application": _application_json(made.wants) if made.wants else None,
        "problems": made.problems,
        "notes": made.notes,
    }
    return document("dockerfile-new", body)


def _host_json(machine: Machine) -> Mapping[str, object]:
    return {
        "driver": machine.driver,
        "branch_ends": branch_ends(machine.driver) if machine.driver else None,
        "gpus": [gpu.name for gpu in machine.gpus],
    }


def _framework_json(chosen: ChosenFramework) -> Mapping[str, object]:
    return {
        "name": chosen.release.framework,
        "version": chosen.release.version,
        "cuda": chosen.cuda,
        "pip": chosen.pip_words,
        "sources": [chosen.release.source, chosen.install.source],
    }


def _application_json(wants: Wants) -> Mapping[str, object]:
    """What an application wants, by what wants it; paths are those in its folder."""
    return {
        "libraries": wants.libraries,
        "cuda": wants.cuda,
        "driver": wants.driver,
        "programs": wants.programs,
        "symbols": [{"name": one.name, "version": one.version, "path": one.path} for one in wants.symbols],
        "folders": wants.folders,
        "foreign": wants.foreign,
        "loaders": wants.loaders,
        "hints": wants.hints,
        "driver_files": wants.driver_files,
    }
