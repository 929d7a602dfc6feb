"""Error text without its coats: what signatures are compared with.

Engines wrap a core line in ever deeper quotes and escapes, Compose, kubelet and journald put words in front of it,
terminals colour it and break it anywhere. None of that counts: only printable ASCII does, without white space, quotes
and case. So the encoding does not matter either: UTF-16 has NULs between such letters, and others differ beyond ASCII.
"""

from __future__ import annotations

import re

_IGNORED = b"\"'`\\|<>*"
"""Quotes, what quoted mail and Markdown put around text, and what JSON writes as an escape."""
_LETTERS = bytes(letter for letter in range(0x21, 0x7F) if letter not in _IGNORED)
_OTHERS = bytes(set(range(256)) - set(_LETTERS))
_LOWER = bytes(range(256)).lower()

# Each of these takes time that grows with the text alone: what repeats cannot begin anew within itself.
_ESCAPE = rb"(?:\x1b|\\u001b|\\x1b|\\033|\\e|#033|\^\[)"
_STEERING = re.compile(_ESCAPE + rb"(?:\[[0-?]*[ -/]*[@-~]|\][^\]\x07\x1b\n]*(?:\x07|\x1b\\)|[()][0-9A-Z]|[=>78])")
"""What steers a terminal (ECMA-48): itself, or as JSON, syslog and `cat -v` show it."""
_NUMBERS = re.compile(rb"\[(?:\d{1,3}, ?){8,}\d{1,3}\]")
"""A message that `journalctl -o json` gives as numbers, because it holds what is not printable."""
_ESCAPED = re.compile(rb"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|&(?:#\d{1,5}|quot|apos|lt|gt|amp);")
_ESCAPED_SPACE = re.compile(rb"\\[nrt]|#01[0-5]")


def cleaned(raw: bytes) -> bytes:
    """Returns text with its line feeds, but without NULs, terminal escapes and escaped white space."""
    text = raw.translate(None, b"\0")
    if b"MESSAGE" in text:
        text = _NUMBERS.sub(_spelt, text)
    if any(mark in text for mark in (b"\x1b", b"\\", b"#0", b"^[")):
        text = _ESCAPED_SPACE.sub(b" ", _STEERING.sub(b"", text))
    return text


def _spelt(numbers: re.Match[bytes]) -> bytes:
    values = [int(digits) for digits in numbers[0][1:-1].split(b",")]
    return bytes(value if value != 0x0A else 0x20 for value in values if value < 256)


def condensed(text: bytes) -> bytes:
    """Returns the letters of a text that count, in lower case."""
    if b"\\u" in text or b"\\x" in text or b"&" in text:
        text = _ESCAPED.sub(b"", text)
    return text.translate(_LOWER, _OTHERS)


def position(line: bytes, letters: int) -> int:
    """Returns where in a line stands the letter of that number among those that count; its end where there is none."""
    start, end = 0, len(line)
    while start < end:  # by halves: a line may be megabytes long
        middle = (start + end) // 2
        counted = len(line[start : middle + 1].translate(None, _OTHERS))
        if counted > letters:
            end = middle
        else:
            start, letters = middle + 1, letters - counted
    return start


def readable(line: bytes) -> str:
    """Returns a line for people: UTF-8 where it is that, else Latin-1, white space made single spaces."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    return " ".join(text.split())
