//! Tells the agent the house rules before it runs.

use mercury_plugin::{
    run_hook::{self, Additions, Decision, Run},
    settings,
};

struct Plugin;

impl run_hook::Guest for Plugin {
    fn before_run(run: Run) -> Result<Decision, String> {
        let rules = settings::get("rules", Some(&run.caller.space)).filter(|rules| !rules.is_empty());
        Ok(Decision::Proceed(Additions { system_prompt: rules, prompt: None, environment: Vec::new() }))
    }
}

#[cfg(target_family = "wasm")]
run_hook::export!(Plugin);
