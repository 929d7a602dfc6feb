"""How a value is put into a TOML text, and taken out, in the way in which its table is written there.

Whatever is done here to a valid document is looked at by a parser afterwards (toml_text), so nothing is judged.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from gpuctl.engines.merge import Keys, Values
from gpuctl.engines.spans import Span, newline, replaced
from gpuctl.engines.toml.places import Entry, Holder, Lost, Places, Section, TomlKind, Value, places, walk
from gpuctl.engines.toml.spelling import dotted, leaves, spelled, table

_BLANKS = re.compile(r"[ \t]*")
_LINE_END = re.compile(r"\r?\n")


def added(text: str, above: Keys, rest: Keys, value: Any) -> str:
    """Returns the text with a value at `above + rest`, of which only the table `above` is there.

    It goes into the table's braces where it has some, behind its dotted keys where it is made of such, below its
    header, or else, a table always, below a header of its own at the end. Raises Lost.
    """
    found = places(text)
    for _, _, path, entry in walk(found):
        if path == above and entry.value.kind is TomlKind.TABLE:
            braces = entry.value
            return replaced(text, [_inserted(text, braces, len(braces.entries), _nested(rest, value))])
    for holding, holder, path, entry in reversed(list(walk(found))):
        if len(holding) < len(above) < len(path) and path[: len(above)] == above:
            return _beside(text, holder, entry, list(leaves((*above, *rest)[len(holding) :], value)))
    if len(rest) == 1 and not isinstance(value, Mapping):
        for section in found.sections:
            if section.path == above:
                return _below(text, section, found, _pair(rest, value))
    if isinstance(value, Mapping):
        return _at_end(text, table((*above, *rest), value))
    return _at_end(text, table((*above, *rest[:-1]), {rest[-1]: value}))


def removed(text: str, paths: Collection[Keys]) -> str:
    """Returns the text without values: their lines, or their places in braces; of a table all lines, wherever they are.

    Comments above what goes stay, those in a table and beside a value go with it. Raises Lost.
    """
    found = places(text)
    spans = [_block(text, section) for section in found.sections[1:] if _is_below(section.path, paths)]
    braces: dict[int, tuple[Value, set[int]]] = {}
    for holding, holder, path, entry in walk(found):
        if _is_below(path, paths) and not _is_below(holding, paths):
            if isinstance(holder, Value):
                braces.setdefault(holder.start, (holder, set()))[1].add(entry.start)
            else:
                spans.append(_lines(text, entry.start, entry.value.end))
    for holder, starts in braces.values():
        spans += _without(text, holder, starts)
    return replaced(text, _joined(text, spans))


def _is_below(path: Keys, paths: Collection[Keys]) -> bool:
    return any(path[:depth] in paths for depth in range(1, len(path) + 1))


def without_bare_header(text: str, path: Keys) -> str:
    """Returns the text without a table's header that has nothing below it, no comment either. Raises Lost.

    One that stands before the headers of tables in it stays: somebody wrote it so. `added` puts it behind them.
    """
    found = places(text)
    number = next((number for number, section in enumerate(found.sections) if section.path == path), 0)
    section, later = found.sections[number], found.sections[number + 1 :]
    below = text[section.end : later[0].start if later else len(text)]
    if not number or below.strip() or any(one.path[: len(path)] == path for one in later):
        return text
    return replaced(text, _joined(text, [_block(text, section)]))


def replaced_value(text: str, path: Keys, there: Any, value: Any) -> str:
    """Returns the text with another value in the place of one that is no table. Raises Lost.

    Of an array the items that stay are not touched, nor are its comments. A string keeps its single quotes.
    """
    found = next((entry.value for _, _, here, entry in walk(places(text)) if here == path), None)
    if found is None:
        raise Lost(len(text))
    if isinstance(there, list) and isinstance(value, list) and len(there) == len(found.entries):
        return replaced(text, _array_edits(text, found, there, value))
    literal = isinstance(value, str) and value.isprintable() and "'" not in value
    new = f"'{value}'" if literal and text.startswith("'", found.start) else spelled(value)
    return replaced(text, [(found.start, found.end, new)])


def _array_edits(text: str, array: Value, there: Sequence[Any], wished: Sequence[Any]) -> list[Span]:
    old, new = ([spelled(item) for item in items] for items in (there, wished))
    edits: list[Span] = []
    gone: set[int] = set()
    for tag, start, end, new_start, new_end in SequenceMatcher(None, old, new).get_opcodes():
        if tag == "equal":
            continue
        both = min(end - start, new_end - new_start)
        pairs = zip(array.entries[start : start + both], new[new_start:], strict=False)
        edits += [(item.value.start, item.value.end, text_) for item, text_ in pairs]
        gone |= {item.start for item in array.entries[start + both : end]}
        if new[new_start + both : new_end]:
            edits.append(_inserted(text, array, start + both, ", ".join(new[new_start + both : new_end])))
    return [*edits, *_joined(text, _without(text, array, gone))]


def _inserted(text: str, holder: Value, index: int, new: str) -> Span:
    """What goes before the entry of that number, or behind the last one."""
    entries = holder.entries
    if index < len(entries):
        return (entries[index].start, entries[index].start, f"{new}, ")
    if not entries:
        close = holder.end - 1
        return (close, close, new + text[_before_blanks(text, close) : close])
    return _behind(entries[-1], new)


def _behind(entry: Entry, new: str) -> Span:
    """What goes behind an entry in brackets or braces."""
    if entry.comma >= 0:
        return (entry.comma + 1, entry.comma + 1, f" {new},")
    return (entry.value.end, entry.value.end, f", {new}")


def _without(text: str, holder: Value, gone: Collection[int]) -> list[Span]:
    """The spans of the entries that start there, and of the comma that would be left over in front of them."""
    entries = holder.entries
    spans = [_alone(text, entry) for entry in entries if entry.start in gone]
    kept = [entry for entry in entries if entry.start not in gone]
    if kept and gone and kept[-1].comma >= 0 and entries[-1].comma < 0 and kept[-1] is not entries[-1]:
        spans.append((kept[-1].comma, kept[-1].comma + 1, ""))
    return spans


def _alone(text: str, entry: Entry) -> Span:
    """An entry with its comma and the blanks that parted it, or its whole line where that has nothing else."""
    end = entry.comma + 1 if entry.comma >= 0 else entry.value.end
    start, after = _before_blanks(text, entry.start), _behind_blanks(text, end)
    if text[start - 1] == "\n":
        line_end = _LINE_END.match(text, after)
        return (start, line_end.end(), "") if line_end else (entry.start, after, "")
    return (entry.start, after, "") if start == entry.start else (start, end, "")


def _beside(text: str, holder: Holder, entry: Entry, new: Values) -> str:
    """The text with more dotted keys behind an entry that has such."""
    pairs = [_pair(keys, value) for keys, value in new]
    if isinstance(holder, Value):
        return replaced(text, [_behind(entry, ", ".join(pairs))])
    indent = _indent(text, entry.start)
    return _with_lines(text, _line_end(text, entry.value.end), [indent + pair for pair in pairs])


def _below(text: str, section: Section, found: Places, pair: str) -> str:
    """The text with a line right below a header; without one, below the other lines that have none."""
    indent = _indent(text, section.entries[0].start if section.entries else section.start)
    if section.path:
        at = _line_end(text, section.end)
    elif section.entries:
        at = _line_end(text, section.entries[-1].value.end)
    else:
        at = 0 if len(found.sections) > 1 else len(text)
    return _with_lines(text, at, [indent + pair])


def _at_end(text: str, lines: Iterable[str]) -> str:
    return _with_lines(text, len(text), [*([""] if text else []), *lines])


def _with_lines(text: str, at: int, lines: Sequence[str]) -> str:
    """The text with lines at a line's start; one that ends without a line end does so afterwards too."""
    end = newline(text)
    if at == len(text) and text and not text.endswith("\n"):
        return text + end + end.join(lines)
    return text[:at] + "".join(line + end for line in lines) + text[at:]


def _block(text: str, section: Section) -> Span:
    """The lines of a section: with a blank one before it, and without comments behind it, which are the next one's."""
    start, end, _ = _lines(text, section.start, section.entries[-1].value.end if section.entries else section.end)
    before = _line_start(text, start - 1) if start else start
    return (start if text[before:start].strip() else before, end, "")


def _lines(text: str, start: int, end: int) -> Span:
    return (_line_start(text, start), _line_end(text, end), "")


def _joined(text: str, spans: Iterable[Span]) -> list[Span]:
    """Spans that are taken out, those that touch as one. The line end before what is last goes where it had none."""
    joined: list[Span] = []
    for start, end, _ in sorted(spans):
        if joined and start <= joined[-1][1]:
            start, end = joined[-1][0], max(end, joined.pop()[1])
        joined.append((start, end, ""))
    if joined and joined[-1][1] == len(text) and not text.endswith("\n"):
        start, end, _ = joined.pop()
        joined.append((len(text[:start].removesuffix("\n").removesuffix("\r")), end, ""))
    return joined


def _pair(keys: Keys, value: Any) -> str:
    return f"{dotted(keys)} = {spelled(value)}"


def _nested(keys: Keys, value: Any) -> str:
    for key in reversed(keys[1:]):
        value = {key: value}
    return _pair(keys[:1], value)


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def _line_end(text: str, position: int) -> int:
    """Where the next line starts, the end of the text where none does."""
    return text.find("\n", position) + 1 or len(text)


def _indent(text: str, position: int) -> str:
    start = _line_start(text, position)
    return text[start : _behind_blanks(text, start)]


def _before_blanks(text: str, position: int) -> int:
    while text[position - 1] in " \t":
        position -= 1
    return position


def _behind_blanks(text: str, position: int) -> int:
    found = _BLANKS.match(text, position)
    return found.end() if found else position
