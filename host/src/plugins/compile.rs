//! Components into machine code, once for each digest and engine.
//!
//! Compiling is the one step that no limit inside the process can bound, so a child process does
//! it, with bounds on memory and time. What it wrote is kept in a folder that only the host can
//! write, with a message authentication code: loading compiled code is trusting it, and a single
//! flipped bit would load without an error.

use std::{
    hash::{Hash, Hasher},
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

/// Memory that the compiler may use, in bytes. A Python component (18 MB) took 360 MB.
const COMPILER_MEMORY: u64 = 8 << 30;
/// CPU seconds that it may use. A StarlingMonkey component took 8.
const COMPILER_CPU_SECONDS: u64 = 120;
/// Wall clock that it may take.
const COMPILER_PATIENCE: Duration = Duration::from_secs(180);
/// The hidden command of the `mercury` binary that is the child.
pub const CHILD_COMMAND: &str = "compile-component";

#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("it does not compile: {message}")]
    Compiler { message: String },
    #[error("compiling took longer than {} s", COMPILER_PATIENCE.as_secs())]
    TooSlow,
    #[error("the cache of compiled components at {} failed: {source}", path.display())]
    Cache { path: PathBuf, source: std::io::Error },
    #[error("its compiled form does not load: {message}")]
    Load { message: String },
}

/// Who compiles.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// This executable, with [`CHILD_COMMAND`].
    Child(PathBuf),
    /// Only for tests of the library, whose executable has no such command.
    InProcess,
}

#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
    compiler: Compiler,
}

impl Cache {
    /// Opens the folder, makes it and its key where they are missing.
    pub(super) fn open(folder: &Path, compiler: Compiler) -> Result<Self, CompileError> {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        let fail = |source| CompileError::Cache { path: folder.to_owned(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)?;
        let path = folder.join("key");
        let was_private = is_made_private(folder).map_err(fail)? & is_made_private(&path).map_err(fail)?;
        let key = match std::fs::read(&path) {
            // A key that others could read seals nothing; what it sealed is compiled anew.
            Ok(bytes) if bytes.len() == 32 && was_private => bytes,
            _ => {
                let fresh: [u8; 32] = rand::random();
                let mut file = std::fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&path)
                    .map_err(fail)?;
                file.write_all(&fresh).map_err(fail)?;
                fresh.to_vec()
            }
        };
        let mut fixed = [0; 32];
        fixed.copy_from_slice(&key);
        Ok(Self { folder: folder.to_owned(), key: fixed, compiler })
    }

    /// The component of `wasm`, compiled now or earlier.
    pub(super) async fn load(&self, engine: &Engine, wasm: &[u8]) -> Result<Component, CompileError> {
        let name = format!("{}-{:016x}", hex(&Sha256::digest(wasm)), compatibility(engine));
        let compiled = self.folder.join(format!("{name}.cwasm"));
        if let Some(component) = self.load_checked(engine, &compiled)? {
            return Ok(component);
        }
        self.compile(engine, wasm, &name, &compiled).await?;
        self.load_checked(engine, &compiled)?
            .ok_or_else(|| CompileError::Load { message: "it vanished from the cache".into() })
    }

    fn load_checked(&self, engine: &Engine, compiled: &Path) -> Result<Option<Component>, CompileError> {
        let (Ok(code), Ok(expected)) = (std::fs::read(compiled), std::fs::read(compiled.with_extension("mac"))) else {
            return Ok(None);
        };
        if self.mac(compiled, &code).verify_slice(&expected).is_err() {
            tracing::warn!(file = %compiled.display(), "compiled code was changed outside the host: compiling it anew");
            return Ok(None);
        }
        drop(code);
        trusted_load(engine, compiled).map(Some)
    }

    async fn compile(&self, engine: &Engine, wasm: &[u8], name: &str, compiled: &Path) -> Result<(), CompileError> {
        let fail = |source| CompileError::Cache { path: self.folder.clone(), source };
        // Names of their own: two hosts may share the folder's parent, and a crash leaves no half file.
        let input = self.folder.join(format!("{name}.{}.wasm", std::process::id()));
        let output = input.with_extension("out");
        std::fs::write(&input, wasm).map_err(fail)?;
        let outcome = match &self.compiler {
            Compiler::Child(executable) => compile_in_child(executable, &input, &output).await,
            Compiler::InProcess => compile_here(engine, &input, &output),
        };
        let _ = std::fs::remove_file(&input);
        outcome?;
        let code = std::fs::read(&output).map_err(fail)?;
        let mac = self.mac(compiled, &code).finalize().into_bytes();
        // Whole at once, like the code: another host may look at the same moment.
        let proof = self.folder.join(format!("{name}.{}.proof", std::process::id()));
        std::fs::write(&proof, mac).map_err(fail)?;
        std::fs::rename(&proof, compiled.with_extension("mac")).map_err(fail)?;
        std::fs::rename(&output, compiled).map_err(fail)
    }

    /// Over the name as well: the code of one component is no other's.
    fn mac(&self, compiled: &Path, code: &[u8]) -> Hmac<Sha256> {
        #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        let name = compiled.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
        mac.update(&(name.len() as u64).to_le_bytes());
        mac.update(name);
        mac.update(code);
        mac
    }
}

/// Whether only its owner, who is us, could open it; from now on it is so. True of what is not there.
fn is_made_private(path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let found = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        found => found?,
    };
    let mode = found.permissions().mode();
    if found.uid() == rustix::process::geteuid().as_raw() && mode & 0o077 == 0 {
        return Ok(true);
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o700))?;
    tracing::warn!(path = %path.display(), "others could open the cache of compiled components: all of it is compiled anew");
    Ok(false)
}

/// The body of the child process.
///
/// # Errors
/// What the parent shows: the compiler's message.
pub fn child(input: &Path, output: &Path) -> Result<(), CompileError> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    for (resource, limit) in [(Resource::Cpu, COMPILER_CPU_SECONDS), (Resource::Core, 0)] {
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        let _ = setrlimit(resource, limit);
    }
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    config.max_wasm_stack(512 << 10);
    config.async_stack_size(2 << 20);
    let failed = |error: wasmtime::Error| CompileError::Compiler { message: format!("{error:#}") };
    let engine = Engine::new(&config).map_err(failed)?;
    let memory = Rlimit { current: Some(COMPILER_MEMORY), maximum: Some(COMPILER_MEMORY) };
    let _ = setrlimit(Resource::As, memory);
    compile_here(&engine, input, output)
}

fn compile_here(engine: &Engine, input: &Path, output: &Path) -> Result<(), CompileError> {
    let fail = |source| CompileError::Cache { path: output.to_owned(), source };
    let wasm = std::fs::read(input).map_err(fail)?;
    let code =
        engine.precompile_component(&wasm).map_err(|error| CompileError::Compiler { message: format!("{error:#}") })?;
    std::fs::write(output, code).map_err(fail)
}

async fn compile_in_child(executable: &Path, input: &Path, output: &Path) -> Result<(), CompileError> {
    let fail = |source| CompileError::Cache { path: executable.to_owned(), source };
    let child = tokio::process::Command::new(executable)
        .arg(CHILD_COMMAND)
        .args([input, output])
        .env_clear()
        .env("RAYON_NUM_THREADS", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(fail)?;
    let ended = tokio::time::timeout(COMPILER_PATIENCE, child.wait_with_output())
        .await
        .map_err(|_| CompileError::TooSlow)?
        .map_err(fail)?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let message = match said.trim() {
        "" => format!("the compiler ended with {}", ended.status),
        said => said.chars().take(4096).collect(),
    };
    Err(CompileError::Compiler { message })
}

/// The one place with `unsafe`: compiled code is trusted because its code was authenticated with
/// a key that only the host can read, in a folder that only the host can write.
#[allow(unsafe_code)]
fn trusted_load(engine: &Engine, compiled: &Path) -> Result<Component, CompileError> {
    // SAFETY: `compiled` was written by `Engine::precompile_component` of this version (its name
    // carries the compatibility hash), and its MAC was checked just before.
    unsafe { Component::deserialize_file(engine, compiled) }
        .map_err(|error| CompileError::Load { message: format!("{error:#}") })
}

fn compatibility(engine: &Engine) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::plugins::engine;

    fn carried(name: &str) -> &'static [u8] {
        mercury_carried::COMPONENTS.iter().find(|component| component.name == name).unwrap().wasm
    }

    fn compiled(folder: &Path) -> Vec<PathBuf> {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect()
    }

    /// Whoever can write the cache, and has no key, has sealed code of one component: it does not run as
    /// another.
    #[tokio::test(flavor = "multi_thread")]
    async fn code_of_one_component_is_not_loaded_as_another() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), Compiler::InProcess).unwrap();
        let engine = engine::engine().unwrap();
        cache.load(&engine, carried("redact")).await.unwrap();
        let [redact] = compiled(folder.path()).try_into().unwrap();
        assert!(cache.load_checked(&engine, &redact).unwrap().is_some());
        let other = folder.path().join("other.cwasm");
        std::fs::copy(&redact, &other).unwrap();
        std::fs::copy(redact.with_extension("mac"), other.with_extension("mac")).unwrap();
        assert!(cache.load_checked(&engine, &other).unwrap().is_none());
    }

    /// A key that others could read seals nothing.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_cache_that_others_could_open_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine::engine().unwrap();
        for open in [folder.path().to_owned(), folder.path().join("key")] {
            let cache = Cache::open(folder.path(), Compiler::InProcess).unwrap();
            cache.load(&engine, carried("redact")).await.unwrap();
            let [file] = compiled(folder.path()).try_into().unwrap();
            let again = Cache::open(folder.path(), Compiler::InProcess).unwrap();
            assert!(again.load_checked(&engine, &file).unwrap().is_some());
            std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
            let anew = Cache::open(folder.path(), Compiler::InProcess).unwrap();
            assert!(anew.load_checked(&engine, &file).unwrap().is_none(), "{}", open.display());
            assert_eq!(std::fs::metadata(&open).unwrap().permissions().mode() & 0o077, 0);
        }
    }
}
