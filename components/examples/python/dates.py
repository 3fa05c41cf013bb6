"""Reckoning with dates. Pure: knows nothing of the host."""

import calendar
from datetime import date, timedelta

# Years that a span may have: each of its days is looked at.
MOST_YEARS = 100


def week(day: date) -> dict[str, object]:
    """ISO 8601: a week belongs to the year of its Thursday."""
    year, number, weekday = day.isocalendar()
    monday = day - timedelta(days=weekday - 1)
    return {"year": year, "week": number, "from": monday.isoformat(), "to": (monday + timedelta(days=6)).isoformat()}


def workdays(begin: date, end: date, holidays: set[date]) -> int:
    """Mondays to Fridays from `begin` to `end`, both counted, without the holidays."""
    if end < begin:
        raise ValueError("`to` lies before `from`")
    if end.year - begin.year > MOST_YEARS:
        raise ValueError(f"the span is longer than {MOST_YEARS} years")
    days = (begin + timedelta(days=number) for number in range((end - begin).days + 1))
    return sum(1 for day in days if day.weekday() < 5 and day not in holidays)


def add(day: date, months: int, days: int) -> date:
    """Months first; a day that the month does not have becomes its last one."""
    months += day.year * 12 + day.month - 1
    year, month = divmod(months, 12)
    month += 1
    try:
        last = calendar.monthrange(year, month)[1]
        return date(year, month, min(day.day, last)) + timedelta(days=days)
    except (ValueError, OverflowError) as error:
        raise ValueError("the result is outside of the years 1 to 9999") from error
