"""Signs the assistant's replies."""

from wit_world import exports
from wit_world.exports.result_processor import Delivery, Outcome, Outcome_Deliver, RunResult
from wit_world.imports import settings


def sign(reply: str, failed: bool, signature: str) -> str:
    """The rule itself, which needs no host. Only an answer is signed, not the news of a failure."""
    return reply if failed or not signature else f"{reply}\n\n— {signature}"


class ResultProcessor(exports.ResultProcessor):
    def process(self, run_result: RunResult) -> Outcome:
        signature = settings.get("signature", run_result.caller.space) or ""
        reply = sign(run_result.reply, run_result.failure is not None, signature)
        return Outcome_Deliver(Delivery(reply, run_result.attachments))
