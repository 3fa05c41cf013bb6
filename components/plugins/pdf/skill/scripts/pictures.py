"""Pictures of pages."""

import os
from typing import Any

import pypdfium2
from PIL import ImageDraw, ImageFont

import cli

COLORS = {"/Tx": (220, 38, 38), "/Btn": (37, 99, 235), "/Ch": (22, 163, 74), "/Sig": (234, 88, 12)}
OTHER = (107, 114, 128)


def open_for_rendering(path: str) -> Any:
    document = pypdfium2.PdfDocument(path)
    document.init_forms()
    return document


def render(document: Any, index: int, dpi: int, pixels: cli.Pixels) -> Any:
    """One page as it is displayed, with its form fields."""
    if not 20 <= dpi <= 1200:
        raise cli.Failure(f"--dpi {dpi}: use 20 to 1200")
    page = document[index]
    scale = dpi / 72
    pixels.take(page.get_width() * scale, page.get_height() * scale)
    return page.render(scale=scale, may_draw_forms=True).to_pil().convert("RGB")


def outline(picture: Any, box: tuple[float, float, float, float], color: tuple[int, int, int], text: str, fill: bool = False) -> None:
    draw = ImageDraw.Draw(picture, "RGBA")
    draw.rectangle(box, outline=color, width=max(2, picture.width // 600), fill=(*color, 60) if fill else None)
    if text:
        draw.text((box[0] + 2, max(0, box[1] - 13)), text, fill=color, font=font(text))


def font(text: str) -> Any:
    path = dejavu()
    if path is None:
        if not text.isascii():
            cli.warn("the names are not all readable: the font DejaVu Sans is not installed")
        return ImageFont.load_default()
    return ImageFont.truetype(path, 11)


def dejavu() -> str | None:
    path = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
    return path if os.path.exists(path) else None


def numbered(path: str, page: int, several: bool) -> str:
    """`out.png` for one page, `out-p2.png` for the second of several. `page` counts from 0."""
    if not several:
        return path
    stem, ending = os.path.splitext(path)
    return f"{stem}-p{page + 1}{ending}"


def page_index(index: int, count: int, first: int) -> int:
    """Checks the number of a page, whose numbers begin with `first`; returns it counted from 0."""
    if not first <= index < count + first:
        raise cli.Failure(f"--page {index}: the file has the pages {first} to {count + first - 1}")
    return index - first
