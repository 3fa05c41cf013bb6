"""The component's export: reads the agent's JSON, asks the reckoning, answers in JSON."""

import json
from datetime import date

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.broker import Answer, Failure
from wit_world.imports.types import Caller

import dates


def day(arguments: dict, key: str) -> date:
    return date.fromisoformat(arguments[key])


def answer(action: str, arguments: dict) -> object:
    if action == "week":
        return dates.week(day(arguments, "date"))
    if action == "workdays":
        holidays = {date.fromisoformat(holiday) for holiday in arguments.get("holidays", [])}
        return {"workdays": dates.workdays(day(arguments, "from"), day(arguments, "to"), holidays)}
    if action == "add":
        later = dates.add(day(arguments, "date"), arguments.get("months", 0), arguments.get("days", 0))
        return {"date": later.isoformat()}
    raise Err(Failure(404, "unknown-action", f"there is no action {action}", False))


class Broker(exports.Broker):
    def invoke(self, caller: Caller, action: str, arguments: str) -> Answer:
        try:
            found = answer(action, json.loads(arguments))
        except ValueError as error:
            raise Err(Failure(422, "bad-arguments", str(error), False))
        return Answer(json.dumps(found, separators=(",", ":")), [])
