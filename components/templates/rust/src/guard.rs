//! Keeps some tools for admins.

use mercury_plugin::{settings, tool_guard, types::Caller, verdicts::Verdict};

/// The rule itself, which needs no host.
fn judge(role: &str, tool: &str, admin_tools: &str) -> Verdict {
    if role != "admin" && admin_tools.split(',').any(|name| name.trim() == tool) {
        return Verdict::Deny(format!("{tool} is for admins"));
    }
    Verdict::Allow
}

struct Plugin;

impl tool_guard::Guest for Plugin {
    fn check(caller: Caller, tool: String, _arguments: String) -> Verdict {
        let admin_tools = settings::get("admin-tools", Some(&caller.space)).unwrap_or_default();
        judge(&caller.role, &tool, &admin_tools)
    }
}

#[cfg(target_family = "wasm")]
tool_guard::export!(Plugin);
