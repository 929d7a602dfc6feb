"""CDI: what specifications say, which of them count, what hostile ones do, and which engines take them."""

from __future__ import annotations

import time

import pytest
from hosts import denied, host, hung

from gpuctl.compat.knowledge.cdi import DockerCdi, docker_cdi, refusal
from gpuctl.facts.toolkit.cdi import probe_cdi
from gpuctl.facts.toolkit.cdi_document import parse_document
from gpuctl.facts.toolkit.cdi_text import SIZE_LIMIT, same

YAML = """\
---
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
- name: GPU-5a1c3e6b
  containerEdits:
    deviceNodes:
    - {path: /dev/gpu, hostPath: /dev/nvidia0, major: 195, minor: 0}
containerEdits:
  env: [NVIDIA_VISIBLE_DEVICES=void]
  deviceNodes:
  - {path: /dev/nvidia-uvm, major: 510, minor: 0}
  - {path: /srv/hangs}
  mounts:
  - hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.535.161.08
    containerPath: /usr/lib/x86_64-linux-gnu/libcuda.so.535.161.08
  - hostPath: /usr/lib/x86_64-linux-gnu/libnvidia-egl-wayland.so.1.1.13
    containerPath: /usr/lib/x86_64-linux-gnu/libnvidia-egl-wayland.so.1.1.13
"""
ZERO, ALL = ('{"name": "%s", "containerEdits": {"env": ["A=1", "B=2"]}}' % name for name in ("0", "all"))
JSON = '{"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [%s, %s]}' % (ZERO, ALL)
ETC, RUN = "/etc/cdi/nvidia.yaml", "/var/run/cdi/nvidia.json"


def test_a_specification_is_described_with_what_the_host_has_now() -> None:
    character = {"type": "char", "major": 195, "minor": 0}
    found = probe_cdi(host(files={ETC: YAML}, stats={"/dev/nvidia0": character, ETC: {"mode": 0o600}})).value
    assert found and found.specs[0].value
    spec = found.specs[0].value
    assert (spec.kind, spec.version, spec.mode, spec.error) == ("nvidia.com/gpu", "0.5.0", 0o600, None)
    assert spec.names == ("nvidia.com/gpu=0", "nvidia.com/gpu=GPU-5a1c3e6b")
    assert spec.drivers == ("535.161.08",)
    nodes = {node.path: (node.major, node.minor, node.there.value) for node in spec.nodes}
    assert nodes["/dev/nvidia0"] == (195, 0, (195, 0))
    assert nodes["/dev/nvidia-uvm"] == (510, 0, None)
    assert next(node for node in spec.nodes if node.path == "/srv/hangs").there.unknown


def test_no_specification_is_absent_and_a_closed_folder_unknown() -> None:
    assert probe_cdi(host()).get() is None
    assert probe_cdi(host(files={ETC: YAML}, lists={"/var/run/cdi": denied()})).unknown == "Permission denied"


def test_the_later_folder_counts_and_one_folder_must_not_name_a_device_twice() -> None:
    both = probe_cdi(host(files={"/etc/cdi/old.json": JSON, RUN: JSON})).value
    assert both and [spec.path for spec in both.in_effect()] == [RUN]
    assert both.conflicts == {}
    twice = probe_cdi(host(files={ETC: YAML, "/etc/cdi/other.json": JSON, RUN: JSON})).value
    assert twice and twice.conflicts == {"nvidia.com/gpu=0": (ETC, "/etc/cdi/other.json")}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "", "it is not an object"),
        ("a.yaml", "cdiVersion: [", "it is no YAML (line 1"),
        ("a.yaml", 'kind: "\\U99999999"', "it is no YAML"),
        ("a.json", "{'kind' 1}", "Expecting property name"),
        ("a.json", '{"kind": "nvidia.com/gpu", "cdiVersion": 0.5, "devices": []}', "its cdiVersion is missing"),
        ("a.json", '{"kind": "nvidia.com/gpu", "cdiVersion": "0.5.0", "devices": 7}', "devices is not a list"),
        ("a.json", JSON.replace('"all"', '"0"'), "it names one device twice"),
        ("a.json", JSON.replace('"kind"', '"devices": [], "kind"'), "it has one key twice"),
        ("a.json", JSON.replace('"kind"', '"kinds": 1, "kind"'), "the field 'kinds', which CDI does not have there"),
        ("a.json", JSON.replace("0.5.0", "0.5.1"), "no engine takes cdiVersion 0.5.1"),
        ("a.json", JSON.replace("0.5.0", "0.2.0"), "no engine takes cdiVersion 0.2.0"),
        ("a.json", JSON.replace("A=1", "=1"), "a variable of it has no name or no value"),
        ("a.yaml", "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\n", "it names no device"),
        ("a.yaml", YAML.replace("path: /dev/gpu, ", ""), "a device node has no path"),
        ("a.yaml", YAML.replace("{path: /srv/hangs}", "{path: /srv/hangs, permissions: rx}"), "the permissions of a"),
        ("a.yaml", YAML.replace("  env:", "  hooks: [{hookName: createContainer}]\n  env:"), "a hook has no path"),
        ("a.yaml", YAML.replace("  - hostPath: /usr", "  - hostpaths: /usr"), "which CDI does not have there"),
        ("a.json", JSON.replace(ALL, '{"name": "all"}'), "its device all changes nothing in a container"),
        ("a.json", JSON.replace("all", "[red]all[/]"), "its name is missing or not valid"),
        ("a.json", JSON.replace("nvidia.com/gpu", "nvidia.com/[bold]"), "its kind is missing or not valid"),
        ("a.yaml", YAML.replace("/srv/hangs", '"/dev/\\e[31m"'), "one that cannot be printed"),
    ],
)
def test_what_is_no_specification_says_why_as_the_library_of_all_engines_does(name: str, text: str, words: str) -> None:
    found = probe_cdi(host(files={f"/etc/cdi/{name}": text})).value
    assert found and found.specs[0].value and found.specs[0].value.error
    assert words in found.specs[0].value.error


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "alias or tag"),
        ("a.yaml", "!!python/object/apply:os.system [id]", "alias or tag"),
        ("a.yaml", "[" * 400_000, "nested"),
        ("a.yaml", "- " * 200_000, "nested"),
        ("a.json", "[" * 400_000, "nested"),
        ("a.yaml", "x" * (SIZE_LIMIT + 1), "larger than 512 KiB"),
    ],
)
def test_a_bomb_is_refused_at_once_and_is_unknown(name: str, text: str, words: str) -> None:
    began = time.process_time()
    found = probe_cdi(host(files={f"/etc/cdi/{name}": text})).value
    assert found and words in str(found.specs[0].unknown)
    assert time.process_time() - began < 5


def test_a_specification_is_the_same_however_it_is_laid_out_but_for_the_order_of_hooks() -> None:
    other = JSON.replace(f"{ZERO}, {ALL}", f"{ALL},{ZERO}").replace('"A=1", "B=2"', '"B=2","A=1"')
    assert same(JSON, other)
    assert not same(JSON, JSON.replace("0.5.0", "0.6.0"))
    hooks = '{"containerEdits": {"hooks": [{"path": "/a"}, {"path": "/b"}]}}'
    assert not same(hooks, '{"containerEdits": {"hooks": [{"path": "/b"}, {"path": "/a"}]}}')


@pytest.mark.parametrize(
    ("version", "change", "words"),
    [
        ("0.3.0", ("", ""), "a device name that begins with a digit came with 0.5.0"),
        ("0.4.0", ("/dev/nvidia0}", "/dev/nvidia0, hostPath: /dev/x}"), "came with 0.5.0"),
        ("0.5.0", ("kind: nvidia.com/gpu", "kind: nvidia.com/gpu.coherent"), "a dot in the class of a kind came with"),
        ("0.5.0", ('- name: "0"', '- name: "0"\n  annotations: {a: b}'), "annotations came with 0.6.0"),
        ("0.6.0", ("  env:", "  additionalGids: [44]\n  env:"), "additionalGids came with 0.7.0"),
        ("0.6.0", ("  env:", "  intelRdt: {closID: a}\n  env:"), "intelRdt came with 0.7.0"),
        ("1.0.0", ("  env:", "  netDevices: [{hostInterfaceName: a, name: b}]\n  env:"), "netDevices came with 1.1.0"),
        ("1.0.0", ("  env:", "  intelRdt: {enableMonitoring: true}\n  env:"), "enableMonitoring came with 1.1.0"),
    ],
)
def test_a_version_below_what_the_content_needs_is_refused_and_that_version_is_taken(
    version: str, change: tuple[str, str], words: str
) -> None:
    text = YAML.replace(*change).replace("cdiVersion: 0.5.0", f"cdiVersion: {version}")
    document = parse_document(text)
    assert (
        document.error == f"it says version {version}, and {document.error and document.error.partition(', and ')[2]}"
    )
    assert words in (document.error or "")
    assert parse_document(text.replace(f"cdiVersion: {version}", "cdiVersion: 1.1.0")).error is None


@pytest.mark.parametrize(
    "text",
    [
        JSON.replace('"0"', "0"),
        JSON.replace('"cdiVersion"', '"CDIVERSION"').replace('"name"', '"Name"'),
        JSON.replace('"0.5.0"', '"v0.5.0"'),
        JSON.replace('"', "'"),
        f"{YAML}---\nanother: document\n",
        JSON.replace('"0.5.0"', '"1.9.0"').replace('"kind"', '"later": 1, "kind"'),
    ],
)
def test_what_engines_take_is_taken_whatever_its_spelling_and_of_a_later_version_what_is_known(text: str) -> None:
    document = parse_document(text)
    assert (document.error, document.devices[0].name) == (None, "0")


def test_a_folder_that_is_a_link_has_no_specification_and_files_of_other_names_are_passed_over() -> None:
    files = {ETC: YAML, RUN: JSON, "/etc/cdi/nvidia.yml": YAML}
    found = probe_cdi(host(files=files, links={"/var/run/cdi": "/run/other"})).value
    assert found and [spec.source for spec in found.specs] == [ETC]
    assert found.passed_over == ("/var/run/cdi", "/etc/cdi/nvidia.yml")


def test_where_one_mount_hangs_the_rest_is_not_waited_for() -> None:
    mounts = "".join(f"  - {{hostPath: /srv/{name}, containerPath: /x}}\n" for name in "ab")
    found = probe_cdi(host(files={ETC: YAML + mounts}, stats={"/srv/a": hung()})).value
    assert found and found.specs[0].value
    reasons = {file.path: file.there.unknown for file in found.specs[0].value.mounts}
    assert reasons["/srv/a"] and reasons["/srv/b"] == "not looked at: /srv/a hangs"


@pytest.mark.parametrize(
    ("engine", "version", "cdi", "since"),
    [
        ("docker", "25.0.5", "0.7.0", "26.1.0"),
        ("docker", "26.1.5+dfsg1", "0.7.0", None),
        ("podman", "4.3.1", "0.7.0", "5.1.0"),
        ("podman", "4.3.1", "1.0.0", "5.5.0"),
        ("podman", "4.3.1", "0.5.0", None),
        ("crio", "1.29.9", "0.8.0", "1.31.0"),
        ("containerd", "1.7.16", "0.7.0", None),
    ],
)
def test_an_engine_takes_a_version_of_the_specification_from_a_version_on(
    engine: str, version: str, cdi: str, since: str | None
) -> None:
    row = refusal(engine, version, cdi)
    assert (row.since if row else None) == since


@pytest.mark.parametrize(
    ("engine", "version", "cdi", "refused"),
    [
        ("docker", "26.1.5+dfsg1", "0.8.0", True),
        ("docker", "28.5.2", "1.0.0", False),
        ("docker", "28.5.2+dfsg1", "1.1.0", True),
        ("docker", "29.1.5", "1.1.0", True),
        ("docker", "29.3.0", "1.1.0", False),
        ("docker", "29.7.2", "1.2.0", True),
        ("docker", "30.0.0", "1.2.0", False),
        ("docker", "25.0.16", "0.7.0", True),
        ("docker", "25.0.17", "0.8.0", False),
        ("docker", "25.0.17", "1.0.0", True),
        ("docker", "27.3.1", "0.8.0", True),
        ("containerd", "1.7.27", "0.8.0", False),
        ("containerd", "2.0.4", "1.0.0", True),
        ("containerd", "2.2.1", "1.1.0", False),
        ("crio", "1.34.0", "1.1.0", True),
        ("toolkit", "1.17.8", "1.0.0", True),
        ("toolkit", "1.18.2", "1.1.0", False),
        ("podman", "5.4.2", "0.8.0", False),
        ("podman", "5.4.2", "1.0.0", True),
        ("podman", "6.1.1", "1.1.0", True),
        ("containerd", "2.1.9", "1.1.0", True),
        ("containerd", "2.1.9", "1.0.0", False),
    ],
)
def test_what_no_release_is_known_to_take_is_refused_by_those_that_were_seen_to(
    engine: str, version: str, cdi: str, refused: bool
) -> None:
    assert (refusal(engine, version, cdi) is not None) == refused


def test_docker_takes_cdi_devices_not_at_all_where_it_is_told_to_or_by_default() -> None:
    versions = ("24.0.9", "25.0.0", "28.1.1", "28.2.0", "29.7.2")
    expected = [DockerCdi.IMPOSSIBLE, DockerCdi.OPT_IN, DockerCdi.OPT_IN, DockerCdi.BY_DEFAULT, DockerCdi.BY_DEFAULT]
    assert [docker_cdi(version) for version in versions] == expected
