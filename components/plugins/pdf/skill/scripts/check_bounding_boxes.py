#!/usr/bin/env python3
"""Draws the fields of a form onto pictures of its pages, with their names."""

import cli
import pictures
from documents import Display, fields, read, shown


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("-o", "--output", required=True, help="the picture; several pages become out-p1.png, out-p2.png, …")
    parser.add_argument("--page", type=int, help="only this page, counted from 0")
    parser.add_argument("--dpi", type=int, default=150)
    arguments = parser.parse_args()
    reader = read(arguments.input)
    places = list(shown(fields(reader)))
    if not places:
        raise cli.Failure(f"{arguments.input}: no fields are shown on its pages")
    wanted = sorted({place.page for _, place in places})
    if arguments.page is not None:
        wanted = [pictures.page_index(arguments.page, len(reader.pages), 0)]
    cli.check_pages(len(wanted))
    document, pixels = pictures.open_for_rendering(arguments.input), cli.Pixels()
    for index in wanted:
        picture = pictures.render(document, index, arguments.dpi, pixels)
        display = Display(reader.pages[index])
        for one, place in places:
            if place.page == index:
                box = display.pixels(place.rect, arguments.dpi / 72)
                pictures.outline(picture, box, pictures.COLORS.get(one.type, pictures.OTHER), one.name)
        path = pictures.numbered(arguments.output, index, len(wanted) > 1)
        picture.save(path)
        print(path)


if __name__ == "__main__":
    cli.run(main)
