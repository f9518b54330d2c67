//! Which account a person signs in to.
//!
//! 1. The identity is (provider, subject). Known: its account, whatever e-mail comes with it now.
//! 2. Unknown, and an account has the same e-mail: linked to it only if the provider asserts the address
//!    *and* we have seen it proved. Otherwise the person signs in as before and links from there
//!    (`SOCIAL_LINK_REQUIRED`). So it is for Naver always, for administrators always (an outside mailbox must
//!    not be worth an administration), and for a second identity of one provider (a recycled address).
//! 3. The provider asserts the address and the account never proved it: that account may have been made by
//!    somebody who waited for this moment. It loses e-mail, password, sessions and an application to be an
//!    influencer, and the person gets a new account; nothing of the old one is inherited. Only accounts with a buyer's
//!    rights, which anybody may make (also one that signed up as an influencer and waits): whoever an admin has
//!    approved links himself.
//! 4. Apple's forwarding addresses belong to one app and person: they say nothing of other accounts.
//!
//! Lock order: the identity's advisory lock, then the row of `users`.

use super::error::SocialError;
use super::person::Person;
use super::queries::{self, LocalAccount, NewAccount};
use crate::app::App;
use crate::auth::email::fold;
use crate::auth::identity::Identity;
use crate::auth::queries::Account;
use crate::http::error::ApiError;
use crate::users::types::{UserRole, UserStatus};
use chrono::{DateTime, Utc};
use gonggumoa_analytics::postgres::begin::begin;
use gonggumoa_core::ids::UserId;
use sqlx::PgConnection;
use uuid::Uuid;

/// Somebody else may take the same e-mail at the same moment; then the decision is another one.
const TRIES: u32 = 3;

/// What is done with a person whose identity is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// A new account, with the proved e-mail.
    SignUp,
    /// A new account without an e-mail.
    SignUpWithoutEmail,
    /// The identity joins this account.
    Join(Uuid),
    /// This account loses what it never proved; then a new one.
    Replace(Uuid),
    /// Sign in as before, then link.
    AskToLink,
    /// The account of that e-mail is suspended.
    Suspended,
}

/// The policy: see the module's head.
pub(super) fn decide(person: &Person, local: Option<&LocalAccount>) -> Decision {
    let Some(local) = local else {
        return if person.proved_email().is_some() { Decision::SignUp } else { Decision::SignUpWithoutEmail };
    };
    if person.is_relay {
        return Decision::SignUpWithoutEmail;
    }
    if person.proved_email().is_none() || local.role == UserRole::Admin {
        return Decision::AskToLink;
    }
    if local.status == UserStatus::Suspended {
        return Decision::Suspended;
    }
    match local.is_email_verified {
        true if local.has_provider => Decision::AskToLink,
        true => Decision::Join(local.id),
        false if local.role == UserRole::Buyer || local.status == UserStatus::Pending => {
            Decision::Replace(local.id)
        }
        false => Decision::AskToLink,
    }
}

/// The account that `person` signs in to, made if there is none.
pub(super) async fn account(app: &App, person: &Person) -> Result<Account, ApiError> {
    for _ in 0..TRIES {
        let now = app.clock.now().to_utc();
        let mut transaction = begin(&app.pool).await?;
        let (found, replaced) = found_or_made(&mut transaction, person, now).await?;
        let Some(account) = found else { continue };
        transaction.commit().await?;
        if let Some(id) = replaced {
            app.identities.forget(UserId(id));
        }
        if account.status == UserStatus::Suspended {
            return Err(ApiError::AccountSuspended);
        }
        return Ok(account);
    }
    Err(ApiError::Unavailable)
}

/// `None`: what was decided on has changed meanwhile. Beside the account, one that was replaced.
async fn found_or_made(
    connection: &mut PgConnection,
    person: &Person,
    now: DateTime<Utc>,
) -> Result<(Option<Account>, Option<Uuid>), ApiError> {
    let (provider, subject) = (person.provider.name(), person.subject.as_str());
    let email = person.email.as_deref();
    queries::lock_identity(connection, provider, subject).await?;
    if let Some(account) = queries::use_identity(connection, provider, subject, email, now).await? {
        return Ok((Some(account), None));
    }
    let local = match email {
        Some(email) => queries::lock_local(connection, &fold(email), provider).await?,
        None => None,
    };
    let decision = decide(person, local.as_ref());
    let (mut replaced, mut kept_email) = (None, person.proved_email());
    let user_id = match decision {
        Decision::AskToLink => return Err(SocialError::LinkRequired.into()),
        Decision::Suspended => return Err(ApiError::AccountSuspended),
        Decision::Join(id) => id,
        Decision::SignUp | Decision::SignUpWithoutEmail | Decision::Replace(_) => {
            if let Decision::Replace(id) = decision {
                queries::dispossess(connection, id, now).await?;
                replaced = Some(id);
            }
            if decision == Decision::SignUpWithoutEmail {
                kept_email = None;
            }
            let (id, nickname, picture) = (Uuid::now_v7(), person.shown_name(), person.shown_picture());
            let account =
                NewAccount { id, email: kept_email, nickname: &nickname, picture: picture.as_deref() };
            if !queries::insert_account(connection, &account, now).await? {
                return Ok((None, None));
            }
            id
        }
    };
    if !queries::insert_identity(connection, user_id, provider, subject, email, now).await? {
        return Ok((None, None));
    }
    let account = queries::use_identity(connection, provider, subject, email, now).await?;
    tracing::info!(social.provider = provider, social.decision = ?decision, "a new social identity");
    Ok((account, replaced))
}

/// Links an identity to the account of somebody who is signed in, and still is; whether it is new.
pub(super) async fn link(app: &App, user: &Identity, person: &Person) -> Result<bool, ApiError> {
    let now = app.clock.now().to_utc();
    let user_id = user.id.0;
    let (provider, subject) = (person.provider.name(), person.subject.as_str());
    let mut transaction = begin(&app.pool).await?;
    queries::lock_identity(&mut transaction, provider, subject).await?;
    let owner = queries::identity_owner(&mut transaction, provider, subject).await?;
    if owner == Some(user_id) {
        return Ok(false);
    }
    if owner.is_some() {
        return Err(SocialError::AlreadyLinked.into());
    }
    queries::lock_account(&mut transaction, user_id, user.token_version)
        .await?
        .ok_or(ApiError::Unauthorized)?;
    let email = person.email.as_deref();
    if !queries::insert_identity(&mut transaction, user_id, provider, subject, email, now).await? {
        return Err(SocialError::AlreadyLinked.into());
    }
    transaction.commit().await?;
    Ok(true)
}

/// Unlinks a provider; one that is not linked is as good as unlinked.
pub(super) async fn unlink(app: &App, user: &Identity, provider: &str) -> Result<(), ApiError> {
    let user_id = user.id.0;
    let mut transaction = begin(&app.pool).await?;
    let has_password = queries::lock_account(&mut transaction, user_id, user.token_version)
        .await?
        .ok_or(ApiError::Unauthorized)?;
    let linked = queries::identities(&mut transaction, user_id).await?;
    if !linked.iter().any(|identity| identity.provider == provider) {
        return Ok(());
    }
    if linked.len() == 1 && !has_password {
        return Err(SocialError::LastLoginMethod.into());
    }
    queries::delete_identity(&mut transaction, user_id, provider).await?;
    transaction.commit().await?;
    Ok(())
}
