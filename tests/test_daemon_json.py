"""daemon.json as a text: what is added, what stays byte for byte, what is refused and where."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.engines.daemon_json import Differs, Runtime, diff, register, settings
from gpuctl.engines.json.text import NotAccepted, parse

NVIDIA = Runtime("/usr/bin/nvidia-container-runtime")
SPACE = st.text(" \t\r\n", max_size=3)
STRING = st.one_of(
    st.text(max_size=6).map(json.dumps),
    st.text(max_size=6).map(lambda text: json.dumps(text, ensure_ascii=False)).filter(lambda text: _is_unicode(text)),
    st.sampled_from(['"\\u00e9\\/"', '"\\ud83d\\ude00"', '"\\ud800"']),
)
NUMBER = st.one_of(
    st.sampled_from(["9007199254740993", "1e3", "-0", "0.10", "1E+400", "123456789012345678901234567890"]),
    st.integers().map(str),
)
SCALAR = st.one_of(STRING, NUMBER, st.sampled_from(["true", "false", "null"]))


def _is_unicode(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


@st.composite
def _object(draw: st.DrawFn, values: st.SearchStrategy[str], reserved: tuple[str, ...] = ()) -> str:
    keys = draw(st.lists(STRING, max_size=4, unique_by=json.loads))
    keys = [key for key in keys if json.loads(key).lower() not in reserved]
    space = st.shared(SPACE)
    members = [f"{draw(SPACE)}{key}{draw(space)}:{draw(space)}{draw(values)}{draw(SPACE)}" for key in keys]
    return "{" + (",".join(members) or draw(SPACE)) + "}"


def _array(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, max_size=3).map(lambda items: "[" + " , ".join(items) + "]")


VALUE = st.recursive(SCALAR, lambda inner: st.one_of(_array(inner), _object(inner)), max_leaves=8)
OBJECT = _object(VALUE, reserved=("runtimes", "default-runtime"))
DOCUMENT = st.tuples(SPACE, OBJECT, SPACE).map("".join)


def _ordered(text: str) -> Any:
    """The value with its keys in order and its numbers as they are written."""
    return json.loads(text, object_pairs_hook=list, parse_int=str, parse_float=str)


@given(DOCUMENT, st.booleans())
def test_every_other_key_order_and_number_survives_byte_for_byte(text: str, default: bool) -> None:
    old = text.encode()
    new = register(old, "nvidia", NVIDIA, default)
    added = [("runtimes", [("nvidia", [("path", NVIDIA.path)])]), ("default-runtime", "nvidia")]
    assert _ordered(new.decode()) == _ordered(text) + added[: 1 + default]
    if _ordered(text):
        assert _common_prefix(old, new) + _common_prefix(old[::-1], new[::-1]) >= len(old), "not only added to"
    assert register(new, "nvidia", NVIDIA, default) == new


def _common_prefix(one: bytes, other: bytes) -> int:
    return next((index for index, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))


@given(DOCUMENT, st.text('{}[],:"\\ \n019eE+-.tfn\x01u', max_size=3), st.integers(0, 200), st.integers(0, 3))
def test_broken_json_is_refused_and_whole_json_is_not(text: str, noise: str, start: int, cut: int) -> None:
    mutated = text[:start] + noise + text[start + cut :]
    assert _accepts(mutated) == _python_accepts(mutated)


def _accepts(text: str) -> bool:
    try:
        return parse(text) is not None
    except NotAccepted:
        return False


def _python_accepts(text: str) -> bool:
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    def constant(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text, object_pairs_hook=members, parse_constant=constant, parse_int=str)
    except ValueError:
        return False
    return True


ENTRY = '{"path": "/usr/bin/nvidia-container-runtime"}'
TIGHT = ENTRY.replace(": ", ":")
NEW = """{
    "runtimes": {
        "nvidia": {
            "path": "/usr/bin/nvidia-container-runtime"
        }
    }
}"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", NEW + "\n"),
        (" \n", NEW + "\n"),
        ("null", NEW),
        ("{}", NEW),
        ("\ufeff{ }\n", "\ufeff" + NEW + "\n"),
        ('{"a":1}', '{"a":1,"runtimes":{"nvidia":' + TIGHT + "}}"),
        ('{ "a": 1 }', '{ "a": 1, "runtimes": {"nvidia": ' + ENTRY + "} }"),
        ('{"runtimes":null}\n', '{"runtimes":{"nvidia":' + TIGHT + "}}\n"),
        ('{"runtimes": {"nvidia": null}}', '{"runtimes": {"nvidia": ' + ENTRY + "}}"),
        (
            '{\r\n\t"a": [\r\n\t\t1\r\n\t]\r\n}\r\n',
            '{\r\n\t"a": [\r\n\t\t1\r\n\t],\r\n\t"runtimes": {\r\n\t\t"nvidia": {\r\n\t\t\t"path": "'
            + NVIDIA.path
            + '"\r\n\t\t}\r\n\t}\r\n}\r\n',
        ),
        (
            '{\n  "runtimes": {\n    "kata": {"path": "/k"}\n  },\n\n  "a": 1\n}',
            '{\n  "runtimes": {\n    "kata": {"path": "/k"},\n    "nvidia": {\n      "path": "'
            + NVIDIA.path
            + '"\n    }\n  },\n\n  "a": 1\n}',
        ),
    ],
)
def test_what_is_added_looks_like_what_is_there(old: str, new: str) -> None:
    assert register(old.encode(), "nvidia", NVIDIA).decode() == new


def test_utf16_which_docker_23_reads_stays_utf16() -> None:
    new = register('{"é": 1}'.encode("utf-16"), "nvidia", NVIDIA)
    assert new.decode("utf-16").startswith('{"é": 1, "runtimes"')


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ('{"a": 1,}', 1, 9, "expected a key"),
        ('{\n  "a": 1\n  "b": 2\n}', 3, 3, "expected `,` or `}`"),
        ('{"a": 1', 1, 8, "the text ends here"),
        ('{\r\n"a": tru}', 2, 6, "expected a value"),
        ('{"a": "\t"}', 1, 7, "not closed, or holds"),
        ('{} {"runtimes": {}}', 1, 4, "more after the end"),
        ("[]", 1, 1, "must be an object, this is an array"),
        ('{"a": 1,\n "a": 2}', 2, 2, 'the key "a" stands here a second time'),
        ('{"x": [{"b": 1, "\\u0062": 2}]}', 1, 17, 'the key "b" stands here a second time'),
        ('{"runtimes": []}', 1, 14, "runtimes must be an object, this is an array"),
        ('{"runtimes": {"nvidia": "x"}}', 1, 25, "runtimes.nvidia must be an object, this is a string"),
        ('{"runtimes": {"kata": {"path": 1}}}', 1, 32, "runtimes.kata.path must be a string, this is a number"),
        ('{"runtimes": {"kata": {"runtimeArgs": [true]}}}', 1, 40, "must be a string, this is a boolean"),
        ('{"runtimes": {"kata": {"path": "a", "Path": "b"}}}', 1, 37, 'dockerd takes "Path" for a second path'),
        ('{"Runtimes": {}}', 1, 2, 'it is spelt "runtimes"'),
        ('{"default-runtime": 1}', 1, 21, "default-runtime must be a string, this is a number"),
        ("[" * 100_000, 1, 102, "nested more than 100 levels deep"),
    ],
)
def test_what_is_no_daemon_json_is_refused_with_its_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(NotAccepted) as refused:
        register(text.encode(), "nvidia", NVIDIA)
    assert (refused.value.line, refused.value.column) == (line, column)
    assert message in refused.value.message


def test_bytes_that_are_no_utf8_are_refused_with_their_place() -> None:
    with pytest.raises(NotAccepted, match="line 2, column 3: not valid UTF-8"):
        register(b'{\n"a\xff": 1}', "nvidia", NVIDIA)


def test_another_entry_of_that_name_is_shown_and_only_force_replaces_it() -> None:
    old = b'{"runtimes": {"nvidia": {"path": "/opt/x", "runtimeArgs": ["-v"]}, "kata": {"path": "/k"}}}'
    with pytest.raises(Differs, match=r"line 1, column 25.*/opt/x.*-v"):
        register(old, "nvidia", NVIDIA)
    forced = register(old, "nvidia", NVIDIA, force=True)
    assert forced.decode() == '{"runtimes": {"nvidia": ' + ENTRY + ', "kata": {"path": "/k"}}}'


@pytest.mark.parametrize(
    "entry",
    [
        '{"args": [], "path": "/usr/bin/nvidia-container-runtime"}',
        '{"PATH": "/usr/bin/nvidia-container-runtime", "runtimeArgs": null, "options": {}}',
    ],
)
def test_an_entry_that_docker_reads_the_same_way_is_left_alone(entry: str) -> None:
    old = ('{"runtimes": {"nvidia": ' + entry + "}}").encode()
    assert register(old, "nvidia", NVIDIA) == old


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"features": {"buildkit": true, "x": 1.0}}', '{"features": {"buildkit": true, "x": 1.0, "cdi": true}'),
        ('{"features": {"cdi": false, "buildkit": true}}', '{"features": {"cdi": true, "buildkit": true}'),
        ('{"features": {"cdi": true, "buildkit": true}}', '{"features": {"cdi": true, "buildkit": true}'),
    ],
)
def test_cdi_is_switched_on_beside_all_other_features(old: str, new: str) -> None:
    added = ', "runtimes": {"nvidia": ' + ENTRY + "}}"
    assert register(old.encode(), "nvidia", NVIDIA, cdi=True).decode() == new + added


def test_the_default_runtime_replaces_another_default() -> None:
    old = b'{"default-runtime": "kata", "runtimes": {"nvidia": ' + ENTRY.encode() + b"}}"
    assert register(old, "nvidia", NVIDIA, default=True) == old.replace(b'"kata"', b'"nvidia"')
    assert settings(old).default == "kata"


def test_no_secret_of_another_key_reaches_the_diff() -> None:
    old = (
        b'{\n  "proxies": {"https-proxy": "http://u:hunter2@proxy"},\n  "registry-mirrors": ["https://u:tok3n@m"]\n}\n'
    )
    shown = diff("daemon.json", old, register(old, "nvidia", NVIDIA, default=True))
    assert "hunter2" not in shown and "tok3n" not in shown
    assert '+      "path": "/usr/bin/nvidia-container-runtime"' in shown
    assert "hunter2" not in diff("daemon.json", old, old[:-3])


def test_a_diff_hides_nothing_but_secrets() -> None:
    text = """{
  "data-root": "/srv/docker",
  "dns": ["10.0.0.2"],
  "log-opts": {"splunk-token": "hunter2", "splunk-url": "https://splunk.corp.example:8088"},
  "labels": ["rack=7", "api_key=hunter2"],
  "proxies": {"https-proxy": "http://proxy.corp.example:3128", "http-proxy": "http://ada:hunter2@proxy:3128"},
  "storage-opts": ["dm.basesize=20G"]
}
"""
    shown = diff("daemon.json", None, text.encode())
    expected = text.replace("ada:hunter2", "REDACTED").replace("hunter2", "REDACTED")
    assert [line[1:] for line in shown.splitlines()[3:]] == expected.splitlines()


@pytest.mark.slow
def test_a_file_of_two_megabytes_is_edited_within_seconds() -> None:
    old = json.dumps({f"key {number}": {"value": ["x" * 20]} for number in range(40_000)}, indent=1).encode()
    started = time.process_time()
    assert register(old, "nvidia", NVIDIA).endswith(b"}\n }\n}")
    assert len(old) > 2_000_000 and time.process_time() - started < 10
