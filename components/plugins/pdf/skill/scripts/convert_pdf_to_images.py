#!/usr/bin/env python3
"""Makes a picture of each page."""

import os

import cli
import pictures


def chosen(text: str | None, count: int) -> list[int]:
    """`1-3,5` of `count` pages, counted from 0."""
    if text is None:
        return list(range(count))
    pages: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        try:
            numbers = range(int(first), int(last or first) + 1)
        except ValueError as error:
            raise cli.Failure(f"--pages {text}: write pages such as 1-3,5") from error
        if not numbers or numbers[0] < 1 or numbers[-1] > count:
            raise cli.Failure(f"--pages {part.strip()}: the file has the pages 1 to {count}")
        pages += [number - 1 for number in numbers if number - 1 not in pages]
    return pages


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("-o", "--output", required=True, help="a folder, or the beginning of the files' names: out-1.png, …")
    parser.add_argument("--dpi", type=int, default=200)
    parser.add_argument("--pages", help="such as 1-3,5; else all")
    parser.add_argument("--format", choices=("png", "jpg"), default="png")
    arguments = parser.parse_args()
    document, pixels = pictures.open_for_rendering(arguments.input), cli.Pixels()
    pages = chosen(arguments.pages, len(document))
    cli.check_pages(len(pages))
    folder = arguments.output.endswith("/") or os.path.isdir(arguments.output)
    if folder:
        os.makedirs(arguments.output, exist_ok=True)
    stem = os.path.join(arguments.output, "page") if folder else arguments.output
    for index in pages:
        path = f"{stem}-{index + 1}.{arguments.format}"
        pictures.render(document, index, arguments.dpi, pixels).save(path)
        print(path)


if __name__ == "__main__":
    cli.run(main)
