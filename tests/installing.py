"""`gpuctl install-runtime` for one engine on a simulated host, its JSON checked against the schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import validate
from simhost import SimHost

SCHEMA = json.loads((Path(__file__).parents[1] / "data" / "schemas" / "install-runtime.schema.json").read_text())
UNTOUCHED = " Nothing was changed."


def install(host: SimHost, engine: str, *options: str, env: Mapping[str, str] = {}) -> dict[str, Any]:
    """Returns what it says; `refused` is its error where it left all untouched, `problem` where it undid things."""
    done = host.gpuctl("install-runtime", "--engine", engine, "--json", *options, env=env)
    validate(done.json, SCHEMA)
    assert "Traceback" not in done.err
    error = done.json["error"] or ""
    untouched = error.endswith(UNTOUCHED)
    said = {"refused": error.removesuffix(UNTOUCHED) if untouched else None, "problem": None if untouched else error}
    return {**done.json, **said, "code": done.code}
