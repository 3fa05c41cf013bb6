//! Which headers a plugin may set: not those that say where a message ends, whom it is for, or what a
//! machine on the way shall do with it.

/// RFC 9110 section 7.6.1 (connection), RFC 9112 sections 6 and 7 (framing), RFC 9113 section 8.2.2.
const OF_THE_HOST: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// # Errors
/// The reason, for the plugin's author.
pub fn check_header(name: &str) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    if OF_THE_HOST.contains(&lower.as_str()) || lower.starts_with("proxy-") {
        return Err(format!("http: the header {lower} is the host's to set; leave it out"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_belongs_to_the_host() {
        for name in
            ["Host", "CONTENT-LENGTH", "Transfer-Encoding", "Proxy-Authorization", "proxy-x", "Connection", "TE"]
        {
            assert!(check_header(name).unwrap_err().contains("leave it out"), "{name}");
        }
        for name in ["Authorization", "Content-Type", "X-Host", "Accept", "Cookie"] {
            assert_eq!(check_header(name), Ok(()), "{name}");
        }
    }
}
