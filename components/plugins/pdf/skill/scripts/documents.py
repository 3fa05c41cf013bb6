"""PDF files, their pages as they are displayed, and their form fields."""

from dataclasses import dataclass, field
from typing import Any, Iterator

from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject

import cli


def read(path: str) -> PdfReader:
    """Opens a file; one that is encrypted is tried with the empty password."""
    reader = PdfReader(path)
    if reader.is_encrypted and not reader.decrypt(""):
        raise cli.Failure(f"{path}: needs a password; decrypt it first: qpdf --password=… --decrypt in.pdf out.pdf")
    return reader


class Display:
    """A page as a reader sees it: cropped and turned. Its coordinates are points from the bottom left."""

    def __init__(self, page: Any) -> None:
        box = page.cropbox
        self.left, self.bottom = float(box.left), float(box.bottom)
        self.inner_width, self.inner_height = float(box.width), float(box.height)
        self.rotation = int(page.get("/Rotate", 0) or 0) % 360
        turned = self.rotation in (90, 270)
        self.width = self.inner_height if turned else self.inner_width
        self.height = self.inner_width if turned else self.inner_height

    def to_page(self, x: float, y: float) -> tuple[float, float]:
        """From the displayed page to the page's own space."""
        w, h = self.inner_width, self.inner_height
        u, v = {0: (x, y), 90: (w - y, x), 180: (w - x, h - y), 270: (y, h - x)}[self.rotation]
        return self.left + u, self.bottom + v

    def from_page(self, x: float, y: float) -> tuple[float, float]:
        """From the page's own space to the displayed page."""
        w, h = self.inner_width, self.inner_height
        u, v = x - self.left, y - self.bottom
        return {0: (u, v), 90: (v, w - u), 180: (w - u, h - v), 270: (h - v, u)}[self.rotation]

    def pixels(self, rect: list[float], scale: float) -> tuple[float, float, float, float]:
        """A rectangle of the page's own space in a picture of it: left, top, right, bottom."""
        (x0, y0), (x1, y1) = self.from_page(rect[0], rect[1]), self.from_page(rect[2], rect[3])
        x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        return x0 * scale, (self.height - y1) * scale, x1 * scale, (self.height - y0) * scale


@dataclass
class Widget:
    """Where a field is shown."""

    object: Any
    rect: list[float] | None
    page: int | None
    # Names of its appearances but `/Off`: what makes a button on.
    on_states: list[str] = field(default_factory=list)


@dataclass
class Field:
    """A field that holds a value."""

    name: str
    object: Any
    type: str
    flags: int
    widgets: list[Widget]
    inherited: dict[str, Any]

    def get(self, key: str) -> Any:
        value = self.inherited.get(key)
        return value.get_object() if isinstance(value, IndirectObject) else value

    @property
    def is_radio(self) -> bool:
        return self.type == "/Btn" and bool(self.flags & (1 << 15))

    @property
    def is_push_button(self) -> bool:
        return self.type == "/Btn" and bool(self.flags & (1 << 16))

    @property
    def is_list(self) -> bool:
        """A choice whose options are all in sight."""
        return self.type == "/Ch" and not self.flags & (1 << 17)

    @property
    def value(self) -> Any:
        return plain(self.get("/V"))

    @property
    def options(self) -> list[tuple[Any, Any]]:
        """Of a choice: what is exported and what is displayed."""
        made = []
        for option in self.get("/Opt") or []:
            option = plain(option)
            made.append((option[0], option[-1]) if isinstance(option, list) and option else (option, option))
        return made

    def display(self, value: str) -> str:
        """What is shown of a value."""
        return str(dict(self.options).get(value, value)) if self.type == "/Ch" else value


INHERITED = ("/FT", "/Ff", "/V", "/DV", "/DA", "/Q", "/MaxLen", "/Opt", "/TU")


def plain(value: Any) -> Any:
    """A PDF value as JSON has it."""
    if isinstance(value, IndirectObject):
        value = value.get_object()
    if value is None or isinstance(value, (bool, str)):
        return value if value is None or isinstance(value, bool) else str(value)
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return str(value)


def fields(document: Any) -> list[Field]:
    """The fields of a reader or writer, in the order of its form."""
    root = document.root_object if hasattr(document, "root_object") else document._root_object
    form = root.get("/AcroForm")
    form = form.get_object() if form is not None else None
    if not form or "/Fields" not in form:
        return []
    pages: dict[int, int] = {}
    for index, page in enumerate(document.pages):
        for annotation in page.get("/Annots") or ArrayObject():
            if isinstance(annotation, IndirectObject):
                pages[annotation.idnum] = index
    found: list[Field] = []
    seen: set[int] = set()
    for reference in form["/Fields"]:
        walk(reference, "", {}, pages, seen, found)
    return found


def walk(reference: Any, prefix: str, above: dict[str, Any], pages: dict[int, int], seen: set[int], found: list[Field]) -> None:
    if isinstance(reference, IndirectObject):
        # A form that contains itself ends here.
        if reference.idnum in seen:
            return
        seen.add(reference.idnum)
    node = reference.get_object()
    if not isinstance(node, DictionaryObject):
        return
    title = node.get("/T")
    name = prefix if title is None else f"{prefix}.{title}" if prefix else str(title)
    values = above | {key: node.raw_get(key) for key in INHERITED if key in node}
    kids = list(node.get("/Kids") or [])
    if any("/T" in kid.get_object() for kid in kids):
        for kid in kids:
            walk(kid, name, values, pages, seen, found)
        return
    widgets = [widget(kid, pages) for kid in kids] if kids else [widget(reference, pages)]
    kind = values.get("/FT")
    kind = str(kind.get_object() if isinstance(kind, IndirectObject) else kind)
    found.append(Field(name, node, kind, int(values.get("/Ff", 0) or 0), widgets, values))


def widget(reference: Any, pages: dict[int, int]) -> Widget:
    node = reference.get_object()
    rect = node.get("/Rect")
    rect = [float(number) for number in rect] if rect is not None else None
    page = pages.get(reference.idnum) if isinstance(reference, IndirectObject) else None
    appearances = (node.get("/AP") or {}).get("/N")
    appearances = appearances.get_object() if appearances is not None else None
    # A single appearance is a stream, several are a dictionary of them.
    states = list(appearances) if isinstance(appearances, DictionaryObject) and not hasattr(appearances, "get_data") else []
    return Widget(node, rect, page, [str(state) for state in states if state != "/Off"])


def shown(all_fields: list[Field]) -> Iterator[tuple[Field, Widget]]:
    """Every field with each place where it is shown."""
    for one in all_fields:
        for place in one.widgets:
            if place.rect is not None and place.page is not None:
                yield one, place
