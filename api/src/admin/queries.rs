//! Lists for admins.

use crate::admin::types::{AdminUserFilter, AdminUserResponse, AuditEntryResponse, AuditFilter};
use crate::auth::email::fold_case;
use crate::http::page::{Order, PageRequest};
use crate::users::types::{UserRole, UserStatus};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

/// What lists of accounts may be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserSort {
    /// When it was made.
    CreatedAt,
    /// Its e-mail address.
    Email,
    /// Its shown name.
    Nickname,
}

impl UserSort {
    /// By its name; none is the default.
    pub fn parse(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("created_at") => Some(Self::CreatedAt),
            Some("email") => Some(Self::Email),
            Some("nickname") => Some(Self::Nickname),
            Some(_) => None,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::CreatedAt => "u.created_at",
            Self::Email => "u.email_folded",
            Self::Nickname => "u.nickname",
        }
    }
}

fn direction(order: Order) -> &'static str {
    match order {
        Order::Asc => " ASC",
        Order::Desc => " DESC",
    }
}

/// A page of accounts, and how many fit the filter.
pub async fn users(
    pool: &PgPool,
    filter: &AdminUserFilter,
    page: PageRequest<UserSort>,
) -> Result<(Vec<AdminUserResponse>, i64), sqlx::Error> {
    let mut count = QueryBuilder::new("SELECT count(*) FROM users u WHERE true");
    narrow_users(&mut count, filter);
    let total: i64 = count.build_query_scalar().fetch_one(pool).await?;
    // which accounts are on the page is found first; only those are read whole
    let mut rows = QueryBuilder::new("WITH page AS MATERIALIZED (SELECT u.id FROM users u WHERE true");
    narrow_users(&mut rows, filter);
    let direction = direction(page.order);
    // the id makes the order whole: no row stands on two pages
    let order = [" ORDER BY ", page.sort.column(), direction, ", u.id", direction].concat();
    rows.push(&order).push(" LIMIT ").push_bind(page.size).push(" OFFSET ").push_bind(page.offset());
    rows.push(
        ") SELECT u.id, u.email, u.nickname, u.role, u.status, COALESCE(p.is_verified, false) AS is_verified,
                  u.profile_image, u.created_at, s.suspended_at, s.reason AS suspended_reason
           FROM page JOIN users u ON u.id = page.id LEFT JOIN influencer_profiles p ON p.user_id = u.id
           LEFT JOIN user_suspensions s ON s.user_id = u.id",
    );
    rows.push(&order);
    Ok((rows.build_query_as().fetch_all(pool).await?, total))
}

fn narrow_users(query: &mut QueryBuilder<Postgres>, filter: &AdminUserFilter) {
    if let Some(role) = filter.role {
        query.push(" AND u.role = ").push_bind(role);
    }
    if let Some(status) = filter.status {
        query.push(" AND u.status = ").push_bind(status);
    }
    if let Some(text) = &filter.q {
        // folded as addresses are; a part of one has no domain that could be known as such
        query.push(" AND (strpos(u.email_folded, ").push_bind(fold_case(text));
        query.push(") > 0 OR strpos(lower(u.email), lower(").push_bind(text.clone());
        query.push(")) > 0 OR strpos(lower(u.nickname), lower(").push_bind(text.clone()).push(")) > 0)");
    }
}

/// One account.
pub async fn user(connection: &mut PgConnection, id: Uuid) -> Result<Option<AdminUserResponse>, sqlx::Error> {
    sqlx::query_as!(
        AdminUserResponse,
        r#"SELECT u.id, u.email, u.nickname, u.role AS "role: UserRole", u.status AS "status: UserStatus",
                  COALESCE(p.is_verified, false) AS "is_verified!", u.profile_image, u.created_at,
                  s.suspended_at AS "suspended_at?", s.reason AS "suspended_reason?"
           FROM users u LEFT JOIN influencer_profiles p ON p.user_id = u.id
           LEFT JOIN user_suspensions s ON s.user_id = u.id
           WHERE u.id = $1"#,
        id
    )
    .fetch_optional(connection)
    .await
}

/// A page of the log, and how many entries fit.
pub async fn audit_log(
    pool: &PgPool,
    filter: &AuditFilter,
    page: PageRequest<()>,
) -> Result<(Vec<AuditEntryResponse>, i64), sqlx::Error> {
    let mut count = QueryBuilder::new("SELECT count(*) FROM audit_log a WHERE true");
    narrow_audit_log(&mut count, filter);
    let total: i64 = count.build_query_scalar().fetch_one(pool).await?;
    let mut rows = QueryBuilder::new("WITH page AS MATERIALIZED (SELECT a.id FROM audit_log a WHERE true");
    narrow_audit_log(&mut rows, filter);
    let direction = direction(page.order);
    let order = [" ORDER BY a.at", direction, ", a.id", direction].concat();
    rows.push(&order).push(" LIMIT ").push_bind(page.size).push(" OFFSET ").push_bind(page.offset());
    rows.push(
        ") SELECT a.id, a.at, a.actor_id, u.nickname AS actor_nickname, a.action, a.target_type, a.target_id,
                  a.details
           FROM page JOIN audit_log a ON a.id = page.id LEFT JOIN users u ON u.id = a.actor_id",
    );
    rows.push(&order);
    Ok((rows.build_query_as().fetch_all(pool).await?, total))
}

fn narrow_audit_log(query: &mut QueryBuilder<Postgres>, filter: &AuditFilter) {
    if let Some(actor) = filter.actor {
        query.push(" AND a.actor_id = ").push_bind(actor);
    }
    if let Some(action) = &filter.action {
        query.push(" AND a.action = ").push_bind(action.clone());
    }
    if let Some(from) = filter.from {
        query.push(" AND a.at >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        query.push(" AND a.at < ").push_bind(to);
    }
}
