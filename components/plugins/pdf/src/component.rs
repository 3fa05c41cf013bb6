//! The component's export.

use mercury_plugin::run_hook::{self, Additions, Decision, Run};

use crate::File;

struct Pdf;

impl run_hook::Guest for Pdf {
    fn before_run(run: Run) -> Result<Decision, String> {
        let files: Vec<_> = run
            .attachments
            .iter()
            .map(|file| File {
                name: file.file_name.as_deref(),
                mime_type: &file.mime_type,
                size_bytes: file.size_bytes,
            })
            .collect();
        let prompt = crate::hint(&files);
        Ok(Decision::Proceed(Additions { system_prompt: None, prompt, environment: Vec::new() }))
    }
}

run_hook::export!(Pdf);
