//! One HTTP/1.1 exchange over the run's unix socket. No identity header is sent, and no
//! connection is kept: a command makes one request.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::error::Error;

/// How long the host may take. It answers from its own database, except where it asks a human,
/// and a human gets less time than this.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);
/// Bytes of an answer that are read at most: our own bound, far above any answer of the host.
const MAX_ANSWER: u64 = 64 << 20;
/// Header lines of an answer that are understood at most: our own bound; the host sends five.
const MAX_HEADERS: usize = 64;

#[derive(Debug)]
pub struct Request {
    method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Option<Vec<u8>>,
}

impl Request {
    pub fn get(path: &str) -> Self {
        Self { method: "GET", path: path.into(), body: None }
    }

    /// `body` is JSON.
    pub fn post(path: &str, body: Vec<u8>) -> Self {
        Self { method: "POST", path: path.into(), body: Some(body) }
    }

    pub fn put(path: &str, body: Vec<u8>) -> Self {
        Self { method: "PUT", path: path.into(), body: Some(body) }
    }

    pub fn delete(path: &str) -> Self {
        Self { method: "DELETE", path: path.into(), body: None }
    }
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Sends `request` and reads the answer. An answer outside 200 to 299 is [`Error::Refused`].
pub fn exchange(socket: &Path, request: &Request) -> Result<Response, Error> {
    let unreachable = |source| Error::Unreachable { socket: socket.display().to_string(), source };
    let mut stream = UnixStream::connect(socket).map_err(unreachable)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(unreachable)?;
    // A refusal may come before the whole request is read; then the write fails and the answer counts.
    let written = stream.write_all(&encode(request));
    let mut answer = Vec::new();
    let read = stream.take(MAX_ANSWER + 1).read_to_end(&mut answer);
    if answer.is_empty() {
        written.and(read.map(drop)).map_err(Error::Broken)?;
    }
    if answer.len() as u64 > MAX_ANSWER {
        return Err(Error::TooLarge(MAX_ANSWER));
    }
    let response = decode(&answer)?;
    match response.status {
        200..=299 => Ok(response),
        status => Err(Error::refused(status, &response.body)),
    }
}

fn encode(request: &Request) -> Vec<u8> {
    let mut bytes = format!(
        "{} {} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\nconnection: close\r\n",
        request.method, request.path
    )
    .into_bytes();
    if let Some(body) = &request.body {
        let head = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(body);
    } else {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// `answer` is everything that came until the host closed the connection.
fn decode(answer: &[u8]) -> Result<Response, Error> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(answer)? else {
        return Err(Error::Short);
    };
    let status = head.code.ok_or(Error::Short)?;
    let rest = &answer[length..];
    let header = |name: &str| {
        let found = head.headers.iter().find(|it| it.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let body = if header("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked")) {
        unchunk(rest)?
    } else {
        match header("content-length").and_then(|it| it.trim().parse::<usize>().ok()) {
            Some(length) => rest.get(..length).ok_or(Error::Short)?.to_vec(),
            None => rest.to_vec(),
        }
    };
    Ok(Response { status, body })
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>, Error> {
    let mut body = Vec::with_capacity(rest.len());
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) else {
            return Err(Error::Short);
        };
        if size == 0 {
            return Ok(body);
        }
        let end = usize::try_from(size).ok().and_then(|size| start.checked_add(size)).ok_or(Error::Short)?;
        body.extend_from_slice(rest.get(start..end).ok_or(Error::Short)?);
        // The chunk's own line end follows.
        rest = rest.get(end + 2..).ok_or(Error::Short)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_framed_by_length_by_chunks_or_by_the_end() {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n{}",
        ] {
            assert_eq!(decode(answer.as_bytes()).unwrap().body, b"{}", "{answer}");
        }
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
            "HTTP/1.1 200",
            "",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
        ] {
            assert!(matches!(decode(answer.as_bytes()), Err(Error::Short)), "{answer}");
        }
    }
}
