"""Tells the agent the house rules before it runs."""

from wit_world import exports
from wit_world.exports.run_hook import Additions, Decision, Decision_Proceed, Run
from wit_world.imports import settings


class RunHook(exports.RunHook):
    def before_run(self, run: Run) -> Decision:
        rules = settings.get("rules", run.caller.space) or None
        return Decision_Proceed(Additions(system_prompt=rules, prompt=None, environment=[]))
