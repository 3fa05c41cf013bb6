#!/usr/bin/env python3
"""Makes a picture of a filled form, with the filled fields highlighted, to look at before it is sent."""

import cli
import pictures
from documents import Display, Field, fields, read, shown


def is_filled(one: Field) -> bool:
    return one.value not in (None, "", "/Off", [])


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("-o", "--output", required=True, help="the picture; several pages become out-p1.png, …")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--page", type=int, default=1, help="counted from 1")
    which.add_argument("--all-pages", action="store_true")
    parser.add_argument("--dpi", type=int, default=200)
    parser.add_argument("--no-highlight", action="store_true")
    arguments = parser.parse_args()
    reader = read(arguments.input)
    count = len(reader.pages)
    wanted = list(range(count)) if arguments.all_pages else [pictures.page_index(arguments.page, count, 1)]
    cli.check_pages(len(wanted))
    places = [] if arguments.no_highlight else [(one, place) for one, place in shown(fields(reader)) if is_filled(one)]
    document, pixels = pictures.open_for_rendering(arguments.input), cli.Pixels()
    for index in wanted:
        picture = pictures.render(document, index, arguments.dpi, pixels)
        display = Display(reader.pages[index])
        for one, place in places:
            if place.page == index:
                box = display.pixels(place.rect, arguments.dpi / 72)
                pictures.outline(picture, box, pictures.COLORS.get(one.type, pictures.OTHER), "", fill=True)
        path = pictures.numbered(arguments.output, index, len(wanted) > 1)
        picture.save(path)
        print(path)


if __name__ == "__main__":
    cli.run(main)
