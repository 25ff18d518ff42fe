//! What the process gives up once everything is open: whoever takes it over by a fault of its own
//! finds that it cannot gain privileges, is no way into the rest of the system, and leaves its
//! secrets nowhere. Why this much and no more: `docs/decisions/0005-sandbox.md`.

use std::collections::BTreeMap;

use nix::libc::{self, c_long};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::set_no_new_privs;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// Gives it up for the threads and processes that come after it. What the system does not offer is logged and left out, as an operator's file cannot mend it.
pub fn enter() {
    let told = [
        ("core dumps", keep_memory_to_itself()),
        ("no new privileges", set_no_new_privs(true).map_err(|e| e.to_string())),
        ("the filter of system calls", if is_filtered() { Ok(()) } else { refuse_system_calls() }),
    ];
    for (what, reason) in told.into_iter().filter_map(|(what, result)| Some((what, result.err()?))) {
        log::warn!("sandbox: {what}: {reason}; it goes on without, see `server.sandbox`");
    }
}

/// The memory holds private keys and passwords. A limit of 0 keeps no core dump from a handler that
/// the kernel pipes it to, as systemd's is; that the process is not dumpable does, and no debugger
/// of the same user may look at it either.
fn keep_memory_to_itself() -> Result<(), String> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(|e| e.to_string())?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| e.to_string())
}

/// Whether a filter is in force already: that of systemd, of a container, or of the process that
/// this one takes over from. They are not piled up.
fn is_filtered() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

/// For all threads; without `no_new_privs` only root could.
fn refuse_system_calls() -> Result<(), String> {
    seccompiler::apply_filter_all_threads(&program()?).map_err(|e| e.to_string())
}

fn program() -> Result<BpfProgram, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| e.to_string())?;
    let refused: BTreeMap<c_long, Vec<_>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let eperm = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(refused, SeccompAction::Allow, eperm, arch).map_err(|e| e.to_string())?;
    BpfProgram::try_from(filter).map_err(|e| e.to_string())
}

/// Nothing here or in a newer process needs these: they look into other processes, change the
/// system or its name spaces, or are where faults of the kernel were found most often.
const REFUSED: &[c_long] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // Name spaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    // The system.
    libc::SYS_acct,
    libc::SYS_clock_settime,
    libc::SYS_settimeofday,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_personality,
    // Large and seldom used parts of the kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Of the thread alone: the other tests need no sandbox.
    fn filtered<T: Send>(then: impl FnOnce() -> T + Send) -> T {
        let run = || {
            seccompiler::apply_filter(&program().unwrap()).unwrap();
            then()
        };
        std::thread::scope(|scope| scope.spawn(run).join().unwrap())
    }

    #[test]
    fn what_is_refused_is_refused_and_the_rest_is_not() {
        let (chroot, file) =
            filtered(|| (std::os::unix::fs::chroot("/").unwrap_err(), std::fs::read("/proc/self/stat")));
        assert_eq!(chroot.raw_os_error(), Some(libc::EPERM));
        assert!(file.is_ok());
        assert!(filtered(|| std::process::Command::new("true").status().unwrap().success()), "a newer process");
    }

    /// What it costs a system call: `cargo test --release --lib sandbox -- --ignored --nocapture`.
    #[test]
    #[ignore = "a measurement"]
    #[allow(clippy::print_stdout)] // what it is for
    fn what_a_system_call_costs() {
        let measured = || {
            let began = Instant::now();
            for _ in 0..2_000_000 {
                std::hint::black_box(rustix::process::getppid());
            }
            began.elapsed().as_nanos() / 2_000_000
        };
        println!("{} ns, and {} ns with the filter", measured(), filtered(measured));
    }
}
