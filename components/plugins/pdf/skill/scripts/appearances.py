"""How the text of a field looks on its page, as far as it can be drawn here. What cannot is left to
whoever shows the file: a reader has fonts of its own."""

import unicodedata
from typing import Any

from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject, TextStringObject
# Its own; `plugin.toml` pins pypdf.
from pypdf.generic._appearance_stream import TextStreamAppearance

from documents import Field, Widget, shown

# Written from right to left, which pypdf does not do.
RIGHT_TO_LEFT = ("R", "AL", "AN")


class Appearance(TextStreamAppearance):
    """Knows whether its text can be read: pypdf writes something even where the font lacks a letter."""

    is_readable = False

    def _generate_appearance_stream_data(self, text: str = "", *arguments: Any, **named: Any) -> bytes:
        letters = arguments[3] if len(arguments) > 3 else named.get("font_glyph_byte_map")
        codes = [(letters or {}).get(letter) for letter in text if letter not in "\r\n"]
        # Codes of several bytes are written as numbers, and pypdf's escapes would be numbers of their own.
        escapes = "\\" in text and any(code is not None and len(code) > 1 for code in codes)
        turned = any(unicodedata.bidirectional(letter) in RIGHT_TO_LEFT for letter in text)
        self.is_readable = None not in codes and not escapes and not turned
        return super()._generate_appearance_stream_data(text, *arguments, **named)


def draw(writer: Any, one: Field, text: str | list[str]) -> bool:
    """Draws the text in every place of the field, or takes its old looks away; says whether it is drawn."""
    made = [(place, appearance(writer, one, place, text)) for place in one.widgets if place.rect is not None]
    is_drawn = all(stream.is_readable for _, stream in made)
    for place, stream in made:
        if is_drawn:
            # A new one: the old one may be that of other fields as well.
            place.object[NameObject("/AP")] = DictionaryObject({NameObject("/N"): writer._add_object(stream)})
        else:
            place.object.pop("/AP", None)
    return is_drawn


def are_drawn(all_fields: list[Field]) -> bool:
    """Whether every text and choice that holds something is drawn."""
    return all("/AP" in place.object for one, place in shown(all_fields) if one.type in ("/Tx", "/Ch") and one.value)


def appearance(writer: Any, one: Field, place: Widget, text: str | list[str]) -> Appearance:
    """pypdf looks for some of these at the field alone, where they may be inherited."""
    displayed = [one.display(part) for part in text] if isinstance(text, list) else [one.display(text)]
    strings = [TextStringObject(part) for part in displayed]
    field = DictionaryObject({
        NameObject("/FT"): NameObject(one.type),
        NameObject("/Ff"): NumberObject(one.flags),
        NameObject("/V"): ArrayObject(strings) if one.is_list else TextStringObject(", ".join(displayed)),
        NameObject("/Q"): NumberObject(one.get("/Q") or 0),
    })
    widget = DictionaryObject({key: value for key, value in place.object.items() if key != "/AP"})
    for key in ("/DA", "/MaxLen"):
        if key not in widget and one.get(key) is not None:
            widget[NameObject(key)] = one.get(key)
    if one.is_list:
        widget[NameObject("/Opt")] = ArrayObject(TextStringObject(display) for _, display in one.options)
    stream = Appearance.from_text_annotation(writer.root_object["/AcroForm"].get_object(), field, widget)
    old = (place.object.get("/AP") or {}).get("/N") or {}
    if "/Matrix" in old:
        # Of a field that is turned.
        stream[NameObject("/Matrix")] = old["/Matrix"]
    return stream
