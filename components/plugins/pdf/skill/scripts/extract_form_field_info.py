#!/usr/bin/env python3
"""Lists the fields of a form with all that is needed to fill them, as JSON."""

from typing import Any

import cli
from documents import Field, fields, plain, read

READ_ONLY, REQUIRED = 1 << 0, 1 << 1


def info(one: Field) -> dict[str, Any]:
    place = one.widgets[0] if one.widgets else None
    most = one.get("/MaxLen")
    return {
        "name": one.name,
        "type": one.type,
        "value": one.value,
        "default_value": plain(one.get("/DV")),
        "rect": place.rect if place else None,
        "page": place.page if place else None,
        "flags": one.flags,
        "read_only": bool(one.flags & READ_ONLY),
        "required": bool(one.flags & REQUIRED),
        "max_length": int(most) if most is not None else None,
        "options": [{"export": export, "display": display} for export, display in one.options] if one.type == "/Ch" else None,
        # For buttons: what `true` stands for, or the choices of a radio group.
        "on_states": sorted({state for widget in one.widgets for state in widget.on_states}) if one.type == "/Btn" else None,
        "tooltip": plain(one.get("/TU")),
    }


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("-o", "--output", help="write to this file")
    arguments = parser.parse_args()
    cli.write_json([info(one) for one in fields(read(arguments.input))], arguments.output)


if __name__ == "__main__":
    cli.run(main)
