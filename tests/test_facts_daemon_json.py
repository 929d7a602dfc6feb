"""daemon.json as the probes read it: what it says, and where what is wrong is."""

from __future__ import annotations

import pytest

from gpuctl.facts.docker.daemon_json import parse_config


@pytest.mark.parametrize("text", ["", " \n", "null", "{}", "\ufeff{}", '{"runtimes": null}'])
def test_a_daemon_json_that_says_nothing_is_no_error(text: str) -> None:
    assert parse_config("/d.json", text).error is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{\n  "debug": true,\n}', "line 3, column 1"),
        ("{} {}", "there is more behind the JSON value (line 1, column 4)"),
        ("[]", "it is not a JSON object (line 1, column 1)"),
        ('{"a": [1, {"b": "}"}],\n "runtimes": []}', "runtimes is not an object (line 2, column 14)"),
        ('{"runtimes": {"n":\n {"path": 7}}}', "the path of the runtime n is not a string (line 2, column 11)"),
        ('{"runtimes": {"n": "x"}}', "the runtime n is not an object (line 1, column 20)"),
        ('{"default-runtime": 1}', "default-runtime is not a string (line 1, column 21)"),
        ('{"mtu": NaN}', "NaN is not JSON"),
        ("[" * 100000, "line 1, column 1"),
    ],
)  # fmt: skip
def test_a_wrong_daemon_json_says_what_and_where(text: str, error: str) -> None:
    assert error in (parse_config("/d.json", text).error or "")


def test_daemon_json_gives_names_and_no_secrets_and_tells_of_keys_that_are_there_twice() -> None:
    text = '{"log-opts": {"splunk-token": "s3cret"}, "runtimes": {"n": {"path": "/n"}, "s": {}}, "mtu": %s, "mtu": 1}'
    found = parse_config("/d.json", text % ("9" * 5000))
    assert found.kinds == {"log-opts": "object", "runtimes": "object", "mtu": "number"}
    assert (found.runtimes, found.duplicates, found.error) == ({"n": "/n", "s": None}, ("mtu",), None)
    assert "s3cret" not in repr(found)


def test_half_a_surrogate_pair_can_be_printed() -> None:
    assert parse_config("/d.json", r'{"\ud800": 1}').keys == {"?"}
