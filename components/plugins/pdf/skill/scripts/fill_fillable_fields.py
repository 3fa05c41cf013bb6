#!/usr/bin/env python3
"""Fills the fields of a form from a JSON object of names and values."""

import os
import shutil
import subprocess
import tempfile
from typing import Any

from pypdf import PdfWriter
from pypdf.generic import ArrayObject, NameObject, TextStringObject

import appearances
import cli
from documents import Field, fields, plain, read


def as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def on_state(one: Field, value: Any) -> str:
    """The state of a button for a value: its own name for `on`, not a guessed one."""
    known = [state for widget in one.widgets for state in widget.on_states]
    if value is False or value is None or as_text(value).lower() in ("", "off", "/off", "false", "no"):
        return "/Off"
    named = "/" + as_text(value).removeprefix("/")
    if named in known:
        return named
    if one.is_radio:
        raise cli.Failure(f"{one.name}: `{as_text(value)}` is none of its choices: {', '.join(known) or 'none'}")
    # Without an appearance nobody can know the name; `/Yes` is the usual one.
    return known[0] if known else "/Yes"


def press(one: Field, value: Any) -> None:
    state = NameObject(on_state(one, value))
    one.object[NameObject("/V")] = state
    for place in one.widgets:
        shown = state if state in place.on_states or (not place.on_states and len(one.widgets) == 1) else NameObject("/Off")
        place.object[NameObject("/AS")] = shown


def write_text(writer: PdfWriter, one: Field, value: Any) -> bool:
    """Sets the value, and says whether it could be drawn as well."""
    text: Any = [as_text(part) for part in value] if isinstance(value, list) and one.type == "/Ch" else as_text(value)
    most = one.get("/MaxLen")
    if most is not None and isinstance(text, str) and len(text) > int(most):
        cli.warn(f"{one.name}: `{text}` is longer than {int(most)} characters and was cut")
        text = text[: int(most)]
    # On the field's own object: one whose name ends alike is another.
    several = isinstance(text, list)
    one.object[NameObject("/V")] = ArrayObject(map(TextStringObject, text)) if several else TextStringObject(text)
    # What else says which value it has.
    for key in ("/I", "/RV"):
        one.object.pop(key, None)
    return appearances.draw(writer, one, text)


def fill(writer: PdfWriter, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What the fields should hold from now on, and which of them could not be drawn."""
    wanted: dict[str, Any] = {}
    undrawn: list[str] = []
    known = fields(writer)
    for name, value in values.items():
        # Fields of one name have one value.
        same = [one for one in known if one.name == name]
        if not same:
            cli.warn(f"there is no field `{name}`; it is ignored")
        for one in same:
            if one.type == "/Sig" or one.is_push_button:
                cli.warn(f"{name}: a signature or push button cannot be filled; it is ignored")
                continue
            if one.type == "/Btn":
                press(one, value)
            elif not write_text(writer, one, value):
                undrawn.append(name)
            wanted[name] = plain(one.object["/V"])
    return wanted, undrawn


def count_filled(path: str, wanted: dict[str, Any]) -> int:
    """How many of these the written file holds; warns of the others."""
    held: dict[str, list[Any]] = {}
    for one in fields(read(path)):
        held.setdefault(one.name, []).append(one.value)
    missed = [name for name, value in wanted.items() if any(found != value for found in held.get(name, [None]))]
    for name in missed:
        cli.warn(f"{name}: could not be filled")
    return len(wanted) - len(missed)


def flatten(path: str) -> None:
    """Makes the fields part of the page: nobody can change them any more."""
    if shutil.which("qpdf") is None:
        raise cli.Failure("--flatten needs qpdf, which is not installed")
    command = ["qpdf", "--generate-appearances", "--flatten-annotations=all", "--remove-acroform"]
    done = subprocess.run([*command, path, f"{path}.flat"], capture_output=True, text=True)
    if done.returncode not in (0, 3):
        # Older ones know no --remove-acroform.
        command.pop()
        done = subprocess.run([*command, path, f"{path}.flat"], capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise cli.Failure(f"qpdf could not flatten it: {' '.join(done.stderr.split())[:200]}")
    os.replace(f"{path}.flat", path)


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("values", help='the JSON file: {"name": "Alice", "agreed": true}')
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--flatten", action="store_true", help="make the fields part of the pages")
    arguments = parser.parse_args()
    values = cli.read_json(arguments.values)
    if not isinstance(values, dict):
        raise cli.Failure(f"{arguments.values}: must be an object of names and values")
    reader = read(arguments.input)
    cli.check_pages(len(reader.pages))
    if not fields(reader):
        raise cli.Failure(f"{arguments.input}: has no fields; use extract_form_structure and fill_pdf_form_with_annotations")
    writer = PdfWriter(clone_from=reader)
    wanted, undrawn = fill(writer, values)
    if undrawn and arguments.flatten:
        raise cli.Failure(
            f"--flatten: the fonts of these fields cannot show their text: {', '.join(undrawn)}. "
            "Fill them without --flatten, or write there with fill_pdf_form_with_annotations"
        )
    if undrawn:
        cli.warn(f"the form's fonts lack letters of {', '.join(undrawn)}: readers show it in their own, pictures made here do not")
        writer.set_need_appearances_writer(True)
    elif arguments.flatten and appearances.are_drawn(fields(writer)):
        # Otherwise qpdf would draw them anew, and each in one line.
        writer.set_need_appearances_writer(False)
    folder = os.path.dirname(os.path.abspath(arguments.output))
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".pdf", delete=False) as file:
        writer.write(file)
    try:
        # A flat file has no fields any more.
        filled = count_filled(file.name, wanted)
        if arguments.flatten:
            flatten(file.name)
        os.chmod(file.name, 0o644)
        os.replace(file.name, arguments.output)
    except BaseException:
        os.unlink(file.name)
        raise
    print(f"filled {filled} fields: {arguments.output}")


if __name__ == "__main__":
    cli.run(main)
