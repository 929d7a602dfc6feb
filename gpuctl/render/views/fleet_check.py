"""Whether something runs on a fleet: a block for each class of its hosts, the worst first."""

from __future__ import annotations

from typing import Any

from gpuctl.fleet.check import FleetAnswer, HostsAnswer
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import document
from gpuctl.render.views.check import STYLES
from gpuctl.render.views.fleet_collect import named, unreported_text

_INDENT = "      "


def check_text(answer: FleetAnswer, verbose: bool) -> Styled:
    """Returns the answer; `verbose` names every host."""
    text = Styled()
    for one in answer.classes:
        text.append(_class(one, verbose))
    text.append(unreported_text(answer.run, verbose))
    return text.append(f"The run is in {plain(answer.run.folder)}.\n", "dim")


def _class(one: HostsAnswer, verbose: bool) -> Styled:
    text = Styled(f"{one.verdict.value:<13}", STYLES[one.verdict])
    gpus = [f"{count} x {name}" if count > 1 else name for name, count in one.gpus]
    what = ", ".join((*gpus, *([f"driver {one.driver}"] if one.driver else [])))
    text.append(f"{len(one.hosts)} {'host' if len(one.hosts) == 1 else 'hosts'}", "bold")
    text.append(f"  {plain(what)}\n" if what else "\n").append(f"{_INDENT}{named(one.hosts, verbose)}\n", "dim")
    for message in dict.fromkeys((*(message for _, message in one.reasons), *filter(None, (one.unknown,)))):
        text.append(f"{_INDENT}{plain(message)}\n")
    for sentence, commands in one.remedies:
        text.append(f"{_INDENT}{plain(sentence)}\n" if sentence else "", "dim")
        for command in commands:
            text.append(f"{_INDENT}$ ", "dim").append(f"{plain(command)}\n", "cyan", whole=True)
    return text


def check_json(answer: FleetAnswer) -> str:
    """Returns the answer as JSON."""
    body = {
        "run": answer.run.folder,
        "verdict": answer.verdict,
        "classes": [_class_json(one) for one in answer.classes],
        "unreported": [
            {"host": host, "state": found.state if found else None, "detail": found.detail if found else ""}
            for host in answer.run.unreported
            for found in (answer.run.outcomes.get(host),)
        ],
    }
    return document("fleet-check", body)


def _class_json(one: HostsAnswer) -> dict[str, Any]:
    return {
        "hosts": one.hosts,
        "verdict": one.verdict,
        "driver": one.driver,
        "gpus": [{"name": name, "count": count} for name, count in one.gpus],
        "reasons": [{"id": id, "message": message} for id, message in one.reasons],
        "remedies": [{"text": text, "commands": commands} for text, commands in one.remedies],
        "unknown": one.unknown or None,
    }
