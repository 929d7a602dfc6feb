"""An SVG document, built as XML: what is written into it can be nothing but text."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

_NAMESPACE = "http://www.w3.org/2000/svg"


def picture(width: float, height: float, style: str, paper: str, title: str, description: str) -> Canvas:
    """Returns an empty picture on a ground of the colour `paper`, named and described for those who cannot see it."""
    named = {"role": "img", "aria-labelledby": "title description"}
    size = {"width": _number(width), "height": _number(height), "viewBox": f"0 0 {width:g} {height:g}"}
    top = Xml.Element("svg", {"xmlns": _NAMESPACE, **size, **named})
    Xml.SubElement(top, "title", {"id": "title"}).text = title
    Xml.SubElement(top, "desc", {"id": "description"}).text = description
    Xml.SubElement(top, "style").text = style
    canvas = Canvas(top)
    canvas.box(0, 0, width, height, fill=paper)
    return canvas


class Canvas:
    """A picture, or a group of shapes in one. All lengths are in pixels; y grows downwards."""

    def __init__(self, top: Xml.Element) -> None:
        self._top = top

    def group(self, title: str, opacity: float = 1) -> Canvas:
        """Returns a new group with a title, which viewers show when the pointer rests on it."""
        group = Xml.SubElement(self._top, "g", {"opacity": _number(opacity)} if opacity != 1 else {})
        Xml.SubElement(group, "title").text = title
        return Canvas(group)

    def text(self, x: float, y: float, words: str, style: str, anchor: str = "start") -> None:
        """Writes words whose baseline is at y; `style` are classes, `anchor` start, middle or end."""
        where = {"x": _number(x), "y": _number(y), "class": style}
        element = Xml.SubElement(self._top, "text", where if anchor == "start" else {**where, "text-anchor": anchor})
        element.text = words

    def pair(self, x: float, y: float, first: tuple[str, str], second: tuple[str, str]) -> None:
        """Writes two pieces of words, each with its classes, side by side around x, however wide the font is."""
        element = Xml.SubElement(self._top, "text", {"x": _number(x), "y": _number(y), "text-anchor": "middle"})
        for (words, style), gap in ((first, {}), (second, {"dx": "8"})):
            Xml.SubElement(element, "tspan", {"class": style, **gap}).text = words

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str,
        stroke: str = "none",
        stroke_width: float = 1.2,
        radius: float = 0,
        dashes: str = "",
    ) -> None:
        """Draws a rectangle; `dashes` as in stroke-dasharray."""
        where = {"x": x, "y": y, "width": width, "height": height, "rx": radius}
        looks = {"fill": fill, "stroke": stroke, "stroke-width": _number(stroke_width), "stroke-dasharray": dashes}
        shown = {name: value for name, value in looks.items() if value}
        Xml.SubElement(self._top, "rect", {**{name: _number(length) for name, length in where.items()}, **shown})

    def line(self, x: float, y: float, to_x: float, to_y: float, colour: str) -> None:
        """Draws a thin line."""
        ends = {"x1": _number(x), "y1": _number(y), "x2": _number(to_x), "y2": _number(to_y)}
        Xml.SubElement(self._top, "line", {**ends, "stroke": colour})

    def circle(self, x: float, y: float, radius: float, fill: str, stroke: str) -> None:
        """Draws a circle."""
        where = {"cx": _number(x), "cy": _number(y), "r": _number(radius)}
        Xml.SubElement(self._top, "circle", {**where, "fill": fill, "stroke": stroke, "stroke-width": "1.5"})

    def path(self, shape: str, colour: str) -> None:
        """Draws a line along a path, as the attribute d describes it."""
        looks = {"fill": "none", "stroke": colour, "stroke-width": "2.4", "stroke-linecap": "round"}
        Xml.SubElement(self._top, "path", {"d": shape, **looks})

    def document(self) -> bytes:
        """Returns the picture as a file's content."""
        return bytes(Xml.tostring(self._top, "utf-8", xml_declaration=True)) + b"\n"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
