#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_session_is_read_and_an_ended_process_has_none() {
    use std::os::unix::process::CommandExt;
    let mut leader = std::process::Command::new("sleep");
    let mut child = leader.arg("60").process_group(0).spawn().unwrap();
    let pid = Pid::from_child(&child);
    let session = session_of(pid);
    assert_eq!(session, session_of(rustix::process::getpid()));
    assert_ne!(session, Some(pid));
    assert!(!lower_session_priority(pid, 1), "it leads a group but no session");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(session_of(pid), None);
}

#[test]
fn a_thread_steps_back_alone_and_never_forwards() {
    let here = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).ok();
    let before = here();
    let other = std::thread::spawn(move || {
        lower_this_thread_priority(7);
        let lowered = here();
        lower_this_thread_priority(3);
        (lowered, here())
    });
    assert_eq!(other.join().ok(), Some((Some(7), Some(7))));
    assert_eq!(here(), before);
}
