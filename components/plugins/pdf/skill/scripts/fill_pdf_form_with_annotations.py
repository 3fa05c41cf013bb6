#!/usr/bin/env python3
"""Writes text onto given places of a PDF, for forms without fields.

The specification is one object for each page, or a list of them: {"page": 0, "fields": [{"x": 200,
"y": 705, "value": "X", "font_size": 10, "font": "Helvetica", "color": [0, 0, 0]}]}. Places are points
of the displayed page from its bottom left, colours numbers from 0 to 1 or from 0 to 255.
"""

import io
from typing import Any

from pypdf import PdfReader, PdfWriter
from pypdf.annotations import FreeText
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas

import cli
import pictures
from documents import Display, read


def color_of(given: Any) -> tuple[float, float, float]:
    numbers = given if given is not None else [0, 0, 0]
    right = isinstance(numbers, list) and len(numbers) == 3
    if not right or not all(isinstance(number, (int, float)) and 0 <= number <= 255 for number in numbers):
        raise cli.Failure(f"color {given}: use three numbers from 0 to 1 or from 0 to 255")
    scale = 255 if max(numbers) > 1 else 1
    return numbers[0] / scale, numbers[1] / scale, numbers[2] / scale


def font_for(name: str, text: str) -> str:
    """The font, or DejaVu Sans where the text has letters that the standard fonts lack."""
    if name in pdfmetrics.standardFonts:
        try:
            text.encode("cp1252")
            return name
        except UnicodeEncodeError:
            path = pictures.dejavu()
            if path is None:
                raise cli.Failure("the text has letters that Helvetica lacks, and DejaVu Sans is not installed; name a font file") from None
            name = path
    try:
        pdfmetrics.registerFont(TTFont(name, name))
    except (TTFError, OSError) as error:
        raise cli.Failure(f"font {name}: neither a standard font nor a TrueType file: {error}") from error
    return name


def in_reading_order(text: str) -> str:
    """Right-to-left text as it is drawn, from the left."""
    if text.isascii():
        return text
    try:
        from bidi import get_display
    except ImportError:
        return text
    return get_display(text)


class Place:
    """One text, checked."""

    def __init__(self, given: Any, display: Display) -> None:
        if not isinstance(given, dict) or "value" not in given:
            raise cli.Failure(f"fields: {given} is no object with x, y and value")
        try:
            self.x, self.y = float(given["x"]), float(given["y"])
            self.size = float(given.get("font_size", 10))
        except (KeyError, TypeError, ValueError) as error:
            raise cli.Failure(f"fields: {given}: x, y and font_size are numbers") from error
        self.text = str(given["value"])
        self.font = str(given.get("font", "Helvetica"))
        self.color = color_of(given.get("color"))
        if not (0 <= self.x <= display.width and 0 <= self.y <= display.height):
            cli.warn(f"`{self.text}` at {self.x}, {self.y} lies outside of the page ({display.width:g} × {display.height:g})")


def overlay(page: Any, display: Display, places: list[Place]) -> None:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(display.left + display.inner_width, display.bottom + display.inner_height))
    for place in places:
        canvas.saveState()
        canvas.translate(*display.to_page(place.x, place.y))
        # Upright for the reader, however the page is turned.
        canvas.rotate(display.rotation)
        canvas.setFillColorRGB(*place.color)
        canvas.setFont(font_for(place.font, place.text), place.size)
        canvas.drawString(0, 0, in_reading_order(place.text))
        canvas.restoreState()
    canvas.save()
    page.merge_page(PdfReader(buffer).pages[0])


def annotate(writer: PdfWriter, index: int, display: Display, places: list[Place]) -> None:
    for place in places:
        far = (place.x + 0.6 * place.size * max(len(place.text), 1), place.y + 1.4 * place.size)
        (x0, y0), (x1, y1) = display.to_page(place.x, place.y), display.to_page(*far)
        color = "".join(f"{round(part * 255):02x}" for part in place.color)
        annotation = FreeText(
            text=place.text,
            rect=(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)),
            font=place.font,
            font_size=f"{place.size:g}pt",
            font_color=color,
            border_color=None,
            background_color=None,
        )
        writer.add_annotation(page_number=index, annotation=annotation)


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("spec", help="the JSON file")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--method", choices=("overlay", "annot"), default="overlay", help="text of the page, or annotations that can be changed")
    arguments = parser.parse_args()
    spec = cli.read_json(arguments.spec)
    writer = PdfWriter(clone_from=read(arguments.input))
    cli.check_pages(len(writer.pages))
    count = 0
    for entry in spec if isinstance(spec, list) else [spec]:
        if not isinstance(entry, dict) or not isinstance(entry.get("fields"), list):
            raise cli.Failure(f"{arguments.spec}: each page is an object with `fields`")
        index = pictures.page_index(int(entry.get("page", 0)), len(writer.pages), 0)
        display = Display(writer.pages[index])
        places = [Place(given, display) for given in entry["fields"]]
        if arguments.method == "overlay":
            overlay(writer.pages[index], display, places)
        else:
            annotate(writer, index, display, places)
        count += len(places)
    with open(arguments.output, "wb") as file:
        writer.write(file)
    print(f"wrote {count} texts: {arguments.output}")


if __name__ == "__main__":
    cli.run(main)
