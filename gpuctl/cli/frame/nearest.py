"""What may have been meant by a word that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Returns a question that names what is spelt most like a word, a space before it; "" where nothing is like it.

    `likeness` is the least ratio that difflib has to find, from 0 to 1.
    """
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), cutoff=likeness)
    return f" Did you mean {' or '.join(near)}?" if near else ""
