//! Which browser the agent's tools find. A hook may name a path that this image lacks.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

const VARIABLE: &str = "CHROME_BINARY";
/// Where images put one (agent-entry.md section 3), tried in order.
const USUAL: [&str; 3] = ["/usr/local/bin/chromium", "/usr/bin/chromium", "/usr/bin/google-chrome"];

/// Sets `CHROME_BINARY` to the first that can be executed; leaves it as it is if none can.
pub fn choose(environment: &mut BTreeMap<OsString, OsString>, executable: impl Fn(&Path) -> bool) {
    let named = [VARIABLE, "PUPPETEER_EXECUTABLE_PATH"].map(|name| environment.get(OsStr::new(name)));
    let named = named.into_iter().flatten().map(|path| path.to_string_lossy().trim().to_owned());
    let found = named.chain(USUAL.map(Into::into)).find(|path| !path.is_empty() && executable(Path::new(path)));
    if let Some(path) = found {
        environment.insert(VARIABLE.into(), path.into());
    }
}

/// Whether this process may execute the file.
pub fn executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)], there: &[&str]) -> Option<String> {
        let mut all = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        choose(&mut all, |path| there.iter().any(|it| Path::new(it) == path));
        all.get(OsStr::new(VARIABLE)).map(|it| it.to_string_lossy().into_owned())
    }

    /// agent-entry.md #24
    #[test]
    fn a_browser_that_is_there_is_chosen() {
        let missing = ("CHROME_BINARY", "/opt/gone");
        assert_eq!(chosen(&[missing], &["/usr/local/bin/chromium"]).as_deref(), Some("/usr/local/bin/chromium"));
        assert_eq!(chosen(&[("CHROME_BINARY", " /a ")], &["/a", "/usr/bin/chromium"]).as_deref(), Some("/a"));
        let puppeteer = ("PUPPETEER_EXECUTABLE_PATH", "/b");
        assert_eq!(chosen(&[missing, puppeteer], &["/b", "/usr/bin/chromium"]).as_deref(), Some("/b"));
        assert_eq!(chosen(&[missing], &[]).as_deref(), Some("/opt/gone"));
        assert_eq!(chosen(&[], &[]), None);
    }
}
