//! Reads named values and collects every problem, so that one start shows all of them.
//!
//! The usual libraries stop at the first bad value and look only at the process environment. Here the
//! variables are plain data: a test hands in a map, and a start that fails names everything that is wrong
//! with it at once.
//!
//! Invariants: an empty or blank value is the same as none; a value read as a secret never gets into a
//! problem's text.

use super::{ConfigError, Problem};
use ipnet::IpNet;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Longer values are cut in messages: a pasted key file must not flood the terminal.
const SHOWN_VALUE_CHARS_MAX: usize = 60;

/// The variables of a start, and what was found wrong with them so far.
#[derive(Debug)]
pub(super) struct Reader {
    variables: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn new(variables: BTreeMap<String, String>) -> Self {
        Self { variables, problems: Vec::new() }
    }

    /// The trimmed value, if there is one.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// A value, or the default when there is none. A bad one is noted, and the default goes on, so that
    /// the checks after it can still run.
    pub(super) fn value<T>(
        &mut self,
        name: &'static str,
        default: T,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.optional(name, example, parse).unwrap_or(default)
    }

    /// A value that may be missing.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name)?.to_owned();
        match parse(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problem(name, format!("{} {problem}", shown(&text)), example);
                None
            }
        }
    }

    /// A secret; `check` says what is wrong with it without repeating it.
    pub(super) fn secret<T>(
        &mut self,
        name: &'static str,
        example: &str,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name)?.to_owned();
        match check(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problem(name, format!("the value (not shown) {problem}"), example);
                None
            }
        }
    }

    /// Notes a problem. Without an example the remedy is in the text.
    pub(super) fn problem(&mut self, name: &'static str, text: impl Into<String>, example: &str) {
        let example = (!example.is_empty()).then(|| format!("{name}={example}"));
        self.problems.push(Problem { name, text: text.into(), example });
    }

    /// Has this variable been found bad already? Checks across values skip it then.
    pub(super) fn is_bad(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| problem.name == name)
    }

    /// The end: `value` if nothing was wrong.
    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(value) } else { Err(ConfigError { problems: self.problems }) }
    }
}

/// A value as it may stand in a message.
pub(super) fn shown(text: &str) -> String {
    if text.chars().count() <= SHOWN_VALUE_CHARS_MAX {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(SHOWN_VALUE_CHARS_MAX).collect();
    format!("{head:?}…")
}

/// A whole number within a range.
pub(super) fn whole<N>(range: RangeInclusive<N>) -> impl FnOnce(&str) -> Result<N, String>
where
    N: FromStr + PartialOrd + Display,
{
    move |text| {
        let number = text
            .parse::<N>()
            .map_err(|_| format!("is not a whole number from {} to {}", range.start(), range.end()))?;
        if range.contains(&number) {
            Ok(number)
        } else {
            Err(format!("must be from {} to {}", range.start(), range.end()))
        }
    }
}

/// A number of bytes: plain, or with KiB, MiB, GiB, TiB.
pub(super) fn bytes(least: u64) -> impl FnOnce(&str) -> Result<u64, String> {
    move |text| {
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let shift = match unit.trim() {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err("is not a number of bytes (plain, or with KiB, MiB, GiB, TiB)".into()),
        };
        let number: u64 = digits.parse().map_err(|_| "is not a number of bytes".to_owned())?;
        let number = number.checked_mul(1 << shift).ok_or("is too large")?;
        if number < least { Err(format!("must be at least {least} bytes")) } else { Ok(number) }
    }
}

/// A list, as a JSON array of strings or comma-separated; every bad entry is named.
pub(super) fn list<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let entries: Vec<String> = if text.starts_with('[') {
        serde_json::from_str(text)
            .map_err(|_| "starts like JSON but is not an array of strings".to_owned())?
    } else {
        text.split(',').map(str::to_owned).collect()
    };
    let mut values = Vec::new();
    let mut bad = Vec::new();
    for entry in entries.iter().map(|entry| entry.trim()).filter(|entry| !entry.is_empty()) {
        match parse(entry) {
            Ok(value) => values.push(value),
            Err(problem) => bad.push(format!("{} {problem}", shown(entry))),
        }
    }
    if bad.is_empty() { Ok(values) } else { Err(format!("has bad entries: {}", bad.join("; "))) }
}

/// An address block; a single address is the block of itself.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "is neither an address nor an address block".to_owned())
}

/// A web origin as browsers send it: scheme, host, port, and nothing after.
pub(super) fn origin(text: &str) -> Result<String, String> {
    if text == "*" {
        return Err("would hand every site the visitors' credentials; name the origins".into());
    }
    let url = web_url(text)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || text.ends_with('/') {
        return Err("must end after the host or port, without a slash".into());
    }
    Ok(url.origin().ascii_serialization())
}

/// A web address of a whole site: scheme, host, port; a slash at the end is forgiven.
pub(super) fn site_url(text: &str) -> Result<url::Url, String> {
    let url = web_url(text)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("must end after the host or port".into());
    }
    Ok(url)
}

/// An http or https address without credentials.
pub(super) fn web_url(text: &str) -> Result<url::Url, String> {
    let url = url::Url::parse(text).map_err(|error| format!("is not a web address ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("must start with http:// or https://".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password".into());
    }
    Ok(url)
}

/// 32 bytes as 64 hexadecimal digits.
pub(super) fn hex_key(text: &str) -> Result<[u8; 32], String> {
    crate::secrets::key_from_hex(text).ok_or_else(|| "is not 64 hexadecimal digits (32 bytes)".to_owned())
}

/// Any text, wrapped.
pub(super) fn wrapped(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}
