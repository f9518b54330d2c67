//! Lists of gonggus: which, in which order, a page at a time.
//!
//! Invariants: a page is one statement, whatever stands beside a gonggu in it, and its count another; status is
//! `gonggu_status_at`, at the moment that the caller names for both; gonggus of an account that is not
//! active are in no list.
//!
//! Beside that function stand comparisons that it implies: they say nothing new, but an index can be read by
//! them, which no function of three columns and a parameter allows. In the same way a title that contains a text
//! contains all its pairs of letters.

use crate::gonggus::totals::{Counted, TotalKey};
use crate::gonggus::types::{GongguFilter, GongguRow, Status};
use crate::http::check::Checks;
use crate::http::error::ApiError;
use crate::http::page::{Order, PageRequest};
use crate::http::text;
use chrono::{DateTime, Utc};
use sqlx::postgres::types::PgInterval;
use sqlx::{PgPool, Postgres, QueryBuilder};

/// A longer text is in no title that anybody looks for.
pub(crate) const Q_MAX_CHARS: usize = 100;

/// What of a gonggu `g` and its owner `u` makes a [`GongguRow`] in a list.
pub const COLUMNS: &str = "
    g.id, g.influencer_id, u.nickname, u.profile_image, g.title, g.description,
    g.original_price, g.gonggu_price, g.discount_rate::float8 AS discount_rate,
    g.open_at, g.close_at, g.closed_at, g.external_url, g.thumbnail, g.click_count, g.created_at, g.updated_at,
    COALESCE((
        SELECT json_agg(json_build_object('id', c.id, 'parent_id', c.parent_id, 'name', c.name, 'icon', c.icon,
                                          'sort_order', c.sort_order) ORDER BY gc.slot)
        FROM gonggu_categories gc JOIN categories c ON c.id = gc.category_id WHERE gc.gonggu_id = g.id
    ), '[]') AS categories";

/// Which gonggus `g` anybody may see in lists: not deleted, and of an active account. Few accounts are not, so
/// it is those that are looked up.
pub const LISTED: &str = "g.deleted_at IS NULL AND NOT EXISTS (
    SELECT FROM users hidden WHERE hidden.id = g.influencer_id AND hidden.status <> 'active')";

/// When the next gonggu closes after a moment, which follows.
const NEXT_CLOSING: &str = "(SELECT min(least(g.close_at, g.closed_at)) FROM gonggus g
    WHERE g.deleted_at IS NULL AND least(g.close_at, g.closed_at) > ";

/// What lists may be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// When it was made.
    CreatedAt,
    /// When it opens.
    OpenAt,
    /// When it closes, early or not.
    CloseAt,
    /// Its price.
    GongguPrice,
    /// Its discount.
    DiscountRate,
    /// Its billable clicks.
    ClickCount,
}

impl Sort {
    /// By its name; none is the default.
    pub fn parse(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("created_at") => Some(Self::CreatedAt),
            Some("open_at") => Some(Self::OpenAt),
            Some("close_at") => Some(Self::CloseAt),
            Some("gonggu_price") => Some(Self::GongguPrice),
            Some("discount_rate") => Some(Self::DiscountRate),
            Some("click_count") => Some(Self::ClickCount),
            Some(_) => None,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::CreatedAt => "g.created_at",
            Self::OpenAt => "g.open_at",
            Self::CloseAt => "least(g.close_at, g.closed_at)",
            Self::GongguPrice => "g.gonggu_price",
            Self::DiscountRate => "g.discount_rate",
            Self::ClickCount => "g.click_count",
        }
    }
}

/// A question that has been checked.
#[derive(Clone, Debug)]
pub struct ListQuery {
    filter: GongguFilter,
    /// Which page.
    pub page: PageRequest<Sort>,
    /// The moment that status is asked for.
    pub now: DateTime<Utc>,
    closes_until: Option<DateTime<Utc>>,
}

impl ListQuery {
    /// Checks what was asked.
    pub fn new(filter: GongguFilter, now: DateTime<Utc>) -> Result<Self, ApiError> {
        let mut checks = Checks::new();
        let q = filter.q.as_deref().and_then(|q| text::sought(q, Q_MAX_CHARS, &mut checks));
        checks.finish()?;
        let filter = GongguFilter { q, ..filter };
        let page = crate::http::page::PageQuery {
            page: filter.page,
            size: filter.size,
            sort: filter.sort.clone(),
            order: filter.order,
        };
        Ok(Self { page: page.check(Sort::parse)?, filter, now, closes_until: None })
    }

    /// Only what closes at this moment or before.
    #[must_use]
    pub fn closing_until(self, closes_until: DateTime<Utc>) -> Self {
        Self { closes_until: Some(closes_until), ..self }
    }

    /// What is counted, and so remembered; `None`: one owner's gonggus are counted by an index.
    pub fn total_key(&self, changes: u64) -> Option<TotalKey> {
        self.filter.influencer_id.is_none().then(|| TotalKey {
            changes,
            status: self.filter.status.map(Status::as_str),
            category: self.filter.category,
            q: self.filter.q.clone(),
            closes_within_millis: self.closes_within_millis(),
        })
    }

    /// All that the answer depends on besides the time and the catalog, in one line.
    pub fn question(&self) -> String {
        let GongguFilter { status, influencer_id, category, q, .. } = &self.filter;
        let PageRequest { page, size, sort, order } = self.page;
        let within = self.closes_within_millis();
        format!(
            "gonggus:{status:?}:{influencer_id:?}:{category:?}:{within:?}:{sort:?}:{order:?}:{page}:{size}:{q:?}"
        )
    }

    fn closes_within_millis(&self) -> Option<i64> {
        self.closes_until.map(|until| (until - self.now).num_milliseconds())
    }

    /// How many fit in all, and when the next gonggu opens or closes, if that can change it: both from indexes,
    /// whichever gonggu it is.
    pub async fn count(&self, pool: &PgPool) -> Result<Counted, sqlx::Error> {
        let mut count = QueryBuilder::new("SELECT (SELECT count(*) FROM gonggus g WHERE ");
        self.narrow(&mut count);
        count.push(") AS total, ");
        if self.filter.status.is_none() && self.closes_until.is_none() {
            count.push("NULL::timestamptz AS until");
        } else {
            count.push("least(");
            count.push("(SELECT min(g.open_at) FROM gonggus g WHERE g.deleted_at IS NULL AND g.open_at > ");
            count.push_bind(self.now).push("), ");
            count.push(NEXT_CLOSING).push_bind(self.now).push(")");
            if let Some(closes_until) = self.closes_until {
                // comes into reach so long before it closes
                count.push(", ").push(NEXT_CLOSING).push_bind(closes_until).push(") - ");
                count.push_bind(PgInterval::try_from(closes_until - self.now).map_err(sqlx::Error::Encode)?);
            }
            count.push(") AS until");
        }
        count.build_query_as::<Counted>().fetch_one(pool).await
    }

    /// The page. Which gonggus are on it is found first, by what they are sorted by; only those are read
    /// whole, with their owners and categories.
    pub async fn rows(&self, pool: &PgPool) -> Result<Vec<GongguRow>, sqlx::Error> {
        let mut rows = QueryBuilder::new("WITH page AS MATERIALIZED (SELECT g.id FROM gonggus g WHERE ");
        self.narrow(&mut rows);
        self.sort(&mut rows);
        rows.push(" LIMIT ").push_bind(self.page.size).push(" OFFSET ").push_bind(self.page.offset());
        rows.push(") SELECT ").push(COLUMNS);
        rows.push(" FROM page JOIN gonggus g ON g.id = page.id JOIN users u ON u.id = g.influencer_id");
        self.sort(&mut rows);
        rows.build_query_as::<GongguRow>().fetch_all(pool).await
    }

    /// The id makes the order whole: no row stands on two pages.
    fn sort(&self, query: &mut QueryBuilder<Postgres>) {
        let direction = match self.page.order {
            Order::Asc => " ASC",
            Order::Desc => " DESC",
        };
        let column = self.page.sort.column();
        query.push(" ORDER BY ").push(column).push(direction).push(", g.id").push(direction);
    }

    fn narrow(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(LISTED);
        if let Some(status) = self.filter.status {
            self.narrow_by_status(query, status);
        }
        if let Some(closes_until) = self.closes_until {
            query.push(" AND least(g.close_at, g.closed_at) <= ").push_bind(closes_until);
        }
        if let Some(influencer_id) = self.filter.influencer_id {
            query.push(" AND g.influencer_id = ").push_bind(influencer_id);
        }
        if let Some(category) = self.filter.category {
            query.push(
                " AND EXISTS (SELECT FROM gonggu_categories gc WHERE gc.gonggu_id = g.id AND gc.category_id = ANY (
                   ARRAY(SELECT c.id FROM categories c WHERE c.id = ",
            );
            query.push_bind(category).push(" OR c.parent_id = ").push_bind(category).push(")))");
        }
        if let Some(text) = &self.filter.q {
            if text.chars().count() > 1 {
                query.push(" AND letter_pairs(g.title) @> letter_pairs(").push_bind(text.clone()).push(")");
            }
            query.push(" AND strpos(lower(g.title), lower(").push_bind(text.clone()).push(")) > 0");
        }
    }

    fn narrow_by_status(&self, query: &mut QueryBuilder<Postgres>, status: Status) {
        query.push(" AND gonggu_status_at(g.open_at, g.close_at, g.closed_at, ").push_bind(self.now);
        query.push(") = '").push(status.as_str()).push("'::gonggu_status");
        match status {
            Status::Scheduled => query.push(" AND g.open_at > ").push_bind(self.now),
            Status::Active => query.push(" AND least(g.close_at, g.closed_at) > ").push_bind(self.now),
            Status::Closed => query.push(" AND least(g.close_at, g.closed_at) <= ").push_bind(self.now),
        };
    }
}

#[cfg(test)]
mod tests;
