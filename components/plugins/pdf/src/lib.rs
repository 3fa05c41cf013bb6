//! Points the agent to the skill `pdf` when a message brings a PDF. The work itself is done by the
//! programs and scripts that the plugin puts into the agent's image.

#[cfg(target_family = "wasm")]
mod component;

/// A file of the message.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    pub name: Option<&'a str>,
    pub mime_type: &'a str,
    pub size_bytes: u64,
}

impl File<'_> {
    fn is_pdf(&self) -> bool {
        let mime_type = self.mime_type.split(';').next().unwrap_or_default().trim();
        let named = self.name.is_some_and(|name| name.to_ascii_lowercase().ends_with(".pdf"));
        mime_type.eq_ignore_ascii_case("application/pdf") || (mime_type == "application/octet-stream" && named)
    }
}

/// A line behind the prompt, or none where no PDF came with it.
pub fn hint(files: &[File<'_>]) -> Option<String> {
    let names: Vec<_> = files
        .iter()
        .filter(|file| file.is_pdf())
        .map(|file| {
            // A name is the sender's: on one line it can pass for nothing else.
            let name: String = file.name.unwrap_or("a file").split_whitespace().collect::<Vec<_>>().join(" ");
            format!("{name} ({} kB)", file.size_bytes.div_ceil(1_000))
        })
        .collect();
    (!names.is_empty())
        .then(|| format!("[PDF: {}. The skill pdf says how to read, fill and make them.]", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pdfs_are_pointed_out() {
        let file = |name, mime_type| File { name, mime_type, size_bytes: 1_500 };
        assert_eq!(
            hint(&[
                file(Some("a\nb.pdf"), "application/pdf"),
                file(Some("c.png"), "image/png"),
                file(None, "application/PDF; x=1")
            ])
            .unwrap(),
            "[PDF: a b.pdf (2 kB), a file (2 kB). The skill pdf says how to read, fill and make them.]"
        );
        assert!(hint(&[file(Some("x.PDF"), "application/octet-stream")]).is_some());
        assert_eq!(hint(&[file(Some("x.pdf"), "text/plain"), file(None, "application/octet-stream")]), None);
        assert_eq!(hint(&[]), None);
    }
}
