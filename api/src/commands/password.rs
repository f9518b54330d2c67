//! A password from a person or a pipe, never from an argument: those stand in every process list.

use anyhow::{Context, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret, SecretString};
use std::io::{self, BufRead, IsTerminal, Write};

/// The first line of standard input.
pub(super) fn from_stdin() -> anyhow::Result<SecretString> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        bail!("no password on standard input");
    }
    Ok(SecretString::from(password))
}

/// Asked for twice, not shown.
pub(super) fn ask() -> anyhow::Result<SecretString> {
    if !io::stdin().is_terminal() {
        bail!("there is no terminal to ask for the password: use --password-stdin");
    }
    let first = ask_once("Password: ")?;
    let second = ask_once("Again: ")?;
    if first.expose_secret() == second.expose_secret() { Ok(first) } else { bail!("the passwords differ") }
}

fn ask_once(prompt: &str) -> anyhow::Result<SecretString> {
    let mut out = io::stderr();
    write!(out, "{prompt}").and_then(|()| out.flush()).context("cannot ask for the password")?;
    let silence = Silence::begin().context("cannot keep the terminal from showing the password")?;
    let password = from_stdin();
    drop(silence);
    // The person's own line end was not shown either.
    writeln!(out).context("cannot ask for the password")?;
    password
}

/// The terminal shows nothing until this is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
