"""Counts words for the agent: mrctl capability {{name}} count '{"text": "…"}'"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.broker import Answer, Failure
from wit_world.imports.types import Caller


def count(text: str) -> dict[str, int]:
    return {"words": len(text.split()), "characters": len(text)}


class Broker(exports.Broker):
    def invoke(self, caller: Caller, action: str, arguments: str) -> Answer:
        if action != "count":
            raise Err(Failure(404, "unknown-action", f"there is no action {action}", False))
        # The host has checked the arguments against the schema in plugin.toml.
        counted = count(json.loads(arguments)["text"])
        return Answer(json.dumps(counted, separators=(",", ":")), [])
