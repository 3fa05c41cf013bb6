//! Several processes and one file (oauth.md case 41).

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Duration,
};

use mercury_tests::oauth::Fault;

use super::setup::Bench;

/// oauth.md #37, #41: 102 callers in 3 processes are one call to the provider, and all get its token.
#[tokio::test(flavor = "multi_thread")]
async fn one_renewal_for_all() {
    const PROCESSES: usize = 3;
    const CALLERS: usize = 34;
    let bench = Bench::new().await;
    bench.sign_in("anthropic", "first", -301);
    bench.provider.next([Fault::Late(Duration::from_millis(500))]);
    let mut processes: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let mut process = Command::new(env!("CARGO_BIN_EXE_credential-caller"))
                .arg(bench.auth_path())
                .args([bench.provider.url(), CALLERS.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
            assert_eq!(output.next().unwrap().unwrap(), "ready");
            (process, output)
        })
        .collect();
    for (process, _) in &mut processes {
        process.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let tokens = tokio::task::spawn_blocking(move || {
        let mut tokens = Vec::new();
        for (mut process, output) in processes {
            tokens.extend(output.map(Result::unwrap));
            assert!(process.wait().unwrap().success());
        }
        tokens
    });
    assert_eq!(tokens.await.unwrap(), vec!["sk-ant-oat01-1"; PROCESSES * CALLERS]);
    assert_eq!((bench.provider.refreshes().len(), bench.provider.replays()), (1, 0));
}

/// Section 9.5: whoever has seen a token can rely on its being on disk, also if the process is killed
/// at that moment.
#[tokio::test(flavor = "multi_thread")]
async fn killed_once_the_token_is_out() {
    let bench = Bench::new().await;
    bench.sign_in("anthropic", "first", -1);
    let mut process = Command::new(env!("CARGO_BIN_EXE_credential-caller"))
        .arg(bench.auth_path())
        .args([bench.provider.url(), "1".to_owned()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
    assert_eq!(output.next().unwrap().unwrap(), "ready");
    process.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let seen = tokio::task::spawn_blocking(move || output.next().unwrap().unwrap()).await.unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(bench.signed_in()["anthropic"]["access"], seen);
    assert_eq!(super::setup::access(&bench.open()).await, seen);
    assert_eq!((bench.provider.refreshes().len(), bench.provider.replays()), (1, 0));
}
