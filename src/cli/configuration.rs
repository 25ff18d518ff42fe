//! Which configuration is meant: that of `-c`, standard input for `-c -`, or the default file.
//! Every command that needs one asks here.

use std::io::Read;
use std::path::{Path, PathBuf};

use proxy_service::config::{self, Source};
use proxy_service::server::{self, Running};

/// What is meant without `-c`: the first of them that is there.
const DEFAULTS: [&str; 2] = ["conf/proxy.yaml", "/etc/pingora-proxy/proxy.yaml"];
/// Read of standard input at most: more than a configuration may have.
const MOST: u64 = 64 * 1024 * 1024;

/// What `-c` names, or the default file.
///
/// # Errors
/// When there is neither, in words that name the default files.
pub fn file(given: Option<PathBuf>) -> Result<PathBuf, String> {
    given.or_else(default_file).ok_or_else(|| {
        let [here, installed] = DEFAULTS;
        let here = std::path::absolute(here).unwrap_or_else(|_| here.into());
        let missing = format!("there is no configuration: neither {} nor {installed} exists", here.display());
        format!("{missing}; name one with `-c FILE`, or `-c -` for standard input")
    })
}

fn default_file() -> Option<PathBuf> {
    DEFAULTS.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// The source of what [`file`] found. Standard input is read here, and can be no second time.
///
/// # Errors
/// When standard input cannot be read.
pub fn source(file: &Path) -> Result<Source, String> {
    if file != Path::new(config::INPUT) {
        return Ok(Source::File(file.to_owned()));
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MOST).read_to_end(&mut bytes);
    let text = read.map_err(|e| e.to_string()).and_then(|_| config::text_of(bytes));
    text.map(|text| Source::Input(text.into())).map_err(|reason| format!("error: cannot read standard input: {reason}"))
}

/// The running process of the configuration that is named, or of the default file. Without either
/// it is whatever process answers in the usual place.
///
/// # Errors
/// When none is found.
pub fn process(given: Option<&Path>) -> Result<Running, String> {
    let default = default_file();
    let file = given.or(default.as_deref());
    let (control, pid_file) = config::own_files(file.filter(|file| *file != Path::new(config::INPUT)));
    let running = server::find((&control, &pid_file), file).map_err(|reason| format!("error: {reason}"))?;
    if let Some(user) = running.stranger {
        super::out::tell(&format!("the process of user {user} on {} is asked\n", running.path.display()));
    }
    Ok(running)
}
