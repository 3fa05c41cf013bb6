#!/usr/bin/env python3
"""Guesses where a form without fields wants to be filled, as JSON.

Places are in points of the displayed page: `…_plumber` from the top left (left, top, right, bottom),
`fill_rect_pdf` from the bottom left (left, bottom, right, top).
"""

import re
from typing import Any

import cli
import pictures

# All in points.
SAME_LINE = 5
RULE_WITHIN = 15
BOX_WITHIN = 10
BOX_LEAST_WIDTH = 30
BOX_HEIGHTS = (10, 40)
FREE_WIDTH = 250

Rect = tuple[float, float, float, float]


def lines_of(words: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Words on the same height, from left to right."""
    lines: list[list[dict[str, Any]]] = []
    for word in sorted(words, key=lambda word: (word["top"], word["x0"])):
        if lines and abs(lines[-1][0]["top"] - word["top"]) <= SAME_LINE:
            lines[-1].append(word)
        else:
            lines.append([word])
    return [sorted(line, key=lambda word: word["x0"]) for line in lines]


def confidence(text: str, right: float, width: float) -> str | None:
    if text.endswith(":") or re.search(r"_{2,}|\.{3,}", text):
        return "high"
    return "medium" if right <= width / 2 else None


def label_of(line: list[dict[str, Any]]) -> tuple[str, Rect]:
    """The words before what is to be filled in."""
    words = [word for word in line if not re.fullmatch(r"[_.\s]{2,}", word["text"])] or line
    text = " ".join(word["text"] for word in words)
    text = re.sub(r"_{2,}|\.{3,}", "", text).strip()
    return text, (words[0]["x0"], min(word["top"] for word in words), words[-1]["x1"], max(word["bottom"] for word in words))


def fill_area(label: Rect, page: Any) -> Rect:
    left, top, right, bottom = label
    height = bottom - top
    rules = [line for line in page.lines if abs(line["top"] - line["bottom"]) < 1]
    # A thin rectangle is how many programs draw a rule.
    rules += [rect for rect in page.rects if abs(rect["bottom"] - rect["top"]) < 2 and rect["x1"] - rect["x0"] > BOX_LEAST_WIDTH]
    near = [rule for rule in rules if abs(rule["bottom"] - bottom) <= RULE_WITHIN and rule["x1"] > right]
    if near:
        rule = min(near, key=lambda rule: abs(rule["bottom"] - bottom))
        return max(rule["x0"], right + 2), rule["bottom"] - height, rule["x1"], rule["bottom"]
    boxes = [
        rect
        for rect in page.rects
        if rect["x1"] - rect["x0"] > BOX_LEAST_WIDTH
        and BOX_HEIGHTS[0] <= rect["bottom"] - rect["top"] <= BOX_HEIGHTS[1]
        and rect["x1"] > right
        and distance(rect, top, bottom) <= BOX_WITHIN
    ]
    if boxes:
        box = min(boxes, key=lambda rect: (distance(rect, top, bottom), rect["x0"]))
        return max(box["x0"], right + 2) if box["x0"] < right else box["x0"], box["top"], box["x1"], box["bottom"]
    start = right + 5
    return start, top, max(start, min(start + FREE_WIDTH, page.width - 20)), bottom


def distance(rect: dict[str, Any], top: float, bottom: float) -> float:
    """How far a box is above or below; 0 beside."""
    return max(rect["top"] - bottom, top - rect["bottom"], 0)


def structure(page: Any, index: int) -> list[dict[str, Any]]:
    found = []
    for line in lines_of(page.extract_words()):
        text = " ".join(word["text"] for word in line)
        sure = confidence(text.rstrip(), line[-1]["x1"], page.width)
        label, rect = label_of(line)
        if sure is None or not label:
            continue
        fill = fill_area(rect, page)
        found.append(
            {
                "label": label,
                "label_rect_plumber": rounded(rect),
                "fill_rect_plumber": rounded(fill),
                "fill_rect_pdf": rounded((fill[0], page.height - fill[3], fill[2], page.height - fill[1])),
                "page": index,
                "confidence": sure,
            }
        )
    return found


def rounded(rect: Rect) -> list[float]:
    return [round(float(number), 2) for number in rect]


def main() -> None:
    import pdfplumber

    parser = cli.parser(__doc__)
    parser.add_argument("-o", "--output", help="write to this file")
    parser.add_argument("--page", type=int, help="only this page, counted from 0")
    arguments = parser.parse_args()
    with pdfplumber.open(arguments.input) as document:
        count = len(document.pages)
        wanted = range(count) if arguments.page is None else [pictures.page_index(arguments.page, count, 0)]
        cli.check_pages(len(wanted))
        found = [place for index in wanted for place in structure(document.pages[index], index)]
    cli.write_json(found, arguments.output)


if __name__ == "__main__":
    cli.run(main)
