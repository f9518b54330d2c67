//! What the two servers on the Java machine have in common.

use super::unavailable;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folder that a variable names; none when there is none, and why is said.
pub(super) fn jars(variable: &str, engine: &str) -> Option<PathBuf> {
    match std::env::var_os(variable) {
        Some(folder) => Some(PathBuf::from(folder)),
        None => unavailable(&format!(
            "{variable} is not set (make test does it, or: {variable}=$(.ci/engines {engine}))"
        )),
    }
}

/// `java @OPTIONS -cp CLASS_PATH MAIN ARGUMENTS…`. The class path is these folders: the last one's jars,
/// and the others themselves.
pub(super) fn command(options: &Path, class_path: &[&Path], main: &str, arguments: &[&str]) -> Vec<OsString> {
    let mut option_file = OsString::from("@");
    option_file.push(options);
    let (jars, folders) = class_path.split_last().unwrap();
    let mut joined = OsString::new();
    for folder in folders {
        joined.push(folder);
        joined.push(":");
    }
    joined.push(jars);
    joined.push("/*");
    let mut command = vec!["java".into(), option_file, "-cp".into(), joined, main.into()];
    command.extend(arguments.iter().map(OsString::from));
    command
}
