"""Keeps some tools for admins."""

from wit_world import exports
from wit_world.imports import settings
from wit_world.imports.types import Caller
from wit_world.imports.verdicts import Verdict, Verdict_Allow, Verdict_Deny


def judge(role: str, tool: str, admin_tools: str) -> Verdict:
    """The rule itself, which needs no host."""
    names = [name.strip() for name in admin_tools.split(",")]
    if role != "admin" and tool in names:
        return Verdict_Deny(f"{tool} is for admins")
    return Verdict_Allow()


class ToolGuard(exports.ToolGuard):
    def check(self, caller: Caller, tool: str, arguments: str) -> Verdict:
        return judge(caller.role, tool, settings.get("admin-tools", caller.space) or "")
