//! What the model is told: [`system`] for every run of the platform, [`user`] for this message.
//! Pure but for the reading of the space's memory files.

pub mod episodes;
pub mod history;
pub mod markup;
mod room;
pub mod system;
pub mod user;

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a memory file that are read at most: our own bound, some 60,000 tokens. The agent
/// is asked to keep them far smaller.
const MAX_FILE: u64 = 256 << 10;

/// The text of a regular file; `None` if there is none or it cannot be read. A pipe or device
/// of that name, which an agent could put there, would block the run.
fn read_text(file: &Path) -> Option<String> {
    if !std::fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
