//! The archive in a bucket that speaks S3.
//!
//! Problem: what a wrong bucket, a wrong key or a store that knows no conditions would do to the archive shows only
//! when the first file is due, an hour after the start, and the third of them would not show at all: where two
//! processes archive a partition the second would overwrite what the first wrote.
//!
//! Invariants: every setting that the store refuses is named by [`s3_check`], and no error holds a secret or what the
//! store wrote about a signature; a store that does not answer is no wrong setting: the archive waits for it, and
//! the log keeps what it has not got. Creating is conditional (`If-None-Match: *`), and [`s3_check`] has seen it refuse.

use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::client::HttpError;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, PutMode, RetryConfig};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// To a store in the same region a connection takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One request: a file of some 10 MB over a slow line, and a listing of a thousand names.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Tries after the first one within a request. The archive itself tries again for ever, and says so; these only
/// spare it a restart for what passes in seconds.
const RETRIES_MAX: usize = 4;
const RETRY_TIME: Duration = Duration::from_secs(90);
const BACKOFF_INITIAL: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// The start waits this long for what the store says of the settings.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);
/// The object whose second creation must be refused. It stays: one refused request then checks a start.
const CONDITION_PROBE: &str = "check/created-once";

/// Where the bucket is and whose it is.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// Where the store is, for stores other than Amazon's; plain HTTP only if it says so.
    pub endpoint: Option<String>,
    /// The bucket's region; stores that have none mostly answer to `us-east-1`.
    pub region: String,
    /// Name of the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// Folder within the bucket; empty: the whole bucket.
    pub prefix: String,
}

impl fmt::Debug for S3Settings {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("bucket", &self.bucket)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("access_key_id", &self.access_key_id)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Why a bucket cannot hold the archive.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// The store refuses what a setting says.
    #[error("{setting}: {problem}")]
    Setting {
        /// The variable.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The store does not answer, or says that it cannot now.
    #[error("the object store does not answer: {problem}")]
    Unreachable {
        /// How it shows.
        problem: String,
    },
}

impl S3Error {
    /// Whether the same settings may work later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Setting { .. } => false,
            Self::Unreachable { .. } => true,
        }
    }

    fn setting(setting: &'static str, problem: impl Into<String>) -> Self {
        Self::Setting { setting, problem: problem.into() }
    }
}

/// A prefix as it stands in the names of objects: without slashes at its ends.
pub fn s3_prefix(text: &str) -> Result<String, String> {
    match Path::parse(text) {
        Ok(path) => Ok(path.to_string()),
        Err(_) => Err("is not a path of names separated by single slashes".to_owned()),
    }
}

/// The object store of a bucket. Nothing is asked yet: see [`s3_check`].
pub fn s3(settings: &S3Settings) -> Result<Arc<dyn ObjectStore>, S3Error> {
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff: BACKOFF_INITIAL, max_backoff: BACKOFF_MAX, base: 2. },
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIME,
    };
    let endpoint = settings.endpoint.as_deref();
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
        .with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")));
    // Not from the environment: what the settings leave out is out.
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_access_key_id(&settings.access_key_id)
        .with_secret_access_key(&settings.secret_access_key)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(client)
        .with_retry(retry);
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    // All that is left to fail are the roots of trust and the address.
    let objects = builder.build().map_err(|error| S3Error::setting("AWS_ENDPOINT_URL", error.to_string()))?;
    let prefix =
        s3_prefix(&settings.prefix).map_err(|problem| S3Error::setting("ARCHIVE_PREFIX", problem))?;
    Ok(if prefix.is_empty() { Arc::new(objects) } else { Arc::new(PrefixStore::new(objects, prefix)) })
}

/// Asks the store whether it takes the settings, may be listed and written to, and never overwrites what is only
/// to be created. Ends within ten seconds.
pub async fn s3_check(objects: &dyn ObjectStore) -> Result<(), S3Error> {
    let checked = async {
        objects.list(None).try_next().await.map_err(|error| meaning(&error))?;
        // The first one may be there from an earlier start; then its refusal is all there is to see.
        if create_probe(objects).await? && create_probe(objects).await? {
            return Err(no_conditions());
        }
        Ok(())
    };
    let waited = format!("nothing within {} s", CHECK_TIMEOUT.as_secs());
    let timeout = |_| S3Error::Unreachable { problem: waited };
    tokio::time::timeout(CHECK_TIMEOUT, checked).await.map_err(timeout)?
}

/// Creates the probe; `false`: it is there already.
async fn create_probe(objects: &dyn ObjectStore) -> Result<bool, S3Error> {
    let text = "written to see that the store refuses to write it again\n";
    match objects.put_opts(&Path::from(CONDITION_PROBE), text.into(), PutMode::Create.into()).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
        Err(error) => Err(meaning(&error)),
    }
}

fn no_conditions() -> S3Error {
    let problem = "the store there writes over objects that are only to be created (it ignores If-None-Match), so \
                   that two processes could overwrite each other's archive; use a store that knows conditional writes";
    S3Error::setting("AWS_ENDPOINT_URL", problem)
}

/// What an answer says of the settings. The library gives the store's document as text only.
fn meaning(error: &object_store::Error) -> S3Error {
    let text = error.to_string();
    let between =
        |start, end| text.split_once(start).and_then(|(_, rest)| rest.split_once(end)).map(|(it, _)| it);
    let status = between("status code: ", " ").and_then(|status| status.parse::<u16>().ok());
    let code = between("<Code>", "</Code>").unwrap_or_default();
    let said = match (status, code) {
        (Some(status), "") => format!("(it answered {status})"),
        (Some(status), code) => format!("(it answered {status} {code})"),
        (None, _) => String::new(),
    };
    let wrong = |setting, problem: &str| S3Error::setting(setting, format!("{problem} {said}").trim_end());
    match code {
        "NoSuchBucket" | "InvalidBucketName" => wrong("AWS_S3_BUCKET", "the store has no such bucket"),
        "InvalidAccessKeyId" | "NotSignedUp" => {
            wrong("AWS_ACCESS_KEY_ID", "the store does not know this key")
        }
        "SignatureDoesNotMatch" => {
            wrong("AWS_SECRET_ACCESS_KEY", "is not the secret of the key that AWS_ACCESS_KEY_ID names")
        }
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => {
            wrong("AWS_ACCESS_KEY_ID", "this key may not list, read and write in the bucket AWS_S3_BUCKET")
        }
        "AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect" => {
            wrong("AWS_REGION", "is not the region of the bucket AWS_S3_BUCKET")
        }
        "NotImplemented" => no_conditions(),
        // Answers all right, but not now: a clock is set, a limit passes.
        "RequestTimeTooSkewed" | "SlowDown" | "RequestTimeout" | "OperationAborted" => {
            S3Error::Unreachable { problem: said }
        }
        _ if text.contains("redirect") => {
            wrong("AWS_REGION", "is not the region of the bucket AWS_S3_BUCKET")
        }
        _ if status.is_some_and(|status| status >= 500 || status == 429 || status == 408) => {
            S3Error::Unreachable { problem: said }
        }
        _ => match connection_problem(error) {
            Some(problem) => S3Error::Unreachable { problem },
            None => wrong("AWS_ENDPOINT_URL", "what is there does not answer as S3 does"),
        },
    }
}

/// Why nothing came back, with its causes: "connection refused" stands in the last of them.
fn connection_problem(error: &object_store::Error) -> Option<String> {
    let outermost: &(dyn Error + 'static) = error;
    let causes = std::iter::successors(Some(outermost), |&error| error.source());
    let mut causes = causes.skip_while(|cause| !cause.is::<HttpError>());
    let mut problem = causes.next()?.to_string();
    for cause in causes.map(ToString::to_string) {
        if !problem.contains(&cause) {
            problem = format!("{problem}: {cause}");
        }
    }
    Some(problem)
}
