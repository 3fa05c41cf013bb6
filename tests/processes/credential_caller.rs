//! Asks for the token of `anthropic` from many tasks at once, and prints what each got.
//!
//! Arguments: path of auth.json, URL of the sign-in server's stand-in, number of callers.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "test support: a surprise ends the test")]

use std::{collections::BTreeMap, io::BufRead, path::PathBuf, time::Duration};

use mercury::credentials::{Clock, ConsoleSettings, Credentials, Endpoints, Settings};
use secrecy::ExposeSecret;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let auth_path = PathBuf::from(&arguments[0]);
    let credentials = Credentials::open(Settings {
        variables: BTreeMap::new(),
        provisioned_path: auth_path.with_file_name("credentials.json"),
        auth_path,
        console: ConsoleSettings::default(),
        endpoints: Endpoints::new(Some(&arguments[1])).unwrap(),
        run_validity: Duration::from_secs(360),
        clock: Clock::default(),
    });
    println!("ready");
    // All processes begin together.
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
    let callers = (0..arguments[2].parse().unwrap()).map(|_| {
        let credentials = credentials.clone();
        tokio::spawn(async move { credentials.token("anthropic", Duration::from_secs(360)).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        println!("{}", caller.await.unwrap().unwrap().secret.expose_secret());
    }
}
