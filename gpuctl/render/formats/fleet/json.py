"""A fleet's report as JSON, whole or a line for each host."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gpuctl import __version__
from gpuctl.fleet.judge import SaidFinding
from gpuctl.fleet.key_facts import GPU_FACTS, HOST_FACTS, GpuFacts
from gpuctl.fleet.outliers import OddGpus, Spread
from gpuctl.fleet.report import CLASS_FACTS, FleetReport, HostClass, HostRecord, Kind
from gpuctl.fleet.run_folder import State
from gpuctl.render.formats.json import document, dumps
from gpuctl.render.views.fleet import STANDINGS, stands


def fleet_json(report: FleetReport) -> str:
    """Returns the whole report; hosts by name alone, as they stand in the lines of `host_lines`."""
    run = report.run.run
    body = {
        "gpuctl": __version__,
        "run": {"folder": report.run.folder, "gpuctl": run.gpuctl, "at": run.at, "question": run.question},
        "summary": _summary(report),
        "findings": [
            {**said_json(one.finding), "hosts": one.hosts, "classes": one.classes, "varies": one.varies}
            for one in report.findings
        ],
        "classes": [_class(number, one) for number, one in enumerate(report.classes, 1)],
        "spreads": [_spread(one) for one in report.spreads],
        "odd_gpus": [_odd(one) for one in report.odd],
        "not_one_host": [{"id": one.shared, "hosts": one.hosts, "gpu": one.what or None} for one in report.twins],
        "silent": [
            {"state": one.state, "hosts": [{"host": host, "detail": detail} for host, detail in one.hosts]}
            for one in report.silences
        ],
    }
    return document("fleet", body)


def host_lines(report: FleetReport) -> str:
    """Returns a line for each host, in the order in which they were asked for."""
    numbers = {one.kind: number for number, one in enumerate(report.classes, 1)}
    return "".join(dumps(_host(one, numbers)) + "\n" for one in report.hosts)


def said_json(said: SaidFinding) -> dict[str, Any]:
    """Returns a finding in the words of one host."""
    remedy = {"text": said.remedy, "commands": said.commands, "disturbs": said.disturbs} if said.disturbs else None
    return {
        "id": said.id,
        "status": said.status,
        "message": said.message,
        "remedy": remedy,
        "waived": said.waived or None,
    }


def _summary(report: FleetReport) -> dict[str, Any]:
    states = Counter(one.outcome.state for one in report.hosts)
    standings = Counter[str]()
    for one in report.classes:
        standings[stands(one.kind)] += len(one.hosts)
    return {
        "hosts": len(report.hosts),
        "states": {state.value: states[state] for state in State},
        "standings": {name: standings[name] for name in STANDINGS},
        "classes": len(report.classes),
        "action": report.action,
    }


def _kind(kind: Kind) -> dict[str, Any]:
    return {
        "standing": stands(kind),
        "action": kind.action,
        "products": kind.products,
        "findings": [{"id": id, "status": status, "waived": waived} for id, status, waived in kind.findings],
    }


def _class(number: int, one: HostClass) -> dict[str, Any]:
    facts = {fact.name: value for fact, value in zip(CLASS_FACTS, one.kind.values, strict=True)}
    return {"class": number, **_kind(one.kind), "facts": facts, "hosts": one.hosts}


def _spread(one: Spread) -> dict[str, Any]:
    return {
        "product": one.product,
        "fact": one.fact.name,
        "values": [{"value": value, "hosts": count} for value, count in one.values],
        "majority": one.majority,
        "differing": [
            {"host": each.host, "value": each.value, "gpus": each.gpus, "since": each.since or None}
            for each in one.differing
        ],
        "untold": one.silent,
    }


def _odd(one: OddGpus) -> dict[str, Any]:
    return {
        "host": one.host,
        "product": one.product,
        "fact": one.fact.name,
        "usual": one.usual,
        "gpus": [{"index": index, "value": value} for index, value in one.odd],
    }


def _host(one: HostRecord, numbers: dict[Kind, int]) -> dict[str, Any]:
    head = {"schema": "gpuctl.fleet-host/1", "host": one.outcome.host, "state": one.outcome.state}
    if one.kind is None or one.key is None:
        return {**head, "detail": one.outcome.detail}
    return {
        **head,
        "at": one.at,
        "hostname": one.hostname,
        "class": numbers[one.kind],
        **_kind(one.kind),
        "facts": {fact.name: value for fact, value in zip(HOST_FACTS, one.key.values, strict=True)},
        "gpus": [_gpu(gpu) for gpu in one.key.gpus],
    }


def _gpu(gpu: GpuFacts) -> dict[str, Any]:
    told = {fact.name: value for fact, value in zip(GPU_FACTS, gpu.values, strict=True)}
    return {"index": gpu.index, "uuid": gpu.uuid, "product": gpu.product, **told}
