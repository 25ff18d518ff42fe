//! What the system allows a process that holds thousands of connections.

/// Raises the number of open files to what the system allows.
///
/// # Errors
/// When the limit cannot be asked for.
pub fn raise_file_limit() -> crate::error::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
