//! Where the archive of the log lies: a bucket that speaks S3, or a folder of this machine.
//!
//! The names are those that the tools of S3 stores use, so that one set of variables serves all of them; they mean
//! nothing here as long as no bucket is named. What the store itself says of them is asked at the start.

use super::reader::{self, Reader};
use gonggumoa_analytics::archive::{S3Settings, s3_prefix};

const BUCKET_EXAMPLE: &str = "gonggumoa-archive";
const ENDPOINT_EXAMPLE: &str = "https://s3.example.com";
const REGION_EXAMPLE: &str = "ap-northeast-2";
/// What stores without regions answer to.
const REGION_ELSEWHERE: &str = "us-east-1";

/// The bucket of the archive; `None`: the folder `archive` of `DATA_DIR`.
pub(super) fn read(reader: &mut Reader) -> Option<S3Settings> {
    let prefix = reader.value("ARCHIVE_PREFIX", String::new(), "production", s3_prefix);
    if reader.text("AWS_S3_BUCKET").is_none() {
        if !prefix.is_empty() {
            let text = "is set without AWS_S3_BUCKET: only the archive in a bucket has a prefix";
            reader.problem("AWS_S3_BUCKET", text, BUCKET_EXAMPLE);
        }
        return None;
    }
    let bucket = reader.value("AWS_S3_BUCKET", String::new(), BUCKET_EXAMPLE, bucket);
    let has_endpoint = reader.text("AWS_ENDPOINT_URL").is_some();
    let endpoint = reader.optional("AWS_ENDPOINT_URL", ENDPOINT_EXAMPLE, endpoint);
    let default_region = has_endpoint.then(|| REGION_ELSEWHERE.to_owned());
    let region = reader.optional("AWS_REGION", REGION_EXAMPLE, region).or(default_region);
    if region.is_none() && !reader.is_bad("AWS_REGION") {
        let text = "is not set: without AWS_ENDPOINT_URL the bucket is Amazon's, in one of its regions";
        reader.problem("AWS_REGION", text, REGION_EXAMPLE);
    }
    let access_key_id = key(reader, "AWS_ACCESS_KEY_ID", "the name of a key of the bucket");
    let secret_access_key = key(reader, "AWS_SECRET_ACCESS_KEY", "the secret of that key");
    Some(S3Settings { bucket, endpoint, region: region?, access_key_id, secret_access_key, prefix })
}

/// Both parts of the key are read as secrets: they get mixed up when they are pasted.
fn key(reader: &mut Reader, name: &'static str, example: &str) -> String {
    let plain = |text: &str| match text.chars().all(|character| character.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("has blanks or characters that keys do not have".to_owned()),
    };
    if reader.text(name).is_none() {
        reader.problem(name, "is not set although AWS_S3_BUCKET is", example);
    }
    reader.secret(name, example, plain).unwrap_or_default()
}

/// Amazon's rule; other stores also take capitals and underscores.
fn bucket(text: &str) -> Result<String, String> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    if !(3..=63).contains(&text.len()) || !text.chars().all(plain) {
        return Err("is not the name of a bucket: 3 to 63 letters, digits, dots and hyphens".to_owned());
    }
    Ok(text.to_owned())
}

fn endpoint(text: &str) -> Result<String, String> {
    let url = reader::web_url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must end after the host, port or path".to_owned());
    }
    // The client tells by these letters whether plain HTTP is meant.
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn region(text: &str) -> Result<String, String> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    if text.chars().all(plain) { Ok(text.to_owned()) } else { Err("is not the name of a region".to_owned()) }
}
