//! Who gets the processor first: the edge, always.
//!
//! Problem: on a busy machine the judge, the store and PostgreSQL would take the time in which a buyer
//! waits for a redirect, although they may lag and he may not (the journal holds what they have not done).
//! So they step back: their threads and processes get a higher nice value.
//!
//! On Linux with automatic groups (`kernel.sched_autogroup_enabled`, the default of desktop and Debian
//! kernels) a nice value counts only within one session, and every PostgreSQL process opens its own. There
//! the group's own value in `/proc/PID/autogroup` has to be set as well; measured on two busy loops on one
//! core, nice 10 alone left the shares at 50:50 across sessions, with the group's value they were 79:21.
//!
//! Stepping back needs no rights. Failing to do so costs speed only, so it is logged and never an error.

use rustix::process::Pid;

/// Steps the calling thread back. Only on Linux is this a thread's own value; elsewhere nothing is done,
/// since it would hold for the whole process, the edge included.
pub fn lower_this_thread_priority(nice: i32) {
    #[cfg(target_os = "linux")]
    step_back(rustix::thread::gettid(), nice);
    #[cfg(not(target_os = "linux"))]
    let _ = nice;
}

/// Steps another process back; what it starts from then on inherits the value.
pub fn lower_process_priority(pid: Pid, nice: i32) {
    step_back(pid, nice);
}

/// Steps back the automatic group of a session that `pid` leads. Of a process that leads none nothing is
/// changed: its group may be the edge's own. `false` if it has to be tried again.
pub fn lower_session_priority(pid: Pid, nice: i32) -> bool {
    if session_of(pid) != Some(pid) {
        return false;
    }
    let file = format!("/proc/{}/autogroup", pid.as_raw_nonzero());
    match std::fs::write(file, nice.to_string()) {
        Ok(()) => true,
        // No automatic groups in this kernel: the nice value alone counts.
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// The session of a process; `None` if it has ended, or if its session's leader is outside our PID namespace.
///
/// Both are the number 0 to the kernel, which `rustix::process::getsid` asserts never to see: a child that
/// has not called `setsid` yet has the session of whoever started us, in a container often an outsider.
fn session_of(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name, in parentheses, may itself hold spaces and parentheses (proc_pid_stat(5)).
    let (_, fields) = stat.rsplit_once(')')?;
    // state, parent, group, session
    Pid::from_raw(fields.split_whitespace().nth(3)?.parse().ok()?)
}

fn step_back(pid: Pid, nice: i32) {
    // Never forwards: an operator may have put the whole service further back already.
    let now = rustix::process::getpriority_process(Some(pid)).unwrap_or(0);
    if now < nice
        && let Err(error) = rustix::process::setpriority_process(Some(pid), nice)
    {
        tracing::debug!(%error, pid = pid.as_raw_nonzero(), "cannot lower a priority");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
