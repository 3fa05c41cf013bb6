//! Publishing the run's one result. The rename is what the host waits for: a file under the
//! final name is complete.

use std::fs;
use std::io;
use std::path::Path;

use mercury_protocol::io::RunResult;
use mercury_protocol::paths;

/// Not synced to disk: the host that reads it shares our kernel's page cache, and a machine that
/// dies takes the run with it.
pub fn publish(io_dir: &Path, result: &RunResult) -> io::Result<()> {
    let file = io_dir.join(paths::RESULT);
    let partial = io_dir.join(format!("{}.tmp", paths::RESULT));
    fs::write(&partial, serde_json::to_vec(result)?)?;
    fs::rename(&partial, &file)
}
