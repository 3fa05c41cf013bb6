"""What every script shares: one line for a failure, and the bounds of one run."""

import argparse
import json
import logging
import sys
from typing import Any, Callable, NoReturn

# Of one run. A page of A4 at 300 dpi has 8.7 megapixels.
MOST_PAGES = 200
MOST_PIXELS = 100_000_000


class Failure(Exception):
    """Something that the caller can mend; its text is one line."""


def parser(about: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=about)
    made.add_argument("input", help="the PDF file")
    return made


def run(main: Callable[[], None]) -> NoReturn:
    """Runs a script: 0, or 1 with one line on standard error."""
    # The libraries' own remarks would stand before that line.
    logging.disable(logging.CRITICAL)
    try:
        main()
    except Failure as failure:
        sys.exit(f"{failure}")
    except FileNotFoundError as error:
        sys.exit(f"{error.filename}: there is no such file")
    except Exception as error:  # whatever a library says of a broken file
        text = " ".join(str(error).split()) or type(error).__name__
        sys.exit(f"{type(error).__name__}: {text}"[:300])
    sys.exit(0)


def warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def write_json(value: Any, path: str | None) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    if path is None:
        print(text)
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        print(path)


def read_json(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        except json.JSONDecodeError as error:
            raise Failure(f"{path}: no JSON: {error}") from error


def check_pages(count: int) -> None:
    if count > MOST_PAGES:
        raise Failure(f"limit: {count} pages; at most {MOST_PAGES} in one run. Take a part: qpdf in.pdf --pages . 1-{MOST_PAGES} -- part.pdf")


class Pixels:
    """Counts what is rendered in one run."""

    def __init__(self) -> None:
        self.left = MOST_PIXELS

    def take(self, width: float, height: float) -> None:
        self.left -= int(width * height)
        if self.left < 0:
            raise Failure(f"limit: more than {MOST_PIXELS // 1_000_000} megapixels; use fewer pages or a lower --dpi")
