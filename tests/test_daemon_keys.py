"""The keys of daemon.json that the table knows, against the dockerd that is here."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from gpuctl.compat.knowledge.daemon_keys import daemon_keys, is_tried, spelling, unknown_keys, wrong_kinds

INVENTED = ("bogus", "Runtimes", "containerd-plugin-namespace")
SAMPLES = {"string": "x", "array": [], "object": {}, "boolean": True, "number": 1}


def refusal(folder: Path, settings: dict[str, object], *flags: str) -> str:
    """What dockerd says to a file that it cannot take."""
    config = folder / "daemon.json"
    config.write_text(json.dumps(settings))
    command = ["dockerd", f"--config-file={config}", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=300).stderr


def this_dockerd() -> str:
    return subprocess.run(["dockerd", "--version"], capture_output=True, text=True).stdout.split()[2].rstrip(",")


def test_dockerd_itself_knows_the_keys_that_the_table_gives_it_and_no_others(tmp_path: Path) -> None:
    # A label that is a flag as well keeps it from starting, whatever it thinks of the rest.
    every = dict.fromkeys([*daemon_keys(), *INVENTED], "x")
    said = refusal(tmp_path, every, "--label=a=b")
    refused = re.search(r"don't match any configuration option: ([^\n]*)", said)
    assert refused
    assert set(refused.group(1).split(", ")) == set(unknown_keys(every, this_dockerd()))


@pytest.mark.parametrize("key", ["hosts", "debug", "runtimes", "mtu", "default-shm-size"])
def test_dockerd_itself_refuses_the_kinds_of_value_that_the_table_calls_wrong(key: str, tmp_path: Path) -> None:
    wrong = [kind for kind in SAMPLES if wrong_kinds({key: kind})]
    assert len(wrong) == len(SAMPLES) - 1
    for kind in wrong:
        # A name server that is no address keeps it from starting, should it take the value after all.
        said = refusal(tmp_path, {key: SAMPLES[kind], "dns": ["nowhere"]})
        assert re.search("cannot unmarshal|invalid size", said), kind
    assert wrong_kinds({key: "null"}) == {}


def test_a_key_is_unknown_to_a_release_before_it_came_and_after_it_went() -> None:
    assert unknown_keys(["bogus", "debug", "proxies"]) == ("bogus",)
    assert unknown_keys(["debug", "proxies", "graph"], "20.10.24+dfsg1") == ("proxies",)
    assert unknown_keys(["debug", "proxies", "graph"], "28.5.2") == ("graph",)
    assert [is_tried(docker) for docker in (None, "19.03.8", "20.10.24+dfsg1", "28.5.2", "29.7.2")] == [
        False,
        False,
        True,
        True,
        False,
    ]


def test_a_key_in_other_letters_is_told_how_it_is_spelt() -> None:
    assert spelling("Runtimes") == "runtimes"
    assert spelling("log_level") == "log-level"
    assert (spelling("debug"), spelling("bogus")) == (None, None)
