//! What the process may use. The clock on the wall is the host's.

use std::io;
use std::os::fd::RawFd;

use bootc_image_native_protocol::Load;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

/// Open files, sockets and the like.
const DESCRIPTORS: u64 = 256;
/// `CLONE_THREAD`: what is made is a thread, and no process.
const CLONE_THREAD: u64 = 0x10000;
/// System calls that make processes, by number, with their conditions.
#[cfg(target_arch = "x86_64")]
const FORKS: &[i64] = &[57, 58];
#[cfg(not(target_arch = "x86_64"))]
const FORKS: &[i64] = &[];
#[cfg(target_arch = "x86_64")]
const CLONE: i64 = 56;
#[cfg(target_arch = "x86_64")]
const EXECS: &[i64] = &[59, 322];
#[cfg(target_arch = "aarch64")]
const CLONE: i64 = 220;
#[cfg(target_arch = "aarch64")]
const EXECS: &[i64] = &[221, 281];
const CLONE3: i64 = 435;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Whether a descriptor is open.
pub(crate) fn is_open(number: RawFd) -> bool {
    fcntl(number, FcntlArg::F_GETFD).is_ok()
}

/// Limits this process, for good as far as it doesn't undo it with root's authority.
pub(crate) fn obey(load: &Load) -> Result<(), String> {
    let failed = |what: &'static str| move |error| format!("{what}: {error}");
    limit(Resource::RLIMIT_CORE, 0).map_err(failed("core files can't be switched off"))?;
    limit(Resource::RLIMIT_NOFILE, DESCRIPTORS).map_err(failed("descriptors can't be limited"))?;
    limit(Resource::RLIMIT_AS, load.address_space).map_err(failed("memory can't be limited"))?;
    allow_processor_time(load.processor_seconds).map_err(failed("time can't be limited"))?;
    if load.may_start_processes {
        return Ok(());
    }
    start_no_processes().map_err(|error| format!("new processes can't be refused: {error}"))
}

/// Sets a limit; one that is lower already stays.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let (current, maximum) = getrlimit(resource)?;
    Ok(setrlimit(resource, current.min(most), maximum)?)
}

/// From now on this much processor time more, rounded up to whole seconds, as the kernel counts.
pub(crate) fn allow_processor_time(seconds: u64) -> io::Result<()> {
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    let used = used.user_time().tv_sec() + used.system_time().tv_sec();
    // Each of the two was rounded down.
    let most = u64::try_from(used).unwrap_or(u64::MAX).saturating_add(2).saturating_add(seconds);
    let (_, maximum) = getrlimit(Resource::RLIMIT_CPU)?;
    Ok(setrlimit(Resource::RLIMIT_CPU, most.min(maximum), maximum)?)
}

/// A process that it started would outlive it, beyond every clock.
fn start_no_processes() -> Result<(), seccompiler::Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let is_process =
        SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(CLONE_THREAD), 0)?;
    let mut refused: Vec<(i64, Vec<SeccompRule>)> =
        FORKS.iter().chain(EXECS).map(|&number| (number, Vec::new())).collect();
    refused.push((CLONE, vec![SeccompRule::new(vec![is_process])?]));
    // Its arguments are in memory, where they can't be looked at; whoever hears this takes the older call.
    let unknown = vec![(CLONE3, Vec::new())];
    for (rules, error) in [(refused, EPERM), (unknown, ENOSYS)] {
        let filter = SeccompFilter::new(
            rules.into_iter().collect(),
            SeccompAction::Allow,
            SeccompAction::Errno(error),
            arch,
        )?;
        let program = BpfProgram::try_from(filter)?;
        apply_filter(&program)?;
    }
    Ok(())
}
