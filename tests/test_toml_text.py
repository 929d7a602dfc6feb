"""The one editor of TOML: what is wished changes in whatever way it is spelled, and every other byte stays."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import settings as tuned
from hypothesis import strategies as st

from gpuctl.documents import load_toml
from gpuctl.engines import containerd, crio
from gpuctl.engines.merge import REMOVED, Keys, changed, same, taken_out, value_at
from gpuctl.engines.toml.layout import without_bare_header
from gpuctl.engines.toml.spelling import dotted, spelled
from gpuctl.engines.toml.text import NotAccepted, line_of, set_values, values

KEYS = ["a", "b", "c-d", "io.x/y", "", "é", 'q"\\', "#", "1", "[x]"]
LITERALS = [
    "1",
    "true",
    "-0.5",
    "nan",
    "-inf",
    "0xff",
    "123456789012345678901234567890",
    "1979-05-27",
    "1979-05-27 07:32:00Z",
    "07:32:00.5",
    '"x # ] } , = y"',
    "'[t]'",
    '"""\n[a]\nb = 1 # no comment\n"""',
    "'''\n[[a]]''''",
    '"""\\"""\\\n  ""x"""',
    '""',
    "[]",
    "[ ]",
    '["]", "["]',
    "[1, [2, 3]]",
    "[ # in\n  1, # one\n\n  2\n  # last\n]",
    "[\n  'a',\n  'b', # b\n]",
    "[{a = 1}, {b = {}}]",
]
NEW: list[Any] = [1, True, 1.5, 'x"\n\\', [], ["p"], ["a", "b", "c"], [2], {}, {"k": 1}, {"k": {"l": "x"}, "m": [1, 2]}]

key = st.sampled_from(KEYS)
literal = st.sampled_from(LITERALS)
rows = st.lists(st.dictionaries(key, literal, max_size=2), min_size=1, max_size=2)
tree: st.SearchStrategy[Any] = st.recursive(
    literal | rows, lambda inner: st.dictionaries(key, inner, max_size=3), max_leaves=8
)


class Writer:
    """Writes a tree of literals in one of the many ways in which TOML can say it."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.comments = 0

    def document(self, table: dict[str, Any]) -> str:
        first, *blocks = self.blocks((), table, is_root=True)
        lines = [*first, *(line for block in self.draw(st.permutations(blocks)) for line in block), *self.above()]
        text = self.draw(st.sampled_from(["\n", "\r\n"])).join("\n".join(lines).split("\n"))
        return text + self.draw(st.sampled_from(["", "\n", "\n\n"]))

    def blocks(self, path: Keys, table: dict[str, Any], is_root: bool = False) -> list[list[str]]:
        indent = self.draw(st.sampled_from(["", "  ", "\t"]))
        lines, below = [], []
        for name, value in table.items():
            ways = {dict: ["header", "dotted", "inline"], list: ["rows", "inline"]}.get(type(value), ["inline"])
            way = self.draw(st.sampled_from(ways))
            if way == "header":
                below += self.blocks((*path, name), value)
            elif way == "rows":
                below.append([line for row in value for line in self.row((*path, name), row)])
            else:
                pairs = self.pairs((name,), value, is_inline=way == "inline")
                lines += [line for pair in pairs for line in (*self.above(), f"{indent}{pair}{self.beside()}")]
        if is_root:
            return [lines, *below]
        if not lines and below and self.draw(st.booleans()):
            return below
        return [[*self.above(), f"{indent}[{self.keys(path)}]{self.beside()}", *lines], *below]

    def row(self, path: Keys, table: dict[str, Any]) -> list[str]:
        pairs = [pair for name, value in table.items() for pair in self.pairs((name,), value, is_inline=True)]
        return [*self.above(), f"[[{self.keys(path)}]]{self.beside()}", *pairs]

    def pairs(self, keys: Keys, value: Any, is_inline: bool) -> list[str]:
        if isinstance(value, dict) and value and not is_inline:
            return [
                pair
                for name, inner in value.items()
                for pair in self.pairs((*keys, name), inner, is_inline=self.draw(st.booleans()))
            ]
        return [f"{self.keys(keys)}{self.draw(st.sampled_from([' = ', '=']))}{self.inline(value)}"]

    def inline(self, value: Any) -> str:
        if isinstance(value, list):
            return f"[{', '.join(map(self.inline, value))}]"
        if not isinstance(value, dict):
            return str(value)
        pairs = [
            pair
            for name, inner in value.items()
            for pair in self.pairs((name,), inner, is_inline=self.draw(st.booleans()))
        ]
        blank = self.draw(st.sampled_from(["", " "]))
        return "{" + blank + f"{blank}, ".join(pairs) + (blank if pairs else "") + "}"

    def keys(self, keys: Keys) -> str:
        return self.draw(st.sampled_from([".", " . "])).join(self.key(name) for name in keys)

    def key(self, name: str) -> str:
        ways = [dotted((name,)), spelled(name), "".join(f"\\u{ord(letter):04x}" for letter in name).join('""')]
        return self.draw(st.sampled_from(ways))

    def above(self) -> list[str]:
        return self.draw(st.sampled_from([[], [""], [self.comment()], ["", f"  {self.comment()}", ""]]))

    def beside(self) -> str:
        return self.draw(st.sampled_from(["", f" {self.comment()}", "  "]))

    def comment(self) -> str:
        self.comments += 1
        return f'# {self.comments}: [a] = "b" \''


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A valid document, with comments anywhere."""
    return Writer(draw).document(draw(st.dictionaries(key, tree, max_size=4)))


@st.composite
def paths(draw: st.DrawFn, said: dict[str, Any]) -> Keys:
    """Keys that lead to something, or, from some table on, to nothing yet."""
    path: Keys = ()
    there: Any = said
    while isinstance(there, dict) and there and (not path or draw(st.booleans())):
        path += (draw(st.sampled_from(list(there))),)
        there = there[path[-1]]
    return path + tuple(draw(st.lists(st.sampled_from(["new", "a", "x.y"]), min_size=not path, max_size=2)))


def wished(said: dict[str, Any], path: Keys, value: Any) -> Any:
    """What a document is to say afterwards, written down in the plainest way; None where no table can be there."""
    result = copy.deepcopy(said)
    table: Any = result
    for name in path[:-1]:
        table = table.setdefault(name, {}) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        return None
    table[path[-1]] = value
    return result


def is_tidy(said: Any) -> Any:
    """The same without empty tables, which is all that may differ where a value went."""
    if not isinstance(said, dict):
        return said
    inner = {name: is_tidy(value) for name, value in said.items()}
    return {name: value for name, value in inner.items() if value != {}}


def second_opinion(text: str) -> Any:
    """What tomlkit reads, None where it does not take what tomllib takes."""
    try:
        return tomlkit.parse(text).unwrap()
    except (tomlkit.exceptions.TOMLKitError, ValueError):
        return None


@pytest.mark.slow
@tuned(deadline=None, max_examples=300)  # the machine may be busy
@given(st.data(), documents(), st.sampled_from(NEW))
def test_a_value_is_set_however_its_table_is_spelled(data: st.DataObject, text: str, value: Any) -> None:
    raw, said = text.encode(), load_toml(text)
    path = data.draw(paths(said))
    expected = wished(said, path, value)
    if expected is None:
        with pytest.raises(NotAccepted, match=r"^line \d+: .* is not a table$"):
            set_values(raw, [(path, value)])
        return
    if is_rows(text, path, value_at(said, path)) and not isinstance(value, dict):
        with pytest.raises(NotAccepted, match=r"^line \d+: gpuctl cannot change"):
            set_values(raw, [(path, value)])
        return
    new = set_values(raw, [(path, value)])
    assert same(values(new), expected)
    assert set_values(new, [(path, value)]) == new
    if same(second_opinion(text), said):
        assert second_opinion(new.decode()) is None or same(second_opinion(new.decode()), expected)
    if value_at(said, path) is REMOVED:
        assert common(raw, new) == len(raw), "more than one piece has changed"
        depth = next(depth for depth in range(1, len(path) + 1) if value_at(said, path[:depth]) is REMOVED)
        back = set_values(new, [(path[:depth], REMOVED)])
        assert back in (raw, without_lone_headers(text, path[:depth]).encode())


def is_rows(text: str, path: Keys, there: Any) -> bool:
    """Whether it is written as [[an array of tables]]."""
    lines = text.splitlines()
    return bool(isinstance(there, list) and there and lines[line_of(text, path) - 1].lstrip().startswith("[["))


def without_lone_headers(text: str, path: Keys) -> str:
    """Headers with nothing below them look as if they had come with the value."""
    for depth in reversed(range(1, len(path))):
        text = without_bare_header(text, path[:depth])
    return text


def common(old: bytes, new: bytes) -> int:
    """How many bytes of the old text are before and behind what is new, at most all."""
    start = next((place for place, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), len(old))
    rest = zip(reversed(old[start:]), reversed(new[start:]), strict=False)
    return start + next((place for place, (one, other) in enumerate(rest) if one != other), len(old) - start)


@pytest.mark.slow
@tuned(deadline=None, max_examples=200)  # the machine may be busy
@given(st.data(), documents())
def test_a_value_is_taken_out_however_its_table_is_spelled(data: st.DataObject, text: str) -> None:
    raw, said = text.encode(), load_toml(text)
    path = data.draw(paths(said))
    if wished(said, path, 0) is None:
        return
    new = set_values(raw, [(path, REMOVED)])
    expected = wished(said, path, {})
    assert same(is_tidy(values(new)), is_tidy(expected))
    left = iter(text.splitlines())
    assert all(line in left for line in new.decode().splitlines() if line.lstrip().startswith("#"))
    assert set_values(new, [(path, REMOVED)]) == new


CRIO = {"runtime_path": "/usr/bin/nvidia-container-runtime", "runtime_type": "oci", "monitor_path": "/usr/bin/conmon"}
CRIO_FORMS = {
    "dotted": '[crio.runtime]\ndefault_runtime = "crun" # ours\nruntimes.crun.runtime_path = "/c"\n\n[crio.image]\n',
    "dotted from the root": 'crio.runtime.default_runtime = "crun"\ncrio.runtime.runtimes.crun.runtime_path = "/c"\n',
    "indented": '[crio]\n\n  [crio.runtime]\n\t# why\n\tdefault_runtime = "crun"\n\n    [crio.runtime.runtimes.crun]\n'
    '      runtime_path = "/c"\n\n  [crio.network]\n',
    "inline": 'crio = { runtime = { default_runtime = "crun", runtimes = { crun = { runtime_path = "/c" } } } }\n',
    "inline and empty": "[crio]\nruntime = {}",
    "subtables first": '[crio.runtime.runtimes.crun]\nruntime_path = "/c"\n[crio.image]\n\n[crio.runtime]\n# none\n',
    "commented out": '# The crio.runtime table\r\n[crio.runtime]\r\n# default_runtime = "crun"\r\n\r\n# runtimes\r\n',
    "quoted keys": '["crio"."r\\u0075ntime"]\n"default_runtime" = \'crun\'\n',
    "a string that looks like it": '[crio.api]\nx = """\n[crio.runtime]\ndefault_runtime = "no"\n"""\n',
    "comments only": "# nothing\n\n",
    "blanks": " \t",
    "nothing": "",
    # https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html, by nvidia-ctk
    "nvidia-ctk's": '\n[crio]\n\n  [crio.runtime]\n    default_runtime = "crun"\n\n    [crio.runtime.runtimes]\n\n'
    '      [crio.runtime.runtimes.nvidia]\n        monitor_path = "/usr/bin/conmon"\n'
    '        runtime_path = "/usr/bin/nvidia-container-runtime"\n        runtime_type = "oci"\n',
}


@pytest.mark.parametrize("text", CRIO_FORMS.values(), ids=list(CRIO_FORMS))
def test_crio_gets_the_runtime_in_every_form_and_loses_nothing_but_it_again(text: str) -> None:
    raw = text.encode()
    new = crio.register(raw, "nvidia", CRIO, True, False)
    before, after = load_toml(text), values(new)
    at = ("crio", "runtime")
    expected = wished(wished(before, (*at, "runtimes", "nvidia"), CRIO), (*at, "default_runtime"), "nvidia")
    assert after == expected
    assert crio.register(new, "nvidia", CRIO, True, False) == new
    assert set_values(new, taken_out(changed(before, after), before, after)) == raw
    lines = iter(new.decode().splitlines())
    assert all(line in lines for line in text.splitlines() if "runtime" not in line or line.lstrip()[0] in "#[")


CONTAINERD_V2, CONTAINERD_V3 = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"
CONTAINERD_FORMS = {
    # https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html, by nvidia-ctk
    "version 1": ("cri", 'version = 1\n\n[plugins]\n\n  [plugins.cri]\n    [plugins.cri.containerd]\n      x = "y"\n'),
    "version 2": (
        CONTAINERD_V2,
        f'version = 2\n\n[plugins]\n\n  [plugins."{CONTAINERD_V2}"]\n\n    [plugins."{CONTAINERD_V2}".containerd]\n'
        f'      default_runtime_name = "runc"\n\n      [plugins."{CONTAINERD_V2}".containerd.runtimes]\n\n'
        f'        [plugins."{CONTAINERD_V2}".containerd.runtimes.runc]\n          runtime_type = "x" # c\n\n'
        f'          [plugins."{CONTAINERD_V2}".containerd.runtimes.runc.options]\n            SystemdCgroup = true\n',
    ),
    "version 3, single quotes": (
        CONTAINERD_V3,
        f"version = 3\n[plugins]\n  [plugins.'{CONTAINERD_V3}'.containerd.runtimes.runc]\n"
        "    runtime_type = 'io.containerd.runc.v2' # c\n",
    ),
    "dotted": (
        CONTAINERD_V2,
        f'version = 2\nplugins."{CONTAINERD_V2}".containerd.runtimes.runc.runtime_type = "io.containerd.runc.v2"\n'
        f'plugins."{CONTAINERD_V2}".containerd.default_runtime_name = "runc"\n# end',
    ),
    "inline": (
        CONTAINERD_V2,
        f'version = 2\n[plugins]\n"{CONTAINERD_V2}" = {{ containerd = {{ runtimes = {{ runc = {{}} }} }} }} # c\n',
    ),
}


@pytest.mark.parametrize(("plugin", "text"), CONTAINERD_FORMS.values(), ids=list(CONTAINERD_FORMS))
def test_containerd_gets_the_runtime_in_every_form_and_loses_nothing_but_it_again(plugin: str, text: str) -> None:
    raw, before = text.encode(), load_toml(text)
    entry = containerd.wished_entry(before, plugin, "nvidia", "/usr/bin/nvidia-container-runtime")

    def register(raw: bytes) -> bytes:
        return containerd.register(raw, plugin, "nvidia", entry, default=True, force=False)

    new = register(raw)
    after = values(new)
    at = ("plugins", plugin, "containerd")
    assert after == wished(wished(before, (*at, "runtimes", "nvidia"), entry), (*at, "default_runtime_name"), "nvidia")
    assert register(new) == new
    assert set_values(new, taken_out(changed(before, after), before, after)) == raw
    lines = iter(new.decode().splitlines())
    assert all(line in lines for line in text.splitlines() if "runtime" not in line or line.lstrip()[0] in "#[")


TOOLKIT = """\
#accept-nvidia-visible-devices-envvar-when-unprivileged = true
disable-require = false
supported-driver-capabilities = "compat32,compute"

[nvidia-container-cli]
environment = []
#ldconfig = "/sbin/ldconfig"
ldconfig = "@/sbin/ldconfig.real" # Ubuntu's
load-kmods = true
#no-cgroups = false

[nvidia-container-runtime]
log-level = "info"
mode = "auto"
runtimes = ["runc", "crun"]

    [nvidia-container-runtime.modes]

        [nvidia-container-runtime.modes.csv]
            mount-spec-path = "/etc/nvidia-container-runtime/host-files-for-container.d"
"""


def test_the_toolkits_own_config_changes_by_single_lines() -> None:
    cli = "nvidia-container-cli"
    changes = [((cli, "ldconfig"), "@/sbin/ldconfig"), ((cli, "no-cgroups"), True)]
    assert set_values(TOOLKIT.encode(), changes).decode() == TOOLKIT.replace(
        'ldconfig = "@/sbin/ldconfig.real"', 'ldconfig = "@/sbin/ldconfig"'
    ).replace(f"[{cli}]\n", f"[{cli}]\nno-cgroups = true\n")


@pytest.mark.parametrize(
    ("old", "wanted", "new"),
    [
        ('["a", "b"] # c', ["b"], '["b"] # c'),
        ('["a", "b"]', ["a"], '["a"]'),
        ('[ "a", # of a\n  "b", # of b\n  "c" ]', ["a", "c"], '[ "a", # of a\n  # of b\n  "c" ]'),
        ('[\n  "a",\n  "b", # of b\n  "c",\n]', ["b"], '[\n  "b", # of b\n]'),
        ('[\n  "a", # of a\n  "b"\n]', ["a"], '[\n  "a" # of a\n]'),
        ("[ # none\n]", ["a"], '[ # none\n"a"]'),
        ('["a", ]', ["a", "b"], '["a", "b", ]'),
        ('["a"]', ["x", "a"], '["x", "a"]'),
        ('["a", "b"]', [], "[]"),
    ],
)
def test_items_of_an_array_come_and_go_and_its_comments_stay(old: str, wanted: list[str], new: str) -> None:
    assert set_values(f"x = {old}\n".encode(), [(("x",), wanted)]).decode() == f"x = {new}\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[crio]\n[[crio.runtime]]\na = 1\n", "line 2: crio.runtime is not a table"),
        ("[crio.runtime]\nruntimes = [{}]\n", "line 2: crio.runtime.runtimes is not a table"),
        ("[crio.runtime.runtimes]\n'nvidia' = 1\n", "line 2: crio.runtime.runtimes.nvidia is not a table"),
        ("[a]\nb = 1\n'b' = 2\n", "line 3: not valid TOML: Cannot overwrite a value"),
        ("[a]\n[a]\n", "line 2: not valid TOML: Cannot declare"),
        ("a = {}\n[a.b]\n", "line 2: not valid TOML"),
        ("a = '''\n", "line 2: not valid TOML"),
        (f"x = {'9' * 5000}\n", "not valid TOML"),
    ],
)
def test_what_cannot_be_edited_is_refused_with_line_and_reason(text: str, sentence: str) -> None:
    with pytest.raises(NotAccepted) as refused:
        crio.register(text.encode(), "nvidia", CRIO, True, True)
    assert str(refused.value).startswith(sentence) and "\n" not in str(refused.value)
