"""What a new image lacks of an old one, for people and as JSON."""

from __future__ import annotations

from gpuctl.dockerfile.difference import Compared, system_of
from gpuctl.dockerfile.old_image import OldImage
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import as_json, document

_WIDTH = 14


def image_diff_text(compared: Compared, old: OldImage, new: OldImage) -> Styled:
    """Returns the differences, a line each."""
    text = Styled(f"{plain(new.config.reference)} beside {plain(old.config.reference)}\n\n", "bold")
    for one in compared.differences:
        text.append(f"{one.subject.value:<{_WIDTH}}", "yellow").append(f"{plain(one.text)}\n")
    if not compared.differences:
        text.append("Nothing is lacking.\n" if not compared.unknown else "Nothing is lacking, as far as it was seen.\n")
    for note in compared.notes:
        text.append(f"{'note':<{_WIDTH}}", "dim").append(f"{plain(note)}\n")
    for reason in compared.unknown:
        text.append(f"{'unknown':<{_WIDTH}}", "dim").append(f"{plain(reason)}\n")
    return text


def image_diff_json(compared: Compared, old: OldImage, new: OldImage) -> str:
    """Returns the differences as JSON."""
    body = {
        "old": _image_json(old),
        "new": _image_json(new),
        "differences": as_json(compared.differences),
        "notes": compared.notes,
        "unknown": compared.unknown,
    }
    return document("image-diff", body)


def _image_json(image: OldImage) -> dict[str, object]:
    return {
        "reference": image.config.reference,
        "source": image.config.source,
        "system": system_of(image),
        "files_read": image.contents is not None,
    }
