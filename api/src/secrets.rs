//! Keys that a deployment needs and nobody should have to invent: made at random on the first start.
//!
//! Problem: a default key in the source would sign tokens for everybody, and a key that changes makes every
//! visitor of yesterday a new one. So each is made once, kept in `DATA_DIR/secrets`, and never replaced: a
//! file that cannot be read stops the start, for writing a new key over it would destroy the old one.
//!
//! Invariants: folder 0700, files 0600; a file appears whole or not at all (written aside, synced, linked
//! under its name, folder synced); the address key's fingerprint in the database must be ours, for with
//! another key the same address would be another visitor.

use gonggumoa_core::visitor::AddressKey;
use secrecy::{ExposeSecret, SecretBox};
use sqlx::PgPool;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::config::Config;

/// 64 bytes suit every algorithm that is offered.
const JWT_KEY_BYTES: usize = 64;
const ADDRESS_KEY_BYTES: usize = 32;
const JWT_KEY_FILE: &str = "jwt.key";
const ADDRESS_KEY_FILE: &str = "address.key";
const FINGERPRINT_FACT: &str = "address_key_fingerprint";

/// The keys of a running process.
#[derive(Debug)]
pub struct Secrets {
    /// Signs and checks access tokens.
    pub jwt_key: SecretBox<Vec<u8>>,
    /// Hashes addresses.
    pub address_key: AddressKey,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file system said no.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A key file is not what was written.
    #[error("{} is damaged: {problem}; restore it from a backup (a new key is never written over an old one)", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Another key made the hashes that are stored.
    #[error(
        "the address key (fingerprint {ours}) is not the one this deployment's clicks were recorded with \
         (fingerprint {stored}): restore secrets/address.key, or set ADDRESS_HASH_KEY to the old key"
    )]
    OtherAddressKey {
        /// Of the key at hand.
        ours: String,
        /// Of the key that the database knows.
        stored: String,
    },
    /// The database could not be asked.
    #[error("cannot compare the address key with the database")]
    Database(#[from] sqlx::Error),
}

impl SecretsError {
    /// Would the same call, made later, possibly succeed?
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut))
    }
}

impl Secrets {
    /// The keys given by the settings, else those kept in `data_dir`, made on the first start.
    pub fn load(config: &Config, data_dir: &Path) -> Result<Self, SecretsError> {
        let folder = SecretsFolder::open(data_dir)?;
        let jwt_key = match &config.tokens.secret_key {
            Some(key) => SecretBox::new(Box::new(key.expose_secret().as_bytes().to_vec())),
            None => folder.key(JWT_KEY_FILE, JWT_KEY_BYTES)?,
        };
        let address_key = match &config.address_hash_key {
            Some(key) => key.clone(),
            None => {
                let bytes = folder.key(ADDRESS_KEY_FILE, ADDRESS_KEY_BYTES)?;
                let mut key = [0; ADDRESS_KEY_BYTES];
                key.copy_from_slice(bytes.expose_secret());
                AddressKey::new(key)
            }
        };
        Ok(Self { jwt_key, address_key })
    }
}

/// Stores the fingerprint on the first start, compares it on every other.
pub async fn check_address_key(pool: &PgPool, key: &AddressKey) -> Result<(), SecretsError> {
    let ours = key.fingerprint();
    sqlx::query!(
        "INSERT INTO deployment_facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        FINGERPRINT_FACT,
        ours
    )
    .execute(pool)
    .await?;
    let stored = sqlx::query_scalar!("SELECT value FROM deployment_facts WHERE name = $1", FINGERPRINT_FACT)
        .fetch_one(pool)
        .await?;
    if stored == ours { Ok(()) } else { Err(SecretsError::OtherAddressKey { ours, stored }) }
}

/// Makes the data folder if it is missing (mode 0700) and gives its absolute path.
pub fn prepare_data_dir(data_dir: &Path) -> Result<PathBuf, SecretsError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .and_then(|()| data_dir.canonicalize())
        .map_err(|source| SecretsError::Io { action: "make the data folder", path: data_dir.into(), source })
}

/// Makes a folder for us alone (mode 0700); one that is there already and open to others is closed.
pub fn private_folder(path: &Path) -> Result<(), SecretsError> {
    let error = |action| move |source| SecretsError::Io { action, path: path.into(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(error("make the folder"))?;
    let mode = fs::metadata(path).map_err(error("look at"))?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "a folder was open to others; closing it");
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(error("close to others"))?;
    }
    Ok(())
}

/// `DATA_DIR/secrets`.
#[derive(Debug)]
pub struct SecretsFolder(PathBuf);

impl SecretsFolder {
    /// Makes the folder if it is missing, and closes it to others.
    pub fn open(data_dir: &Path) -> Result<Self, SecretsError> {
        let path = data_dir.join("secrets");
        private_folder(&path)?;
        Ok(Self(path))
    }

    /// The text of a file, or `None` if there is none.
    pub fn read(&self, name: &str) -> Result<Option<String>, SecretsError> {
        let path = self.0.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SecretsError::Io { action: "read", path, source }),
        };
        let mode = fs::metadata(&path).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "a secret was readable by others; closing it");
            fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(|source| SecretsError::Io {
                action: "close to others",
                path: path.clone(),
                source,
            })?;
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(SecretsError::Damaged { path, problem: "it is not text".into() }),
        }
    }

    /// Makes a file that must not exist yet; `false` if it does (somebody was faster: read theirs).
    pub fn create(&self, name: &str, text: &str) -> Result<bool, SecretsError> {
        let path = self.0.join(name);
        let aside = self.0.join(format!(".{name}.{}", uuid::Uuid::new_v4().simple()));
        let result = write_synced(&aside, text.as_bytes()).and_then(|()| fs::hard_link(&aside, &path));
        // Whatever happened, the file aside has done its work; one that stays harms nobody.
        let _ = fs::remove_file(&aside);
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(source) => return Err(SecretsError::Io { action: "write", path, source }),
        }
        File::open(&self.0).and_then(|folder| folder.sync_all()).map_err(|source| SecretsError::Io {
            action: "sync",
            path: self.0.clone(),
            source,
        })?;
        Ok(true)
    }

    /// The error for a file whose content is not what was written.
    pub fn damaged(&self, name: &str, problem: impl Into<String>) -> SecretsError {
        SecretsError::Damaged { path: self.0.join(name), problem: problem.into() }
    }

    fn key(&self, name: &'static str, length: usize) -> Result<SecretBox<Vec<u8>>, SecretsError> {
        if self.read(name)?.is_none() {
            let mut bytes = vec![0u8; length];
            rand::fill(&mut bytes[..]);
            if self.create(name, &format!("{}\n", to_hex(&bytes)))? {
                tracing::info!(secret.file = name, "made a new key");
            }
        }
        // Read back what is under the name: a start at the same moment may have put its own there.
        let text = self.read(name)?.unwrap_or_default();
        let bytes = from_hex(text.trim_end()).filter(|bytes| bytes.len() == length);
        bytes
            .map(|bytes| SecretBox::new(Box::new(bytes)))
            .ok_or_else(|| self.damaged(name, format!("it must hold {} hexadecimal digits", length * 2)))
    }
}

/// A 32-byte key from its 64 hexadecimal digits.
pub fn key_from_hex(text: &str) -> Option<[u8; 32]> {
    from_hex(text)?.try_into().ok()
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests;
