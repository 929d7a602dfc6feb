"""`gpuctl migrate compose`: files of every kind that people have, for every Compose that reads them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from simhost import warm
from test_yaml_text import Writer

from gpuctl.migrate.compose.migrate import migrated
from gpuctl.migrate.compose.target import ComposeTarget
from gpuctl.migrate.draft import source
from gpuctl.migrate.migration import Migration

ROOT = Path(__file__).parents[1]
CASES: list[dict[str, Any]] = YAML(typ="safe").load((ROOT / "tests" / "data" / "legacy_compose.yml").read_text())


def gpuctl(*argv: str, folder: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """With no Compose on PATH but one that the folder has."""
    env = {**os.environ, "HOME": str(folder), "PATH": f"{folder}/bin"}
    return warm.gpuctl("migrate", "compose", *argv, stdin=stdin, cwd=folder, env=env)


def loaded(text: str) -> Any:
    """What a reader of another make says that a file means; Compose's own tags are none of its."""
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.add_multi_constructor("!", lambda loader, _, node: loader.construct_sequence(node, deep=True))
    return yaml.load(text)


def asked(service: Mapping[str, Any]) -> Any:
    """The GPUs that a service asks for in any modern way, or by the runtime: "all", ids, a number, or None."""
    found: list[Any] = []
    devices = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
    gpus = service.get("gpus", [])
    for one in [*devices, *([{}] if gpus == "all" else gpus)]:
        found += one.get("device_ids") or [one.get("count", "all")]
    for one in service.get("devices", []):
        name = one["source"] if isinstance(one, dict) else one
        found += [name.removeprefix("nvidia.com/gpu=")] if name.startswith("nvidia.com/gpu=") else []
    if not found and service.get("runtime") == "nvidia":
        found = dict(variables(service)).get("NVIDIA_VISIBLE_DEVICES", "all").split(",")
    if not found or found == ["all"]:
        return found[0] if found else None
    return found[0] if isinstance(found[0], int) else found


def variables(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    said = service.get("environment", [])
    pairs = said.items() if isinstance(said, dict) else (one.partition("=")[::2] for one in said)
    yield from ((name, str(value)) for name, value in pairs)


@pytest.mark.parametrize("target", [one for one in ComposeTarget if one is not ComposeTarget.SWARM])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["kind"])
def test_a_service_has_the_same_gpus_in_the_modern_way(case: dict[str, Any], target: ComposeTarget) -> None:
    done = rewritten(case["text"], target)
    assert len(done.left) == case.get("left", 0), done.left
    services = loaded(done.after).get("services", {})
    if "gpus" in case or "left" not in case:
        found = {name: gpus for name, service in services.items() if (gpus := asked(service)) is not None}
        inherited = {name for name, service in services.items() if "extends" in service}
        assert found | dict.fromkeys(inherited, "all") == case.get("gpus", {})
    if target is ComposeTarget.COMPOSE:
        assert [words for words in case.get("gone", []) if words in done.after] == []
        assert [words for words in case.get("stays", []) if words not in done.after] == []
    assert rewritten(done.after, target).after == done.after


def rewritten(text: str, target: ComposeTarget = ComposeTarget.COMPOSE) -> Migration:
    (done,) = migrated([source("compose.yml", text.encode())], target)
    return done


def test_a_key_without_a_value_gets_one() -> None:
    done = rewritten("services:\n  a:\n    runtime: nvidia\n    deploy:   # nothing yet\n")
    assert asked(loaded(done.after)["services"]["a"]) == "all" and "# nothing yet" in done.after


def test_a_variable_may_name_gpus_as_cdi_does() -> None:
    done = rewritten(
        "services:\n  a:\n    runtime: nvidia\n    environment: {NVIDIA_VISIBLE_DEVICES: nvidia.com/gpu=1}\n"
    )
    assert asked(loaded(done.after)["services"]["a"]) == ["1"]


# Several files

BASE = "services:\n  a:\n    image: x\n    runtime: nvidia\n"


def together(*texts: str, target: ComposeTarget) -> tuple[Migration, ...]:
    return migrated([source(f"{number}.yml", text.encode()) for number, text in enumerate(texts)], target)


@pytest.mark.parametrize("target", [ComposeTarget.COMPOSE, ComposeTarget.COMPOSE_2_30, ComposeTarget.CDI])
def test_what_an_override_repeats_is_asked_for_once(target: ComposeTarget) -> None:
    base, override = together(BASE, "services:\n  a:\n    runtime: nvidia\n    command: x\n", target=target)
    assert asked(loaded(base.after)["services"]["a"]) == "all"
    assert override.after == "services:\n  a:\n    command: x\n"


def test_an_override_of_which_nothing_is_left_still_has_its_service() -> None:
    """docker-compose 1.29 takes a file without services for one of the first format, and refuses it as an override."""
    runtime = "services:\n  a:\n    runtime: nvidia\n"
    _, override = together(BASE, runtime, target=ComposeTarget.COMPOSE)
    assert loaded(override.after) == {"services": {"a": {}}}
    assert together(BASE, override.after, target=ComposeTarget.COMPOSE)[1].after == override.after


def test_an_override_with_other_gpus_replaces_the_request_or_all_stays() -> None:
    other = "services:\n  a:\n    environment:\n      - NVIDIA_VISIBLE_DEVICES=1\n"
    base, override = together(BASE, other, target=ComposeTarget.COMPOSE_2_30)
    assert "gpus: all" in base.after and "gpus: !override" in override.after and 'device_ids: ["1"]' in override.after
    kept = together(BASE, other, target=ComposeTarget.COMPOSE)
    assert [(one.after, len(one.left)) for one in kept] == [(BASE, 1), (other, 1)]


def test_an_override_of_the_runtime_alone_is_asked_for_there() -> None:
    base, override = together("services: {a: {image: x}}\n", BASE, target=ComposeTarget.COMPOSE)
    assert not base.changes and asked(loaded(override.after)["services"]["a"]) == "all"


def test_a_later_request_for_fewer_gpus_keeps_the_runtime_of_the_earlier_file() -> None:
    fewer = "services: {a: {deploy: {resources: {reservations: {devices: [{count: 1, capabilities: [gpu]}]}}}}}\n"
    base, later = together(BASE, fewer, target=ComposeTarget.COMPOSE)
    assert base.after == BASE and base.left and later.after == fewer


# Requests that one Compose takes and another one refuses


def test_a_request_without_capabilities_gets_them() -> None:
    text = "services: {a: {image: x, deploy: {resources: {reservations: {devices: [{driver: nvidia}]}}}}}\n"
    assert "{driver: nvidia, capabilities: [gpu]}" in rewritten(text).after


def test_all_of_a_driver_that_was_mapped_is_asked_for_unless_it_is_said_what_is_used() -> None:
    body = "volumes: [/usr/lib/nvidia-384:/usr/local/nvidia]"
    text = f"services: {{a: {{devices: [/dev/nvidia0], {body}}}, b: {{environment: {{B: c}}, {body}}}}}\n"
    for target in ComposeTarget:
        done = rewritten(text, target)
        services = loaded(done.after)["services"].values()
        said = {dict(variables(one)).get("NVIDIA_DRIVER_CAPABILITIES") for one in services}
        assert said == ({None} if target is ComposeTarget.CDI else {"all"})
        assert any("compute and utility alone" in change.why for change in done.changes) == (said == {"all"})
        assert rewritten(done.after, target).after == done.after
    told = "environment: {NVIDIA_DRIVER_CAPABILITIES: 'compute,video'}, devices: [/dev/nvidia0]"
    after = rewritten(f"services: {{a: {{{told}, {body}}}}}\n").after
    assert "{NVIDIA_DRIVER_CAPABILITIES: 'compute,video'}" in after and "all" not in after


def test_a_mig_device_is_named_whole() -> None:
    text = "services: {a: {image: x, devices: ['nvidia.com/gpu=0:1']}}\n"
    (done,) = together(text, target=ComposeTarget.CDI)
    assert '{source: "nvidia.com/gpu=0:1", target: "nvidia.com/gpu=0:1"}' in done.after
    assert rewritten(text).left and not rewritten(text).changes  # docker-compose 1 has no long form


def test_no_gpu_by_a_count_of_zero_is_told() -> None:
    text = "services: {a: {deploy: {resources: {reservations: {devices: [{count: 0, capabilities: [gpu]}]}}}}}\n"
    assert [one.text for one in rewritten(text).left] == ["count: 0"]


# The command


def test_the_new_file_is_all_there_is_on_stdout_and_reasons_are_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    done = gpuctl("a.yml", folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("\ufeffservices:\r\n  a:\r\n    image: x\r\n    deploy:\r\n      resources:\r\n")
    assert "a.yml:4: - runtime: nvidia\n        a request for GPUs needs no runtime of its own\n" in done.stderr
    assert gpuctl("-", folder=tmp_path, stdin=BASE).stdout == done.stdout.replace("\r", "").removeprefix("\ufeff")


def test_a_file_is_written_with_a_backup_and_the_second_time_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_text(BASE)
    file.chmod(0o640)
    done = gpuctl("a.yml", "--write", folder=tmp_path)
    (backup,) = tmp_path.glob("a.yml.gpuctl-*.bak")
    assert done.returncode == 0 and f"what it was: {backup.name}" in done.stdout.replace(f"{tmp_path}/", "")
    assert (backup.read_text(), file.stat().st_mode & 0o777) == (BASE, 0o640) and "deploy:" in file.read_text()
    seen = file.stat().st_mtime_ns
    again = gpuctl("a.yml", "--write", folder=tmp_path)
    assert (again.returncode, again.stdout, file.stat().st_mtime_ns) == (0, "unchanged: a.yml\n", seen)
    assert len(list(tmp_path.glob("a.yml.*"))) == 1


def test_json_has_the_files_their_changes_and_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(BASE + "  b: {image: y, runtime: '${R:-nvidia}'}\n")
    done = gpuctl("a.yml", "--json", folder=tmp_path)
    document = json.loads(done.stdout)
    Draft202012Validator(json.loads((ROOT / "data/schemas/migrate-compose.schema.json").read_text())).validate(document)
    (file,) = document["files"]
    assert (done.returncode, file["changed"], [one["line"] for one in file["left"]]) == (1, True, [5])


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"services:\n  a: [1\n", ":3: not valid YAML"),
        (b"services:\n  a: {}\n  a: {}\n", ":3: the key 'a' stands here a second time"),
        (b"services:\n<<<<<<< HEAD\n  a: {}\n", ":2: not valid YAML"),
        (b"\x7fELF\x02\x01\x01\x00" * 9, ":1: it has a character that no YAML holds"),
        (b"\xff\xfe\xff\xd8" * 9, ": not valid UTF-16"),
        (b"a: b\n" * (2 << 20), ": it is larger than 1 MiB"),
        (b"", ": it is empty"),
        (b"- a\n", ": it is a list"),
        (b"kind: Pod\napiVersion: v1\n", ":1: it is a Kubernetes manifest"),
        (b"services: {a: *b}\n", ":1: the alias *b names nothing"),
        (b"a: " + b"[" * 5000, ":1: it is nested more than 100 levels"),
    ],
)
def test_a_file_that_is_none_gets_one_sentence_with_its_line(raw: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(raw)
    done = gpuctl("a.yml", "--write", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: a.yml") and done.stderr.count("\n") == 1 and words in done.stderr
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir() if path.is_file()] == [("a.yml", raw)]


def test_of_two_files_none_is_written_where_one_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(BASE)
    (tmp_path / "b.yml").write_text("services: [")
    assert gpuctl("a.yml", "b.yml", "--write", folder=tmp_path).returncode == 2
    assert (tmp_path / "a.yml").read_text() == BASE


def test_a_file_that_cannot_be_written_is_no_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(BASE)
    command = [sys.executable, "-m", "gpuctl", "migrate", "compose", "a.yml", "--write"]
    script = 'mount --bind a.yml a.yml && exec "$@"'  # a mount cannot be replaced, not even by root
    argv = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", *command]
    done = subprocess.run(argv, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"Error: ") and (tmp_path / "a.yml").read_text() == BASE


def test_a_file_that_is_included_or_extended_and_was_not_named_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "old.yml").write_text(BASE)
    (tmp_path / "new.yml").write_text("services: {b: {image: y}}\n")
    text = "include: [old.yml, {path: new.yml}]\nservices: {c: {extends: {file: gone.yml, service: x}}}\n"
    (tmp_path / "a.yml").write_text(text)
    done = gpuctl("a.yml", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, text)
    assert "left: old.yml\n        this file maps GPUs by hand as well" in done.stderr
    assert "left: gone.yml\n" in done.stderr and "new.yml" not in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: [a]\n", "a.yml:1: services is a list, and has to be a mapping"),
        ("services:\n  a: 5\n", "a.yml:2: the service a is a scalar, and has to be a mapping"),
        ("services:\n  a:\n    devices: 5\n", "a.yml:3: devices of the service a is a scalar, and has to be a list"),
        ("services:\n  a: {environment: b}\n", "environment of the service a is a scalar, and has to be a mapping or"),
    ],
)
def test_what_no_compose_takes_is_refused_with_its_line(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(text)
    done = gpuctl("a.yml", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and words in done.stderr


def test_the_file_is_for_the_compose_that_is_here_unless_another_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("services:\n  a:\n    image: x\n    runtime: nvidia\n")
    assert "reservations" in gpuctl("a.yml", folder=tmp_path).stdout
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\necho Docker Compose version v2.40.3\n")
    docker.chmod(0o755)
    assert "gpus: all" in gpuctl("a.yml", folder=tmp_path).stdout
    assert "reservations" in gpuctl("a.yml", "--target", "compose", folder=tmp_path).stdout


def test_nothing_in_a_services_place_is_taken_and_no_count_is_said(tmp_path: Path) -> None:
    request = "{resources: {reservations: {devices: [{capabilities: [gpu], count: two}]}}}"
    (tmp_path / "a.yml").write_text(f"services:\n  a:\n  b: {{devices: , deploy: {request}}}\n")
    done = gpuctl("a.yml", folder=tmp_path)
    assert done.returncode == 1 and "Compose takes a number here, or all" in done.stderr


@pytest.mark.parametrize(
    "argv", [(), ("a.yml", "a.yml"), ("-", "--write"), ("nowhere.yml",), ("a.yml", "--target", "x")]
)
def test_wrong_usage(argv: tuple[str, ...], tmp_path: Path) -> None:
    done = gpuctl(*argv, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and "Traceback" not in done.stderr


# Whatever else is in the file


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_what_is_none_of_gpuctls_stays_to_the_letter(data: st.DataObject) -> None:
    other = "\n".join(f" {line}" if line else line for line in Writer(data.draw).block(0, 2))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    before, after = f"x-other:\n{other}\nservices:\n a: {{image: x}}\n".replace("\n", end), f"x-more:\n{other}"
    text = f"{before} b:\n  runtime: nvidia # GPU\n  image: y # stays\n".replace("\n", end) + after.replace("\n", end)
    text = text.replace("&anchor", "&other", text.count("&anchor") // 2)
    head, tail = text[: len(before)], text[len(text) - len(after.replace("\n", end)) :]
    done = rewritten(text)
    assert done.changes and not done.left
    assert done.after.startswith(head) and done.after.endswith(tail) and "# GPU" not in done.after
    assert f"image: y # stays{end}" in done.after and rewritten(done.after).after == done.after
