//! Every statement of the store, prepared once.
//!
//! All but the compare-and-sets are idempotent and marked so: the driver may send them again or to a second replica.
//! Times to live and write timestamps are bound values, so that no statement is made of text. Only the table's name is
//! completed ([`named_fully`]).

use super::config::CqlConfig;
use super::connect;
use super::error::{CqlError, DriverError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;

/// Rows of one page of an answer.
const PAGE_ROWS: i32 = 2_000;

macro_rules! statements {
    ($($kind:ident $name:ident = $text:expr;)+) => {
        /// See the module.
        #[derive(Debug)]
        pub(crate) struct Statements {
            $(pub(crate) $name: PreparedStatement,)+
        }

        impl Statements {
            /// Prepares all of them for the keyspace of the settings.
            pub(crate) async fn prepare(config: &CqlConfig, session: &Session) -> Result<Self, CqlError> {
                $(let $name = prepare(config, session, Kind::$kind, $text);)+
                Ok(Self { $($name: $name.await?,)+ })
            }
        }
    };
}

/// What may be done with a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Sent again at will.
    Plain,
    /// Reads what compare-and-sets left, the unfinished ones too.
    Serial,
    /// A compare-and-set: never sent again by the driver.
    Set,
}

/// The statement with its table's keyspace. A session that uses a keyspace would do as well, but what it prepared
/// could then mean another keyspace's table, and a server warns of that at each statement.
pub(crate) fn named_fully(config: &CqlConfig, text: &str) -> String {
    let table = ["TABLE IF NOT EXISTS ", "TABLE ", "FROM ", "INTO ", "UPDATE "]
        .into_iter()
        .find_map(|keyword| text.find(keyword).map(|at| at + keyword.len()));
    let (before, after) = text.split_at(table.unwrap_or_default());
    format!("{before}{}.{after}", config.keyspace)
}

async fn prepare(
    config: &CqlConfig,
    session: &Session,
    kind: Kind,
    text: &str,
) -> Result<PreparedStatement, CqlError> {
    let text = named_fully(config, text);
    let mut statement = session.prepare(text).await.map_err(|error| CqlError::from(error.store()))?;
    statement.set_is_idempotent(kind != Kind::Set);
    statement.set_page_size(PAGE_ROWS);
    if kind == Kind::Serial {
        statement.set_consistency(connect::serial_read(config));
    }
    Ok(statement)
}

statements! {
    Plain put_click = "INSERT INTO clicks (gonggu_id, bucket, shard, clicked_at, position, click_id, record, verdict,
        reason, judged_at, rules_version, visitor, device, took_mark, duplicate_of_position,
        duplicate_of_judged_at, burst, flag_id)
        VALUES (:gonggu_id, :bucket, :shard, :clicked_at, :position, :click_id, :record, :verdict, :reason,
        :judged_at, :rules_version, :visitor, :device, :took_mark, :duplicate_of_position,
        :duplicate_of_judged_at, :burst, :flag_id) USING TTL :ttl";
    Plain put_address = "UPDATE clicks USING TTL :ttl SET address = :address
        WHERE gonggu_id = :gonggu_id AND bucket = :bucket AND shard = :shard AND clicked_at = :clicked_at
        AND position = :position";
    Plain put_click_bucket = "INSERT INTO click_buckets (gonggu_id, bucket, shard) VALUES (?, ?, ?) USING TTL ?";
    Plain click_buckets = "SELECT bucket, shard FROM click_buckets
        WHERE gonggu_id = ? AND bucket >= ? AND bucket <= ?";
    Plain clicks = "SELECT position, record, address, verdict, reason, judged_at, rules_version, visitor, device,
        took_mark, duplicate_of_position, duplicate_of_judged_at, burst, flag_id FROM clicks
        WHERE gonggu_id = ? AND bucket = ? AND shard = ? AND (clicked_at, position) > (?, ?)
        AND (clicked_at, position) < (?, ?) LIMIT ?";
    Plain put_needed = "INSERT INTO clicks_needed (gonggu_id, bucket, judged_at, position, record, verdict, reason,
        rules_version, visitor, took_mark, duplicate_of_position, duplicate_of_judged_at, burst)
        VALUES (:gonggu_id, :bucket, :judged_at, :position, :record, :verdict, :reason, :rules_version, :visitor,
        :took_mark, :duplicate_of_position, :duplicate_of_judged_at, :burst)";
    Plain needed = "SELECT judged_at, position, record, verdict, reason, rules_version, visitor, took_mark,
        duplicate_of_position, duplicate_of_judged_at, burst FROM clicks_needed
        WHERE gonggu_id = ? AND bucket = ? AND judged_at > ? AND judged_at <= ?";
    Plain put_head = "INSERT INTO click_heads (gonggu_id, partition, applied_through, counts, visitors,
        last_judged_at, last_clicked_at, recent_rollups, recent_flags)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
    Plain head = "SELECT gonggu_id, partition, applied_through, counts, visitors, last_judged_at, last_clicked_at,
        recent_rollups, recent_flags FROM click_heads WHERE gonggu_id = ?";
    Plain put_rollup = "INSERT INTO click_rollups (gonggu_id, level, bucket, at, through, counts, visitors,
        referrers, devices) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
    Plain put_rollup_bucket = "INSERT INTO click_rollup_buckets (gonggu_id, level, bucket) VALUES (?, ?, ?)";
    Plain rollup_buckets = "SELECT bucket FROM click_rollup_buckets
        WHERE gonggu_id = ? AND level = ? AND bucket >= ? AND bucket <= ?";
    Plain first_rollup_bucket = "SELECT bucket FROM click_rollup_buckets WHERE gonggu_id = ? AND level = ? LIMIT 1";
    Plain rollup = "SELECT through, level, at, counts, visitors, referrers, devices FROM click_rollups
        WHERE gonggu_id = ? AND level = ? AND bucket = ? AND at = ?";
    Plain rollups = "SELECT through, level, at, counts, visitors, referrers, devices FROM click_rollups
        WHERE gonggu_id = ? AND level = ? AND bucket = ? AND at >= ? AND at < ?";
    Plain rollup_counts = "SELECT through, at, counts FROM click_rollups
        WHERE gonggu_id = ? AND level = ? AND bucket = ? AND at >= ? AND at < ?";
    Plain rollups_unsketched = "SELECT through, level, at, counts, referrers, devices FROM click_rollups
        WHERE gonggu_id = ? AND level = ? AND bucket = ? AND at >= ? AND at < ?";
    Plain put_flag = "INSERT INTO click_flags (gonggu_id, id, scope, limit_index, address_hash, address_masked,
        window_millis, limit_clicks, opened_at, last_held_at, first_position, last_position, clicks, visitors)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
    Plain flags_held = "SELECT id, last_held_at FROM click_flags WHERE gonggu_id = ?";
    Plain flag = "SELECT id, scope, limit_index, address_hash, address_masked, window_millis, limit_clicks, opened_at,
        last_held_at, first_position, last_position, clicks, visitors FROM click_flags
        WHERE gonggu_id = ? AND id = ?";
    Plain put_quarantined = "INSERT INTO click_quarantine (partition, position) VALUES (?, ?)";
    Plain quarantined = "SELECT position FROM click_quarantine WHERE partition = ? AND position > ?";
    Serial progress = "SELECT owner, position, run, marks FROM click_partitions WHERE partition = ?";
    Plain all_marks = "SELECT partition, marks FROM click_partitions";
    Set claim = "UPDATE click_partitions SET owner = ?, updated_at = ? WHERE partition = ? IF owner = ?";
    Set next_progress = "UPDATE click_partitions SET position = ?, run = ?, marks = ?, updated_at = ?
        WHERE partition = ? IF owner = ? AND position = ? AND run = ?";
    Serial rules = "SELECT version, hash, settings FROM rules_versions WHERE chapter = 0";
    Set put_rules = "INSERT INTO rules_versions (chapter, version, hash, settings, created_at)
        VALUES (0, ?, ?, ?, ?) IF NOT EXISTS";
    Serial activations = "SELECT from_position, version FROM rules_activations WHERE partition = ?";
    Serial owned_activations = "SELECT owner, activations FROM click_partitions WHERE partition = ?";
    Set activate = "UPDATE click_partitions SET activations[?] = ? WHERE partition = ? IF owner = ?";
}
