#!/usr/bin/env python3
"""Says whether a PDF is a form, and which fields it has."""

import cli
from documents import Field, fields, read


def type_name(one: Field) -> str:
    names = {"/Tx": "Text", "/Btn": "Button/Checkbox", "/Ch": "Choice/Dropdown", "/Sig": "Signature"}
    return names.get(one.type, "Unknown")


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = [
        {"name": one.name, "type": one.type, "type_name": type_name(one), "value": one.value}
        for one in fields(read(arguments.input))
    ]
    if arguments.json:
        cli.write_json({"has_fields": bool(found), "count": len(found), "fields": found}, None)
    elif not found:
        print("This PDF has no fields: fill it by place (extract_form_structure, fill_pdf_form_with_annotations).")
    else:
        print(f"{len(found)} fields:")
        for one in found:
            print(f"- {one['name']} ({one['type_name']}): {one['value'] if one['value'] is not None else 'empty'}")


if __name__ == "__main__":
    cli.run(main)
