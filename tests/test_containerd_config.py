"""containerd's config.toml as a document: what is added, what stays, what is refused and where."""

from __future__ import annotations

import time
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import settings as tuned
from hypothesis import strategies as st

from gpuctl.documents import load_toml as load
from gpuctl.engines.containerd import (
    CRI_PLUGINS,
    RUNC_V2,
    RUNTIME_PLUGIN,
    Differs,
    Release,
    default_of,
    enable,
    merged,
    missing_runc,
    plugin_of,
    register,
    runtimes_of,
    settings,
    wished_entry,
)
from gpuctl.engines.merge import REMOVED, value_at
from gpuctl.engines.toml.shown import diff
from gpuctl.engines.toml.text import NotAccepted, line_of, set_values, values

PROGRAM = "/usr/bin/nvidia-container-runtime"
V2 = CRI_PLUGINS[1]
STOCK_DEBIAN = b"""version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
"""


OLD, NEW, NEWEST = (1, 6), (2, 1), (2, 3)


def registered(raw: bytes, release: Release = OLD, default: bool = False, force: bool = False) -> bytes:
    plugin = plugin_of([raw], 0, release)
    document = merged([raw], plugin, release)
    further = missing_runc(document, plugin) if release < (2, 0) else ()
    entry = wished_entry(document, plugin, "nvidia", PROGRAM)
    return register(raw, plugin, "nvidia", entry, default=default, force=force, further=further)


def entry_in(raw: bytes, plugin: str) -> Any:
    return value_at(values(raw), (*runtimes_of(plugin), "nvidia"))


KEY = st.sampled_from(["a", "b-c", '"io.containerd.x"', "'q'", "runc", "options", "containerd", f'"{V2}"', "plugins"])
SCALAR = st.sampled_from(
    ["1", "true", '"x"', "'y'", "1.5", "[1, 2]", '["a", # c\n  "b"]', '"""m\nn"""', "{k = 1}", "0xff"]
)
COMMENT = st.sampled_from(["", "  # beside"])


@st.composite
def _document(draw: st.DrawFn) -> str:
    """A valid document of tables in any order, with comments before, behind and between them."""
    lines = ["# at the top", f"version = {draw(st.sampled_from(['1', '2', '3']))}{draw(COMMENT)}"]
    for table in draw(st.lists(st.lists(KEY, min_size=1, max_size=4), max_size=5)):
        lines += draw(st.sampled_from([[], [""], ["", "# about the next"]]))
        header = ".".join(["plugins", *table])
        candidate = [f"{draw(st.sampled_from(['', '  ']))}[{header}]{draw(COMMENT)}"]
        keys = draw(st.lists(KEY, max_size=3, unique=True))
        candidate += [f"  {key} = {draw(SCALAR)}{draw(COMMENT)}" for key in keys]
        lines += candidate if _is_toml("\n".join([*lines, *candidate])) else []
    return "\n".join([*lines, *draw(st.sampled_from([[], ["# at the end"], [""]]))])


def _is_toml(text: str) -> bool:
    try:
        load(text)
        tomlkit.parse(text)
    except (ValueError, tomlkit.exceptions.TOMLKitError):
        return False
    return True


@tuned(deadline=None)  # the machine may be busy
@given(_document(), st.booleans())
def test_every_other_value_comment_and_line_survives_in_its_order(text: str, default: bool) -> None:
    old = text.encode()
    try:
        new = registered(old, default=default)
    except NotAccepted:  # a table stands where a value would have to, or the other way round
        return
    wished = load(text)
    plugin = plugin_of([old], 0, OLD)
    for path in [(*runtimes_of(plugin), name) for name in ("nvidia", "runc")] + [default_of(plugin)]:
        _copy(values(new), wished, path)
    assert values(new) == wished
    kept = iter(new.decode().splitlines())
    assert all(line in kept for line in text.splitlines() if "default_runtime_name" not in line), "a line is gone"
    assert registered(new, default=default) == new


def _copy(source: Any, target: Any, path: tuple[str, ...]) -> None:
    value = value_at(source, path)
    if value is not REMOVED:
        for key in path[:-1]:
            target = target.setdefault(key, {})
        target[path[-1]] = value


@pytest.mark.parametrize(
    ("raw", "release", "plugin"),
    [
        (b"", OLD, "cri"),
        (b"version = 1\n", OLD, "cri"),
        (b"version = 2\n", OLD, V2),
        (b"version = 2\n", NEW, V2),
        (b"version = 3\n", NEW, RUNTIME_PLUGIN),
        (b"version = 4\n", NEWEST, RUNTIME_PLUGIN),
        (b"", NEW, RUNTIME_PLUGIN),  # 2.x does not take over the CRI table of version 1
    ],
)
def test_the_runtime_goes_into_the_table_that_this_containerd_reads(raw: bytes, release: Release, plugin: str) -> None:
    assert plugin_of([raw], 0, release) == plugin
    new = registered(raw, release, default=True)
    assert entry_in(new, plugin)["runtime_type"] == RUNC_V2
    assert value_at(values(new), default_of(plugin)) == "nvidia"


def test_the_entry_is_added_behind_all_else_and_the_default_in_its_table() -> None:
    assert (
        registered(STOCK_DEBIAN).decode()
        == STOCK_DEBIAN.decode()
        + f"""
[plugins."{V2}".containerd.runtimes.runc]
runtime_type = "{RUNC_V2}"

[plugins."{V2}".containerd.runtimes.nvidia]
privileged_without_host_devices = false
runtime_type = "{RUNC_V2}"

[plugins."{V2}".containerd.runtimes.nvidia.options]
BinaryName = "{PROGRAM}"
"""
    )
    old = f'version = 2\n[plugins."{V2}".containerd]\n  snapshotter = "x" # why\n\n# about runc\n'
    old += f'[plugins."{V2}".containerd.runtimes.runc]\n  runtime_type = "{RUNC_V2}"\n'
    new = registered(old.encode(), default=True).decode()
    assert new.startswith(old.replace("  snap", '  default_runtime_name = "nvidia"\n  snap'))


def test_runcs_cgroup_driver_and_spec_are_inherited_and_not_those_of_a_kata_default() -> None:
    raw = f"""version = 2
[plugins."{V2}".containerd]
  default_runtime_name = "kata"
[plugins."{V2}".containerd.runtimes.kata]
  runtime_type = "io.containerd.kata.v2"
  pod_annotations = ["io.katacontainers.*"]
[plugins."{V2}".containerd.runtimes.kata.options]
  ConfigPath = "/opt/kata.toml"
[plugins."{V2}".containerd.runtimes.runc]
  runtime_type = "{RUNC_V2}"
  base_runtime_spec = "/etc/containerd/cri-base.json"
[plugins."{V2}".containerd.runtimes.runc.options]
  SystemdCgroup = true
""".encode()
    assert entry_in(registered(raw), V2) == {
        "runtime_type": RUNC_V2,
        "privileged_without_host_devices": False,
        "base_runtime_spec": "/etc/containerd/cri-base.json",
        "options": {"BinaryName": PROGRAM, "SystemdCgroup": True},
    }


USED = {
    "the default": ("site", {"site": "BinaryName = '/opt/site'\nSystemdCgroup = true", "runc": ""}),
    "the default before runc": ("site", {"site": "SystemdCgroup = true", "runc": "SystemdCgroup = false"}),
    "runc where the default is NVIDIA's": ("nvidia-cdi", {"nvidia-cdi": "", "runc": "SystemdCgroup = true"}),
    "runc where the default calls NVIDIA's program": (
        "gpu",
        {"gpu": f"BinaryName = '{PROGRAM}'", "runc": "SystemdCgroup = true"},
    ),
    "crun where there is no runc": ("", {"crun": "SystemdCgroup = true"}),
}
PLUGINS = [(1, OLD, "cri"), (2, OLD, V2), (2, NEW, V2), (3, NEW, RUNTIME_PLUGIN)]


@pytest.mark.parametrize(("version", "release", "plugin"), PLUGINS)
@pytest.mark.parametrize("kind", ["", "io.containerd.runtime.v1.linux", "io.containerd.runc.v1"])
@pytest.mark.parametrize(("default", "options"), USED.values(), ids=list(USED))
def test_the_entry_has_what_the_runtime_has_that_containers_use(
    version: int, release: Release, plugin: str, kind: str, default: str, options: dict[str, str]
) -> None:
    at = f'plugins."{plugin}".containerd'
    text = f'version = {version}\n[{at}]\ndefault_runtime_name = "{default}"\n'
    for name, said in options.items():
        table = f"{at}.runtimes.{name}"
        text += f'[{table}]\nruntime_type = "{kind}"\nsnapshotter = "{name}"\n[{table}.options]\n{said}\n'
    entry = entry_in(registered(text.encode(), release), plugin)
    assert (entry["runtime_type"], entry["options"]) == (RUNC_V2, {"BinaryName": PROGRAM, "SystemdCgroup": True})
    assert "SystemdCgroup = true" in options[entry["snapshotter"]]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('disabled_plugins = ["cri"]\n', "disabled_plugins = []\n"),
        ('disabled_plugins = ["aufs", "cri"] # why\n', 'disabled_plugins = ["aufs"] # why\n'),
        (f'version = 2\ndisabled_plugins = ["{V2}", "x.y"]\n', 'version = 2\ndisabled_plugins = ["x.y"]\n'),
    ],
)
def test_cri_is_taken_out_of_the_disabled_plugins_and_nothing_else_is(old: str, new: str) -> None:
    assert registered(old.encode()).decode().startswith(new)
    assert enable(old.encode()).decode() == new


def test_what_nvidia_ctk_or_a_person_registered_alike_is_left_and_what_differs_is_named_with_its_line() -> None:
    raw = f"""version = 2
[plugins."{V2}".containerd.runtimes.nvidia]
  runtime_engine = ""
  runtime_type = "{RUNC_V2}"
  container_annotations = ["cdi.k8s.io/*"]
  [plugins."{V2}".containerd.runtimes.nvidia.options]
    BinaryName = "{PROGRAM}"
    SystemdCgroup = false
""".encode()
    assert registered(raw, NEW) == raw
    other = raw.replace(PROGRAM.encode(), b"/opt/other")
    with pytest.raises(Differs, match=f"another way: its BinaryName is /opt/other, not {PROGRAM}") as refused:
        registered(other)
    assert refused.value.line == 2
    assert entry_in(registered(other, force=True), V2)["options"] == {"BinaryName": PROGRAM}


def test_the_old_default_table_that_goes_before_the_name_is_not_overlooked() -> None:
    raw = (
        f'version = 2\n[plugins."{V2}".containerd.default_runtime]\n  runtime_type = "io.containerd.runtime.v1.linux"\n'
    )
    with pytest.raises(NotAccepted, match="line 2: the old table default_runtime goes before"):
        registered(raw.encode(), default=True)


def test_imports_replace_the_whole_table_up_to_1_7_and_are_merged_from_2_0_on() -> None:
    main = f'version = 2\n[plugins."{V2}".containerd.runtimes.runc]\nruntime_type = "x"\n'.encode()
    drop_in = f'disabled_plugins = ["cri"]\n[plugins."{V2}".containerd]\ndefault_runtime_name = "y"\n'.encode()
    old, new = (settings(merged([main, drop_in], V2, release), V2) for release in (OLD, NEW))
    assert (old.runtimes, old.default, old.disabled) == ({}, "y", True)
    assert (new.runtimes, new.default, new.disabled) == ({"runc": ""}, "y", True)


def head(version: int, *tables: str) -> str:
    return f"version = {version}\n" * bool(version) + "".join(tables)


def runtimes(plugin: str, program: str, default: str = "") -> str:
    """A runtime nvidia; with a default runtime's name, that and runc with its cgroup driver."""
    at = f'plugins."{plugin}".containerd'
    runc = f'[{at}.runtimes.runc]\nruntime_type = "{RUNC_V2}"\n[{at}.runtimes.runc.options]\nSystemdCgroup = true\n'
    nvidia = f'[{at}.runtimes.nvidia]\nruntime_type = "{RUNC_V2}"\n[{at}.runtimes.nvidia.options]\n'
    named = f'[{at}]\ndefault_runtime_name = "{default}"\n{runc}' if default else ""
    return f'{named}{nvidia}BinaryName = "{program}"\n'


MIXED = [
    (OLD, head(0), head(2, runtimes(V2, "/d", "runc")), ("/d", True, "runc")),
    (OLD, head(3), head(2, runtimes(V2, "/d", "runc")), ("/d", True, "runc")),
    (OLD, head(3, runtimes(V2, "/m", "nvidia")), head(0), ("/m", True, "nvidia")),
    (OLD, head(2, runtimes(V2, "/m", "runc")), head(3, runtimes(RUNTIME_PLUGIN, "/d")), ("/m", True, "runc")),
    (OLD, head(2), head(1, runtimes(V2, "/d", "runc")), (None, None, "runc")),
    (NEW, head(0), head(2, runtimes(V2, "/d", "nvidia")), ("/d", True, "nvidia")),
    (NEW, head(3), head(2, runtimes(V2, "/d", "nvidia")), ("/d", True, "nvidia")),
    (NEW, head(3, runtimes(RUNTIME_PLUGIN, "/m")), head(2, runtimes(V2, "/d", "nvidia")), ("/m", None, "nvidia")),
    (NEW, head(2, runtimes(V2, "/m", "nvidia")), head(3, runtimes(RUNTIME_PLUGIN, "/d")), ("/d", None, "runc")),
    (NEW, head(2, runtimes(V2, "/m", "nvidia")), head(2, runtimes(RUNTIME_PLUGIN, "/d")), ("/d", None, "nvidia")),
    (NEWEST, head(1, runtimes("cri", "/m", "nvidia")), head(0), ("/m", True, "nvidia")),
    (NEWEST, head(3, runtimes(RUNTIME_PLUGIN, "/m")), head(2, runtimes(V2, "/d", "nvidia")), ("/d", True, "nvidia")),
    (NEWEST, head(4, runtimes(V2, "/m", "nvidia")), head(3, runtimes(V2, "/d")), ("/d", None, "runc")),
    (NEWEST, head(0), head(3, runtimes(RUNTIME_PLUGIN, "/d", "nvidia")), ("/d", True, "nvidia")),
]
"""A release, a main file, one that it imports, and what `containerd config dump` makes of them (1.6.20, 2.1.9, 2.3.4):
nvidia's program, runc's SystemdCgroup and the default runtime."""


@pytest.mark.parametrize(("release", "main", "drop_in", "dumped"), MIXED)
def test_files_of_several_versions_say_together_what_that_containerd_makes_of_them(
    release: Release, main: str, drop_in: str, dumped: tuple[str | None, bool | None, str]
) -> None:
    files = [main.encode(), drop_in.encode()]
    document = merged(files, V2, release)
    said, cgroup = settings(document, V2), value_at(document, (*runtimes_of(V2), "runc", "options", "SystemdCgroup"))
    assert (said.runtimes.get("nvidia"), cgroup is True or None, said.default or "runc") == dumped
    for index, raw in enumerate(files):  # what is added to either counts, with what the default runtime has
        name = plugin_of(files, index, release)
        entry = wished_entry(merged(files, name, release), name, "new", PROGRAM)
        new = register(raw, name, "new", entry, default=False, force=False)
        now = settings(merged([*files[:index], new, *files[index + 1 :]], V2, release), V2)
        is_hidden = release < (2, 0) and not index and value_at(values(files[1]), ("plugins", name)) is not REMOVED
        assert (now.runtimes.get("new") == PROGRAM) is not is_hidden
        assert ("SystemdCgroup" in entry["options"]) is bool(dumped[1])


@pytest.mark.parametrize(("release", "versions"), [(NEW, (4, 0)), (NEW, (3, 4)), (NEWEST, (2, 3)), (NEWEST, (1, 2))])
def test_files_of_versions_that_keep_containerd_from_starting_are_refused(
    release: Release, versions: tuple[int, int]
) -> None:
    with pytest.raises(NotAccepted, match=f"does not start with a file of version {max(versions)} here"):
        merged([head(version).encode() for version in versions], V2, release)


HOSTILE = [
    (b"\x00\x01\x02\xff", "not valid UTF-8"),
    (b"version = 2\nx = \x00\n", "line 2: not valid TOML"),
    (b"\xef\xbb\xbfversion = 2\n", "line 1: it starts with a byte order mark"),
    (b"version = 2\nversion = 2\n", "line 2: not valid TOML: Cannot overwrite a value"),
    (b"[a]\nb = 1\n[a]\n", "line 3: not valid TOML"),
    (b"version = 2\n[plugins", "line 2: not valid TOML"),
    (b'version = "2"\n', "line 1: version '2' is none that gpuctl knows"),
    (b"version = 99\n", "version 99"),
    (b"version = 2\nplugins = 1\n", "plugins is not a table"),
    (f'version = 2\nplugins."{V2}".containerd.runtimes = []\n'.encode(), "runtimes is not a table"),
    (f'version = 2\nplugins."{V2}".containerd.runtimes.nvidia = "x"\n'.encode(), "nvidia is not a table"),
    (b'disabled_plugins = "cri"\n', "disabled_plugins is not an array"),
    (b"a = " + b"[" * 100_000, "nested more than 50 levels deep"),
    (b"a = " + b"{a = " * 50_000, "nested more than 50 levels deep"),
    (b"[" + b".".join([b"a"] * 20_000) + b"]\n", "nested more than 50 levels deep"),
]


@pytest.mark.parametrize(("raw", "sentence"), HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_such_file_is_refused_with_one_sentence(raw: bytes, sentence: str) -> None:
    started = time.process_time()
    with pytest.raises(NotAccepted) as refused:
        registered(raw)
    assert sentence in str(refused.value) and "\n" not in str(refused.value)
    assert time.process_time() - started < 5


WRONG = st.sampled_from(["1", '"x"', "true", "[]", "[1, {}]", "{}", "{a = 1}", "[[1]]", "1979-05-27", "{runtimes = 1}"])
PLACES = ["version", "disabled_plugins", "imports", "plugins", f'plugins."{V2}"', f'plugins."{V2}".containerd']
PLACES += [f"{PLACES[-1]}.{key}" for key in ("runtimes", "default_runtime", "default_runtime_name", "runtimes.runc")]
PLACES += [f"{PLACES[5]}.runtimes.{key}" for key in ("runc.options", "nvidia", "nvidia.options", "nvidia.runtime_type")]


@tuned(deadline=None)  # the machine may be busy
@given(st.dictionaries(st.sampled_from(PLACES), WRONG, max_size=4), st.booleans())
def test_wrong_types_end_in_a_sentence_or_in_a_registered_runtime(wrong: dict[str, str], force: bool) -> None:
    raw = "".join(f"{place} = {value}\n" for place, value in {"version": "2", **wrong}.items()).encode()
    try:
        new = registered(raw, default=True, force=force)
    except NotAccepted as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert entry_in(new, plugin_of([raw], 0, OLD))["options"]["BinaryName"] == PROGRAM


def test_single_values_are_taken_away_again_and_what_was_there_before_is_back() -> None:
    for raw in (STOCK_DEBIAN, b"", b"# none\n", b'version = 2\r\n[grpc]\r\n  address = "/x"\r\n# end'):
        new = registered(raw, default=True)
        plugin = plugin_of([raw], 0, OLD)
        paths = [*((*runtimes_of(plugin), name) for name in ("nvidia", "runc")), default_of(plugin)]
        back = set_values(new, [(path, REMOVED) for path in paths])
        assert back.decode().rstrip("\r\n") == raw.decode().rstrip("\r\n")


def test_no_secret_is_in_a_diff() -> None:
    raw = f"""version = 2
# password = "hunter1"
[plugins."{V2}".registry.configs."r.example".auth]
  password = "hunter2" # was 'hunter3'
  hosts = ["hunter4", # "hunter7"
  {{ p = \"\"\"hunter5
  hunter6\"\"\" }}]
""".encode()
    text = diff("/etc/containerd/config.toml", raw, registered(raw))
    assert "hunter" not in text and f'+BinaryName = "{PROGRAM}"' in text


def test_a_diff_hides_nothing_but_secrets() -> None:
    raw = f"""version = 2
root = "/var/lib/containerd" # "as before"
[plugins."{V2}".registry]
  config_path = "/etc/containerd/certs.d"
[plugins."{V2}".registry.mirrors."docker.io"]
  endpoint = ["https://mirror.corp.example", "https://ada:hunter2@other.corp.example"]
[proxy_plugins.stargz]
  address = "/run/containerd-stargz-grpc/containerd-stargz-grpc.sock"
""".encode()
    shown = diff("/etc/containerd/config.toml", None, raw)
    expected = raw.decode().replace("ada:hunter2", "REDACTED")
    assert [line[1:] for line in shown.splitlines()[3:]] == expected.splitlines()


def test_a_line_is_found_by_header_or_by_key() -> None:
    text = '[a]\nb = 1\n[a."c.d"]\ne = 2\n'
    assert [line_of(text, path) for path in (("a", "c.d"), ("a", "c.d", "e"), ("a", "b"), ("x", "y"))] == [3, 4, 2, 0]
