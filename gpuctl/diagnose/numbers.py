"""Errors that a condensed text names by their number: `Xid 79`, `CUDA error 999`, `cuInit returned 3`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from gpuctl.frozen import dataclass

SHOWN = 3
"""Hits of one number in one text: what repeats tells nothing more."""

_BEFORE = rb"(?:runtime|driver|api|library|vram|init(?:ialization|_v2)?|call|execution|kernel|launch|[:\-(])"
_AFTER = rb"(?:with|code|error|status|result|number|value|[:=#\-,.(\[{]|>)"
_FAILED = (
    rb"(?:(?:errors?|err|failure|returned|returns|return|retval)"
    + _AFTER
    + rb"{0,6}?|(?:failed|fails|fail)"
    + _AFTER
    + rb"{1,6}?)"
)
_CALL = (
    rb"(?:[a-z_0-9]{2,30}?\([^()]{0,60}\)|getdevicecount|getdevice|setdevice|malloc|free|memcpy|memgetinfo"
    rb"|devicesynchronize|streamsynchronize|drivergetversion|getdeviceproperties|launchkernel)"
)
_NUMBER = rb"0{0,3}(\d{1,3})(?![0-9]|\.\d|x)"
_SAYS = _BEFORE + rb"{0,5}?" + _FAILED
"""What stands between the name of an interface and the number of its error."""
_CUDA_CALL = rb"(?:rt)?" + _CALL + rb"?" + _SAYS


@dataclass(frozen=True)
class _Form:
    """How a kind of error is told: the letters that it begins with, which most text lacks, and all of it.

    `in_words`: it is of a GPU only where it is a word of its own, or the text around is of GPUs.
    """

    kind: str
    begins: bytes
    pattern: re.Pattern[bytes]
    in_words: bool = False


@dataclass(frozen=True)
class Numbered:
    """Where a text names an error: its kind, its number, and the letters from the first to behind the last."""

    kind: str
    number: int
    start: int
    end: int


def _form(kind: str, begins: bytes, rest: bytes, in_words: bool = False) -> _Form:
    return _Form(kind, begins, re.compile(begins + rest + _NUMBER), in_words)


_FORMS = (
    _form("xid", b"xid", rb"\((?:pci:)?[0-9a-f]{4,8}:[0-9a-f:.]{2,12}\)[:,]?"),
    _form("xid", b"xid", rb"(?:-|(?:s|errors?|code|event|critical|[:=#(])*)", in_words=True),
    _form(
        "cuda", b"cud", rb"(?:a(?:driverlibraryfailedto[a-z]{3,40}?[:=]?|" + _CUDA_CALL + rb")|rivergetversion\(\):)"
    ),
    _form("cuda", b"cuinit", rb"(?:\(\):|(?:\(\w{0,20}\))?" + _SAYS + rb")"),
    _form("cuda", b"initfailure", rb"[:=]?"),
    _form("cuda", b"cudafailedtoinitialize", rb".{0,120}?\(error"),
    _form("cuda", b"fromcudagetdevicecount", rb".{0,160}?error"),
    _form("cuda", b"cudaerror_t", rb"[:=]?"),
    _Form("cuda", b"cudasuccess(", re.compile(rb"cudasuccess\((\d{1,3})vs")),
    _Form("cuda", b"error80", re.compile(rb"error(80[2-5])(?!\d)")),
    _form("nvml", b"nvml", rb"[a-z_0-9]{0,30}?(?:\([^()]{0,60}\))?" + _SAYS),
)
_ABOUT_GPUS = re.compile(rb"nvrm|nvidia|gpu|cuda|dmesg")
_AROUND = 200
_IN_A_WORD = re.compile(rb"(?<=[a-z0-9_])xid")


def numbered(text: bytes) -> Iterator[Numbered]:
    """Yields the errors that a condensed text names by number, each a few times."""
    seen: Counter[tuple[str, int]] = Counter()
    for form in (form for form in _FORMS if form.begins in text):
        for found in form.pattern.finditer(text):
            error = form.kind, int(found[1])
            seen[error] += 1
            if seen[error] <= SHOWN and _is_told(form, found, text):
                yield Numbered(*error, found.start(), found.end())


def _is_told(form: _Form, found: re.Match[bytes], text: bytes) -> bool:
    """Whether it is of a GPU: `xid` is also the end of other words, such as txid."""
    if not form.in_words or not _IN_A_WORD.match(text, found.start()):
        return True
    around = text[max(0, found.start() - _AROUND) : found.end() + _AROUND]
    return bool(_ABOUT_GPUS.search(around))
