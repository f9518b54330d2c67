//! Where the forwarder is, in a small file.
//!
//! The file says how far the journal has arrived in the shared log and what ties on to it. It is written beside
//! the old one, synced, renamed over it, and the folder is synced: a crash leaves the old place or the new one,
//! both true, since a place is only ever behind. It is text, so that a person can read it:
//!
//! ```text
//!   gonggumoa forwarder place 1
//!   log <epoch> <history>
//!   through <position> <run, or - before the first entry> <the run before it, or ->
//!   lasts <last number of the run in partition 0> <in partition 1> …
//!   check <the first 16 digits of the BLAKE3 of the lines above>
//! ```
//!
//! A place that is damaged, or of another log or journal, is never repaired by starting over: what was counted
//! would be counted again. It stops the start and says what it found.

use super::chain::Chain;
use super::window::Reached;
use crate::kafka::LogEpoch;
use gonggumoa_core::ids::{Position, RunId};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The file's name in its folder.
pub(super) const FILE_NAME: &str = "forwarder.place";
const NEW_FILE_NAME: &str = "forwarder.place.new";
const LOCK_FILE_NAME: &str = "forwarder.place.lock";
const TITLE: &str = "gonggumoa forwarder place 1";
/// A place with 100,000 partitions takes less; anything longer is not one.
const BYTES_MAX: u64 = 4 << 20;

/// What the file holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct StoredPlace {
    pub(super) log: LogEpoch,
    pub(super) reached: Reached,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("{0}")]
    Damaged(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The place's file in `folder`.
#[derive(Clone, Debug)]
pub(super) struct PlaceFile {
    folder: PathBuf,
}

impl PlaceFile {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(FILE_NAME)
    }

    /// What was written last; `None`: nothing ever.
    pub(super) fn read(&self) -> Result<Option<StoredPlace>, PlaceError> {
        let file = match File::open(self.path()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
        parse(&bytes).map(Some).map_err(PlaceError::Damaged)
    }

    /// Replaces it, durably when this returns. Blocks.
    ///
    /// Writes come one after another, also those of a forwarder that ended while its last one was under way; and one
    /// that comes late changes nothing, since what lies between may be released already.
    pub(super) fn write(&self, place: &StoredPlace) -> io::Result<()> {
        let lock = File::create(self.folder.join(LOCK_FILE_NAME))?;
        lock.lock()?;
        let written = self.read().map_err(io::Error::other)?;
        if written.is_some_and(|written| written.reached.through > place.reached.through) {
            return Ok(());
        }
        let new = self.folder.join(NEW_FILE_NAME);
        write_synced(&new, render(place).as_bytes())?;
        fs::rename(&new, self.path())?;
        File::open(&self.folder)?.sync_all()
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn render(place: &StoredPlace) -> String {
    let Reached { through, chain } = &place.reached;
    let name = |run: Option<RunId>| run.map_or_else(|| "-".to_owned(), |run| run.to_string());
    let mut text = format!(
        "{TITLE}\nlog {} {}\nthrough {through} {} {}\nlasts",
        place.log.number,
        place.log.history,
        name(chain.run),
        name(chain.predecessor),
    );
    for last in &chain.lasts {
        let _ = write!(text, " {last}");
    }
    text.push('\n');
    let check = check(&text);
    let _ = writeln!(text, "check {check}");
    text
}

fn check(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().as_str()[..16].to_owned()
}

fn parse(bytes: &[u8]) -> Result<StoredPlace, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    let (body, found) = text
        .strip_suffix('\n')
        .and_then(|text| text.rsplit_once("\ncheck "))
        .ok_or("its last line is missing")?;
    let body = format!("{body}\n");
    let wanted = check(&body);
    if found != wanted {
        return Err(format!("its checksum is {found}, its content has {wanted}"));
    }
    let mut lines = body.lines();
    if lines.next() != Some(TITLE) {
        return Err("its first line is not one that this program knows".to_owned());
    }
    let mut words = |name: &str| -> Result<Vec<String>, String> {
        let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
        let found = words.next();
        if found.as_deref() == Some(name) {
            Ok(words.collect())
        } else {
            Err(format!("its line {name} is missing"))
        }
    };
    let log = words("log")?;
    let through = words("through")?;
    let lasts = words("lasts")?;
    let [epoch, history] = log.as_slice() else { return Err("its line log is damaged".to_owned()) };
    let [through, run, predecessor] = through.as_slice() else {
        return Err("its line through is damaged".to_owned());
    };
    let chain = Chain {
        run: parse_run(run)?,
        predecessor: parse_run(predecessor)?,
        lasts: lasts.iter().map(|last| number(last)).collect::<Result<_, _>>()?,
    };
    Ok(StoredPlace {
        log: LogEpoch {
            number: u16::try_from(number(epoch)?).map_err(|_| format!("{epoch} is not an epoch"))?,
            history: parse_run(history)?.ok_or("its log has no name")?,
        },
        reached: Reached { through: Position(number(through)?), chain },
    })
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("{word:?} is not a number"))
}

fn parse_run(word: &str) -> Result<Option<RunId>, String> {
    if word == "-" {
        return Ok(None);
    }
    Uuid::try_parse(word).map(|run| Some(RunId(run))).map_err(|_| format!("{word:?} is not a run"))
}
