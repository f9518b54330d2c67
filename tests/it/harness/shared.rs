//! The deployment that tests without special needs share, each with gonggus of its own.

use super::api::Api;
use super::deployment::Deployment;
use tokio::sync::OnceCell;

/// A running deployment and its admin's token.
pub(crate) struct Shared {
    pub(crate) deployment: Deployment,
    admin_token: String,
}

impl Shared {
    /// A client without a sign-in. HTTP clients belong to one runtime, so each test makes its own.
    pub(crate) fn anyone(&self) -> Api {
        Api::new(&self.deployment)
    }

    pub(crate) fn admin(&self) -> Api {
        self.anyone().with_token(&self.admin_token)
    }
}

/// Starts it for the first who asks.
pub(crate) async fn shared() -> &'static Shared {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    SHARED
        .get_or_init(async || {
            let mut deployment = Deployment::new();
            deployment.start().await;
            let admin = Api::new(&deployment).admin().await;
            Shared { admin_token: admin.token().to_owned(), deployment }
        })
        .await
}
