//! A catalog as large as a busy one: what indexes are chosen on and load runs are driven against.
//!
//! Problem: plans and figures of a hundred rows say nothing of a hundred thousand, and rows made one by one
//! would take hours.
//!
//! Invariants: every id follows from its kind and number (`dec0de00-KIND-8000-8000-NUMBER`), so sowing the same
//! sizes again adds nothing; each chunk is one statement, so what a stop leaves is whole chunks, and the next run
//! goes on after them; whoever is made here has no password and can never sign in; counts kept beside rows
//! (`subscriber_count`) are kept by the same triggers as everybody's. `click_count` stays 0: no click was judged.
//!
//! Shape: some are far more popular than others (see [`spread`]); one demo buyer, who can sign in, has a thousand
//! subscriptions and bookmarks; the first gonggu has ten thousand reviews; of a hundred gonggus 70 are over, 20
//! are open and 10 are still to open, as seen from when they were sown.

mod spread;

use super::{DemoAccount, SeedError};
use chrono::{DateTime, Utc};
use spread::{Chunk, Spread, stride};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

/// Rows a statement. Larger ones gain nothing, and a stop loses what the last one had done.
const CHUNK: u32 = 5_000;
/// Each gonggu tells the edges of itself: fewer a statement, which hold the notification queue.
const GONGGU_CHUNK: u32 = 2_500;
/// What the demo buyer subscribes to and keeps, and no more than a quarter of all.
const OF_DEMO_BUYER: u64 = 1_000;
/// Reviews of the first gonggu, and no more than a quarter of all.
const OF_FIRST_GONGGU: u64 = 10_000;
/// Of so many influencers the last waits for approval, and the one before it is suspended.
const NOT_ACTIVE_EVERY: u32 = 100;
/// What is full of new rows: their statistics, and what is visible to all (for reading indexes alone).
const TABLES: [&str; 7] =
    ["users", "influencer_profiles", "gonggus", "gonggu_categories", "subscriptions", "bookmarks", "reviews"];

/// How many of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct ScaleSizes {
    /// People who buy
    #[arg(long, requires = "scale", default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    pub buyers: u32,
    /// People who sell
    #[arg(long, requires = "scale", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub influencers: u32,
    /// Gonggus
    #[arg(long, requires = "scale", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    pub gonggus: u32,
    /// Subscriptions
    #[arg(long, requires = "scale", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(..=100_000_000))]
    pub subscriptions: u32,
    /// Bookmarks
    #[arg(long, requires = "scale", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(..=100_000_000))]
    pub bookmarks: u32,
    /// Reviews
    #[arg(long, requires = "scale", default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(..=100_000_000))]
    pub reviews: u32,
}

impl ScaleSizes {
    /// All rows together.
    pub fn rows(&self) -> u64 {
        [self.buyers, self.influencers, self.gonggus, self.subscriptions, self.bookmarks, self.reviews]
            .map(u64::from)
            .iter()
            .sum()
    }

    /// Influencers who are approved or were: the others have neither gonggus nor subscribers.
    fn approved(&self) -> u32 {
        self.influencers - self.influencers / NOT_ACTIVE_EVERY
    }

    fn subscriptions(&self) -> Spread {
        Spread::new(
            self.approved(),
            u64::from(self.subscriptions) - self.demo_buyers(self.subscriptions, self.approved()),
        )
    }

    fn bookmarks(&self) -> Spread {
        Spread::new(self.gonggus, u64::from(self.bookmarks) - self.demo_buyers(self.bookmarks, self.gonggus))
    }

    fn reviews(&self) -> Spread {
        let of_first = OF_FIRST_GONGGU.min(u64::from(self.reviews) / 4).min(self.buyers.into());
        Spread::new(self.gonggus, u64::from(self.reviews)).with_first(of_first)
    }

    /// How many of `total` pairs are the demo buyer's.
    fn demo_buyers(&self, total: u32, items: u32) -> u64 {
        OF_DEMO_BUYER.min(u64::from(total) / 4).min(items.into())
    }

    /// Nobody subscribes twice: the most popular one needs as many buyers as subscribers.
    fn check(&self) -> Result<(), SeedError> {
        let most = [self.subscriptions(), self.bookmarks(), self.reviews()].map(|spread| spread.most());
        match most.into_iter().max() {
            Some(most) if most > u64::from(self.buyers) => Err(SeedError::Sizes { buyers_min: most }),
            _ => Ok(()),
        }
    }
}

/// A chunk is there.
#[derive(Clone, Copy, Debug)]
pub struct ScaleStep {
    /// Of what.
    pub kind: &'static str,
    /// So many rows of all kinds are there now.
    pub done: u64,
    /// Of these, how many this run has added.
    pub added: u64,
}

/// What every chunk needs to know.
struct Sowing<'a> {
    pool: &'a PgPool,
    sizes: ScaleSizes,
    now: DateTime<Utc>,
    step: ScaleStep,
    tell: &'a dyn Fn(&ScaleStep),
}

/// Makes what is missing of these sizes; `tell` hears of every chunk. Returns how many rows were added.
pub async fn sow(
    pool: &PgPool,
    sizes: ScaleSizes,
    accounts: &[DemoAccount],
    tell: &dyn Fn(&ScaleStep),
) -> Result<u64, SeedError> {
    sizes.check()?;
    let of_role = |role| accounts.iter().find(|account| account.role == role).map(|account| account.id);
    let (admin, buyer) = (of_role("admin").unwrap_or_default(), of_role("buyer").unwrap_or_default());
    let step = ScaleStep { kind: "", done: 0, added: 0 };
    let mut sowing = Sowing { pool, sizes, now: Utc::now(), step, tell };
    sowing.buyers().await?;
    sowing.influencers(admin).await?;
    sowing.gonggus().await?;
    sowing.subscriptions(buyer).await?;
    sowing.bookmarks(buyer).await?;
    sowing.reviews().await?;
    if sowing.step.added > 0 {
        for table in TABLES {
            // Plans made for the few rows of before would be wrong for these.
            sqlx::raw_sql(AssertSqlSafe(format!("VACUUM (ANALYZE) {table}"))).execute(pool).await?;
        }
    }
    Ok(sowing.step.added)
}

/// Stores what is spread over items, a chunk a statement. A macro, since a checked statement is named by a literal.
macro_rules! spread {
    ($sowing:ident, $spread:expr, $file:literal, $kind:literal) => {
        for Chunk { items, quotas, rows } in $spread.chunks(CHUNK.into()) {
            let (buyers, stride) = (i64::from($sowing.sizes.buyers), stride($sowing.sizes.buyers));
            let added = sqlx::query_file_scalar!($file, &items, &quotas, buyers, stride, $sowing.now);
            let added = added.fetch_one($sowing.pool).await?;
            $sowing.told($kind, rows, added);
        }
    };
}

/// Stores what the buyer of the demonstration has: so many, every so many-th item.
macro_rules! of_demo_buyer {
    ($sowing:ident, ($buyer:expr, $count:expr, $every:expr), $file:literal, $kind:literal) => {
        let added = sqlx::query_file_scalar!($file, $buyer, $count.cast_signed(), $every, $sowing.now);
        let added = added.fetch_one($sowing.pool).await?;
        $sowing.told($kind, $count, added);
    };
}

impl Sowing<'_> {
    fn told(&mut self, kind: &'static str, rows: u64, added: i64) {
        let added = self.step.added + added.unsigned_abs();
        self.step = ScaleStep { kind, done: self.step.done + rows, added };
        (self.tell)(&self.step);
    }

    async fn buyers(&mut self) -> Result<(), SeedError> {
        for (first, end) in numbers(self.sizes.buyers, CHUNK) {
            let added = sqlx::query_file_scalar!("src/seed/scale/buyers.sql", first, end, self.now);
            let added = added.fetch_one(self.pool).await?;
            self.told("구매자", (end - first).unsigned_abs().into(), added);
        }
        Ok(())
    }

    async fn influencers(&mut self, admin: Uuid) -> Result<(), SeedError> {
        for (first, end) in numbers(self.sizes.influencers, CHUNK) {
            let approved = self.sizes.approved().cast_signed();
            let every = NOT_ACTIVE_EVERY.cast_signed();
            let added = sqlx::query_file_scalar!(
                "src/seed/scale/influencers.sql",
                first,
                end,
                self.now,
                approved,
                every,
                admin
            );
            let added = added.fetch_one(self.pool).await?;
            self.told("인플루언서", (end - first).unsigned_abs().into(), added);
        }
        Ok(())
    }

    async fn gonggus(&mut self) -> Result<(), SeedError> {
        // by name: the same in every deployment
        let children =
            sqlx::query_scalar!("SELECT id FROM categories WHERE parent_id IS NOT NULL ORDER BY name");
        let children = children.fetch_all(self.pool).await?;
        let owners = self.sizes.approved().cast_signed();
        for (first, end) in numbers(self.sizes.gonggus, GONGGU_CHUNK) {
            let added = sqlx::query_file_scalar!(
                "src/seed/scale/gonggus.sql",
                first,
                end,
                self.now,
                owners,
                &children
            );
            let added = added.fetch_one(self.pool).await?;
            self.told("공구", (end - first).unsigned_abs().into(), added);
        }
        Ok(())
    }

    async fn subscriptions(&mut self, demo_buyer: Uuid) -> Result<(), SeedError> {
        let approved = self.sizes.approved();
        let of_demo_buyer = self.sizes.demo_buyers(self.sizes.subscriptions, approved);
        let every = approved.cast_signed() / i32::try_from(of_demo_buyer.max(1)).unwrap_or(1);
        of_demo_buyer!(
            self,
            (demo_buyer, of_demo_buyer, every),
            "src/seed/scale/demo_subscriptions.sql",
            "구독"
        );
        spread!(self, self.sizes.subscriptions(), "src/seed/scale/subscriptions.sql", "구독");
        Ok(())
    }

    async fn bookmarks(&mut self, demo_buyer: Uuid) -> Result<(), SeedError> {
        let gonggus = self.sizes.gonggus;
        let of_demo_buyer = self.sizes.demo_buyers(self.sizes.bookmarks, gonggus);
        let every = gonggus.cast_signed() / i32::try_from(of_demo_buyer.max(1)).unwrap_or(1);
        of_demo_buyer!(self, (demo_buyer, of_demo_buyer, every), "src/seed/scale/demo_bookmarks.sql", "찜");
        spread!(self, self.sizes.bookmarks(), "src/seed/scale/bookmarks.sql", "찜");
        Ok(())
    }

    async fn reviews(&mut self) -> Result<(), SeedError> {
        spread!(self, self.sizes.reviews(), "src/seed/scale/reviews.sql", "리뷰");
        Ok(())
    }
}

/// `[first, end)` of each chunk.
fn numbers(count: u32, chunk: u32) -> impl Iterator<Item = (i32, i32)> {
    (0..count.div_ceil(chunk)).map(move |index| {
        let first = index * chunk;
        (first.cast_signed(), count.min(first.saturating_add(chunk)).cast_signed())
    })
}

#[cfg(test)]
mod plans;
#[cfg(test)]
mod tests;
