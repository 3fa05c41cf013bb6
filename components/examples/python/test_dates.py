import unittest
from datetime import date, timedelta

from dates import add, week, workdays


class Dates(unittest.TestCase):
    def test_a_week_belongs_to_the_year_of_its_thursday(self):
        for text, year, number in [("2026-01-01", 2026, 1), ("2027-01-01", 2026, 53), ("2024-12-30", 2025, 1)]:
            found = week(date.fromisoformat(text))
            self.assertEqual((found["year"], found["week"]), (year, number), text)

    def test_every_day_lies_in_its_week(self):
        for number in range(3000):
            day = date(2020, 1, 1) + timedelta(days=number)
            found = week(day)
            self.assertTrue(found["from"] <= day.isoformat() <= found["to"])

    def test_working_days_leave_out_weekends_and_holidays(self):
        self.assertEqual(workdays(date(2026, 5, 1), date(2026, 5, 31), {date(2026, 5, 1)}), 20)
        self.assertEqual(workdays(date(2026, 5, 2), date(2026, 5, 3), set()), 0)
        with self.assertRaises(ValueError):
            workdays(date(2026, 5, 2), date(2026, 5, 1), set())

    def test_months_end_where_they_end(self):
        for months, days, expected in [(1, 0, "2026-02-28"), (25, 0, "2028-02-29"), (-1, 1, "2026-01-01"), (0, -31, "2025-12-31")]:
            self.assertEqual(add(date(2026, 1, 31), months, days).isoformat(), expected)
        with self.assertRaises(ValueError):
            add(date(9999, 12, 31), 0, 1)


if __name__ == "__main__":
    unittest.main()
