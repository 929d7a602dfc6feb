"""The JSON that gpuctl prints. Each document names its schema; data/schemas/ describes it."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from gpuctl import __version__
from gpuctl.command import Command
from gpuctl.model import Report

if TYPE_CHECKING:  # each command pays only for its own rooms
    from gpuctl.compat.answer.answer import Compatibility
    from gpuctl.compat.answer.matrix import Matrix
    from gpuctl.compat.judge.gate.gate import Requirement
    from gpuctl.compat.tables.loader import CudaRow
    from gpuctl.facts.gather import Facts


_LINE = json.JSONEncoder(ensure_ascii=False)


def document(command: str, body: dict[str, Any]) -> str:
    """Returns the JSON text of one command's result, its schema first."""
    return dumps({"schema": f"gpuctl.{command}/1", **body}, indent=2)


def dumps(value: Any, indent: int | None = None) -> str:
    """Returns a value as JSON. Letters stay readable; what could steer a terminal is escaped, as JSON itself allows."""
    text = json.dumps(value, indent=indent, ensure_ascii=False) if indent else _LINE.encode(value)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def as_json(value: Any) -> Any:
    """Returns a value as JSON has it: a dataclass's fields by name, and a command as the line that is shown."""
    if isinstance(value, Command):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [as_json(one) for one in value]
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    return value


def doctor_json(report: Report, facts: Facts) -> str:
    """Returns a doctor's report as JSON."""
    from gpuctl.render.formats.standing import counts
    from gpuctl.render.views.host_json import host_json

    summary = {**counts(report), "action": report.action}
    body = {"gpuctl": __version__, "host": host_json(facts), "summary": summary, "findings": as_json(report.findings)}
    return document("doctor", body)


def check_json(answer: Compatibility) -> str:
    """Returns a compatibility answer as JSON: one verdict for the host, one for each GPU, with reasons and sources."""
    gpus = [
        {
            "name": gpu.name,
            "compute_capability": gpu.compute_capability or None,
            "architecture": gpu.architecture,
            "brand": gpu.brand,
            "verdict": gpu.verdict,
            "reasons": [asdict(reason) for reason in gpu.reasons],
            "rows": [_row(row) for row in gpu.rows],
        }
        for gpu in answer.gpus
    ]
    body = {
        "cuda": answer.cuda,
        "asked": [asdict(one) for one in answer.asked],
        "image": answer.image,
        "driver": answer.driver,
        "verdict": answer.verdict,
        "reasons": [asdict(reason) for reason in answer.reasons],
        "requirement": _requirement(answer.requirement) if answer.requirement else None,
        "gpus": gpus,
        "remedies": as_json(answer.remedies),
    }
    return document("check", body)


def _row(row: CudaRow) -> dict[str, Any]:
    return {"cuda": row.cuda, "driver": row.driver.text, "gpus": row.gpus, "kind": row.kind, "source": row.source}


def _requirement(said: Requirement) -> dict[str, Any]:
    return {
        "enforced": said.enforced,
        "verdict": said.verdict,
        "failed": said.failed,
        "message": said.message,
        "driver_branch": said.branch.branch if said.branch else None,
        "source": said.source,
    }


def matrix_json(matrix: Matrix) -> str:
    """Returns the CUDA table as JSON; `host` is null where there is no driver and GPU to judge by."""
    from gpuctl.compat.knowledge.branch_ends import branch_ends

    body = {
        "rows": [asdict(row) for row in matrix.rows],
        "host": asdict(matrix.host) if matrix.host else None,
        "driver": matrix.driver,
        "branch_ends": branch_ends(matrix.driver) if matrix.driver else None,
        "grid": [asdict(cell) for cell in matrix.cells],
        "unknown": matrix.unknown,
    }
    return document("matrix", body)
