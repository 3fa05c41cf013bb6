//! A test stand-in for `pi`, not part of the product: it takes `pi`'s place in a test image made
//! from scratch and does what the last lines of the prompt say.
//!
//! It ignores its arguments, reads the prompt from stdin and prints `pi`'s JSONL events. The
//! orders are the prompt's trailing lines that begin with `!`, carried out from top to bottom;
//! their texts, one a line, are the reply. See [`orders`] for the list. Without an order it
//! answers `echo: ` and the prompt's last section.

mod events;
mod orders;

use std::io::Read;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(orders::FOREVER) {
        orders::never_end();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [orders::LATER, time, path, content] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        orders::write_after(time, path, content);
        return ExitCode::SUCCESS;
    }
    let mut prompt = Vec::new();
    let _ = std::io::stdin().lock().read_to_end(&mut prompt);
    let prompt = String::from_utf8_lossy(&prompt).trim().to_owned();

    events::begin(&prompt);
    let orders = orders::in_prompt(&prompt);
    if orders.is_empty() {
        events::reply(&prompt, &format!("echo: {}", orders::last_section(&prompt)));
        return ExitCode::SUCCESS;
    }
    let mut texts = Vec::new();
    for order in orders {
        match orders::carry_out(order) {
            orders::Effect::Text(text) => texts.push(text),
            orders::Effect::Nothing => {}
            orders::Effect::ModelError(text) => {
                events::model_error(&prompt, &text);
                return ExitCode::SUCCESS;
            }
            orders::Effect::Exit(code) => {
                events::complain(&format!("scripted: exit {code} was ordered"));
                return ExitCode::from(code);
            }
        }
    }
    let reply = if texts.is_empty() { "done".into() } else { texts.join("\n") };
    events::reply(&prompt, &reply);
    ExitCode::SUCCESS
}
