//! The way from pi to the host, for model calls and for the host's proxy: pi and its tools speak TCP
//! to this container's loopback, and each connection is carried, byte for byte, to the run's unix
//! socket. Understands nothing of what passes, so streaming and paths stay as they are. Works
//! without any network.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes moved at once: what a socket's buffer usually holds.
const PIECE: usize = 64 << 10;

/// How long a connection waits for the host, which may be restarting: its socket is then away for as
/// long as the new one needs to begin.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks for the socket.
const PAUSE: Duration = Duration::from_millis(50);

/// Listens on a free port of the loopback and returns it. The threads end with the process.
pub fn open(socket: &Path) -> io::Result<u16> {
    listen(socket, PATIENCE)
}

fn listen(socket: &Path, patience: Duration) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let socket: PathBuf = socket.into();
    thread::Builder::new().name("gateway".into()).spawn(move || {
        for client in listener.incoming().flatten() {
            let socket = socket.clone();
            // Out of threads: the connection closes, and pi sees a failed call.
            let _ = thread::Builder::new().spawn(move || carry(client, &socket, patience));
        }
    })?;
    Ok(port)
}

fn carry(mut client: TcpStream, socket: &Path, patience: Duration) {
    // A token of the answer is a small packet: it must not wait for the next.
    let _ = client.set_nodelay(true);
    let host = match connect(socket, patience) {
        Ok(host) => host,
        Err(error) => {
            let _ = client.write_all(unreachable(&error).as_bytes());
            return;
        }
    };
    let (Ok(from_client), Ok(to_host)) = (client.try_clone(), host.try_clone()) else {
        return;
    };
    let up = thread::Builder::new().spawn(move || {
        pass(from_client, &to_host);
        let _ = to_host.shutdown(Shutdown::Write);
    });
    if up.is_ok() {
        pass(host, &client);
    }
    // Ends the other direction too: an HTTP client that got its answer has nothing left to send.
    let _ = client.shutdown(Shutdown::Both);
}

#[allow(clippy::disallowed_methods, reason = "a thread of its own, with no runtime to block")]
fn connect(socket: &Path, patience: Duration) -> io::Result<UnixStream> {
    let until = Instant::now() + patience;
    loop {
        match UnixStream::connect(socket) {
            Err(error) if is_away(&error) && Instant::now() < until => thread::sleep(PAUSE),
            connected => return connected,
        }
    }
}

/// No host serves the socket, or none has made it yet.
fn is_away(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn pass(mut from: impl Read, mut to: impl Write) {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return,
            Ok(length) => {
                if to.write_all(&piece[..length]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn unreachable(error: &io::Error) -> String {
    let body = serde_json::json!({ "error": format!("the host's socket cannot be reached: {error}") }).to_string();
    format!(
        "HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn bytes_pass_in_both_directions_as_they_come() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let port = open(&path).unwrap();
        let mut pi = TcpStream::connect(("127.0.0.1", port)).unwrap();
        pi.write_all(b"question").unwrap();
        let (mut host, _) = listener.accept().unwrap();
        let mut seen = [0; 8];
        host.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"question");
        for part in [b"one", b"two"] {
            host.write_all(part).unwrap();
            let mut seen = [0; 3];
            pi.read_exact(&mut seen).unwrap();
            assert_eq!(&seen, part);
        }
        drop(host);
        assert_eq!(pi.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn an_absent_host_is_a_bad_gateway() {
        let port = listen(Path::new("/nowhere"), Duration::ZERO).unwrap();
        let mut pi = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut answer = String::new();
        pi.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }

    #[test]
    fn a_host_that_comes_back_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let port = open(&path).unwrap();
        let mut pi = TcpStream::connect(("127.0.0.1", port)).unwrap();
        pi.write_all(b"question").unwrap();
        // Bound only after the client has come.
        let (mut host, _) = UnixListener::bind(&path).unwrap().accept().unwrap();
        let mut seen = [0; 8];
        host.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"question");
    }
}
