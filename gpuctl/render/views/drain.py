"""What became of a scheduler's node by `gpuctl doctor --drain`: in the doctor's JSON."""

from __future__ import annotations

import json

from gpuctl.facts.gather import Facts
from gpuctl.model import Report
from gpuctl.provision.slurm import Drained
from gpuctl.render.draw.text import Styled
from gpuctl.render.formats.json import doctor_json, dumps


def drained_json(report: Report, facts: Facts, drained: Drained, dry_run: bool) -> Styled:
    """Returns the doctor's JSON, and under `drain` what became of the node, or with `dry_run` would."""
    body = json.loads(doctor_json(report, facts))
    body["drain"] = {"scheduler": "slurm", "dry_run": dry_run, **vars(drained)}
    return Styled(dumps(body, indent=2) + "\n")
