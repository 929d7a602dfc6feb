"""What may have been meant by a word that is not known."""

from __future__ import annotations

from collections.abc import Iterable

_MOST = 3
_LOOKED_AT = 5000
"""Names that are compared letter by letter, which takes half a second for so many."""


def did_you_mean(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Returns a question that names what is spelt most like a word, a space before it; "" where nothing is like it.

    What begins or ends with it comes first: of names that a program has made, a person knows a part. `likeness` is the
    least ratio that difflib has to find, from 0 to 1.
    """
    from difflib import get_close_matches

    names = list(dict.fromkeys(known))
    parts = [one for one in names if one.startswith(f"{word}-") or one.endswith(f"/{word}")]
    near = parts[:_MOST] or get_close_matches(word, names[:_LOOKED_AT], cutoff=likeness)
    return f" Did you mean {' or '.join(near)}?" if near else ""
