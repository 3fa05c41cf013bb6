//! A guest that calls the host's functions with whatever numbers, over whatever memory.

use mercury_tests::guests::{Declared, Guest, World};

/// One host call: which function, and an argument for each of its parameters.
pub type Call = (usize, Vec<u64>);

/// Every capability, but nothing that is exported.
const INTERFACES: &[&str] = &[
    "credentials",
    "history",
    "http",
    "inbox",
    "kv",
    "log",
    "media",
    "messenger",
    "permissions",
    "settings",
    "signatures",
    "sockets",
    "tasks",
    "timers",
];

/// What the guest is granted, as the rest of a manifest: with a grant, a function does its work.
pub const GRANTS: &str = "[kv]\nquota-bytes = 65536\n[media]\nread = true\ncreate = true\n[history]\nread = true\n\
    [messenger]\nspaces = [\"*\"]\n[tasks]\nper-day = 5\n\
    [[http]]\nhosts = [\"127.0.0.1:9\"]\nplain = true\n\
    [[secrets]]\nname = \"s\"\nvariable = \"MERCURY_FUZZED\"\nhosts = [\"127.0.0.1:9\"]\ncompare = true\n";

/// All of them, in a prompt guard.
pub fn world() -> World {
    let imports: String = INTERFACES.iter().map(|name| format!("import mercury:plugin/{name}@0.2.0; ")).collect();
    World::of_contract(&(imports + "export mercury:plugin/prompt-guard@0.2.0;"))
}

pub fn guest(functions: &[Declared], calls: &[Call], memory: Vec<u8>) -> Guest {
    let mut body = String::new();
    for (which, numbers) in calls {
        let function = &functions[which % functions.len()];
        let interface = function.interface.trim_start_matches("mercury:plugin/").trim_end_matches("@0.2.0");
        let arguments = function.params().into_iter().zip(numbers).map(|(core, number)| match core {
            "i32" => format!("(i32.const {})", *number as u32),
            "i64" => format!("(i64.const {number})"),
            core => format!("({core}.const {number})"),
        });
        let call = format!("(call ${interface}.{} {})", function.name, arguments.collect::<String>());
        body.push_str(&if function.answers() { format!("(drop {call}) ") } else { format!("{call} ") });
    }
    Guest { body: body + "(i32.const 65536)", data: [(0, memory)].into(), ..Guest::default() }
}
