//! What an id_token says, once it is certain that the provider says it, to us, now, about this sign-in.

use super::error::SocialError;
use super::keys::Keys;
use super::person::{Person, is_true};
use super::provider::Provider;
use super::wire::Wire;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::Value;

/// Their clock and ours.
const LEEWAY_SECONDS: u64 = 60;
/// No real one is longer; longer ones are refused unread.
const LENGTH_MAX_BYTES: usize = 16 * 1024;

#[derive(Deserialize)]
struct Claims {
    sub: String,
    nonce: Option<String>,
    azp: Option<String>,
    email: Option<String>,
    email_verified: Option<Value>,
    /// Google: the Workspace domain of the account.
    hd: Option<String>,
    is_private_email: Option<Value>,
    name: Option<String>,
    nickname: Option<String>,
    picture: Option<String>,
}

/// What a token has to be.
pub(super) struct Expected<'a> {
    pub(super) provider: Provider,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
}

/// Checks and reads.
pub(super) async fn verified(
    token: &str,
    expected: &Expected<'_>,
    keys: &Keys,
    wire: &Wire,
) -> Result<Person, SocialError> {
    if token.len() > LENGTH_MAX_BYTES {
        return Err(SocialError::TokenRefused("too long"));
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| SocialError::TokenRefused("not a token"))?;
    if header.alg != Algorithm::RS256 {
        return Err(SocialError::TokenRefused("not RS256"));
    }
    let id = header.kid.ok_or(SocialError::TokenRefused("no key id"))?;
    let key = keys.get(wire, &id).await?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_issuer(expected.provider.issuers());
    validation.set_audience(&[expected.client_id]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(|error| {
        use jsonwebtoken::errors::ErrorKind;
        SocialError::TokenRefused(match error.kind() {
            ErrorKind::InvalidSignature => "signature",
            ErrorKind::ExpiredSignature => "expired",
            ErrorKind::InvalidIssuer => "issuer",
            ErrorKind::InvalidAudience => "audience",
            _ => "claims",
        })
    })?;
    let claims = claims.claims;
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err(SocialError::TokenRefused("nonce"));
    }
    if claims.azp.as_deref().is_some_and(|party| party != expected.client_id) {
        return Err(SocialError::TokenRefused("authorized party"));
    }
    person(expected.provider, claims)
}

fn person(provider: Provider, claims: Claims) -> Result<Person, SocialError> {
    let says_verified = is_true(claims.email_verified.as_ref());
    let email_verified = match provider {
        // writes the address into an id_token only when it is valid and verified
        Provider::Kakao => true,
        // Saw it proved once; whose it is by now Google knows only of mailboxes that it runs itself.
        Provider::Google => says_verified && is_google_mailbox(&claims),
        Provider::Naver | Provider::Apple => says_verified,
    };
    let is_private = is_true(claims.is_private_email.as_ref());
    let mut person = Person::new(provider, claims.sub)?;
    person.set_email(claims.email.as_deref(), email_verified, is_private);
    person.nickname = claims.nickname.or(claims.name);
    person.picture = claims.picture;
    Ok(person)
}

fn is_google_mailbox(claims: &Claims) -> bool {
    let is_gmail = |email: &String| email.to_ascii_lowercase().ends_with("@gmail.com");
    claims.hd.as_ref().is_some_and(|domain| !domain.is_empty()) || claims.email.as_ref().is_some_and(is_gmail)
}

#[cfg(test)]
mod tests;
