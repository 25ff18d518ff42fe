//! What the kernel says of this process. What it does not say is left out.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

#[derive(Debug, Default)]
pub struct ProcessFigures {
    pub cpu: Duration,
    /// In bytes.
    pub resident: Option<u64>,
    pub virtual_size: Option<u64>,
    pub threads: Option<u64>,
    pub open_files: Option<usize>,
    /// `None` where there is no limit.
    pub most_files: Option<u64>,
}

impl ProcessFigures {
    pub fn read() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let kib = |name: &str| field(name).map(|kib| kib * 1024);
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = (u64::try_from(cpu.tv_sec).unwrap_or_default(), u32::try_from(cpu.tv_nsec).unwrap_or_default());
        Self {
            cpu: Duration::new(cpu.0, cpu.1),
            resident: kib("VmRSS:"),
            virtual_size: kib("VmSize:"),
            threads: field("Threads:"),
            // One of them is the folder that is being read.
            open_files: std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count().saturating_sub(1)),
            most_files: getrlimit(Resource::Nofile).current,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_all_of_it() {
        let figures = ProcessFigures::read();
        assert!(figures.cpu > Duration::ZERO && figures.resident < figures.virtual_size, "{figures:?}");
        let open = figures.open_files.unwrap();
        let _more = std::fs::File::open("/dev/null").unwrap();
        assert!(figures.threads >= Some(1) && open >= 3, "{figures:?}");
        assert!(ProcessFigures::read().open_files.unwrap() > 3);
    }
}
