//! Loading: all that the states of many gonggus are rebuilt from, in four statements as of one instant.

use super::PostgresClickStore;
use super::begin::begin_snapshot;
use super::codes;
use super::error::store_error;
use super::millis::PgMillis;
use super::rows::{ClickRow, FlagRow, HeadRow, RollupRow};
use gonggumoa_core::click::JudgedClick;
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::judge::totals::{Flag, GongguHead, Rollup};
use gonggumoa_core::store::{GongguSnapshot, LoadRequest, StoreError};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Where each request's windows begin.
struct Windows {
    ids: Vec<Uuid>,
    after: Vec<PgMillis>,
    through: Vec<i64>,
}

pub(crate) async fn load(
    store: &PostgresClickStore,
    requests: &[LoadRequest],
) -> Result<Vec<GongguSnapshot>, StoreError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let mut transaction = begin_snapshot(&store.pool).await.map_err(store_error)?;
    let mut snapshots = vec![GongguSnapshot::default(); requests.len()];
    let index: HashMap<Uuid, usize> =
        requests.iter().enumerate().map(|(index, request)| (request.gonggu_id.0, index)).collect();
    let slot = |id: Uuid| index.get(&id).copied().unwrap_or_default();

    let ids: Vec<Uuid> = requests.iter().map(|request| request.gonggu_id.0).collect();
    for head in heads(&mut transaction, &ids).await? {
        let slot = slot(head.gonggu_id.0);
        snapshots[slot].head = Some(head);
    }
    let windows = windows(requests, &snapshots);
    for click in clicks(&mut transaction, &windows).await? {
        let slot = slot(click.click.gonggu_id.0);
        snapshots[slot].clicks.push(click);
    }
    for flag in flags(&mut transaction, &windows).await? {
        let slot = slot(flag.gonggu_id.0);
        snapshots[slot].flags.push(flag);
    }
    for rollup in rollups(&mut transaction, requests).await? {
        let slot = slot(rollup.key.gonggu_id.0);
        snapshots[slot].rollups.push(rollup);
    }
    transaction.commit().await.map_err(store_error)?;
    Ok(snapshots)
}

fn windows(requests: &[LoadRequest], snapshots: &[GongguSnapshot]) -> Windows {
    let mut windows = Windows { ids: Vec::new(), after: Vec::new(), through: Vec::new() };
    for (request, snapshot) in requests.iter().zip(snapshots) {
        if let Some(head) = &snapshot.head {
            windows.ids.push(request.gonggu_id.0);
            let after = UnixMillis(head.last_judged_at.0.saturating_sub(request.window_millis));
            windows.after.push(PgMillis(after));
            windows.through.push(head.applied_through.0 as i64);
        }
    }
    windows
}

/// Heads of these gonggus, in no order.
pub(crate) async fn heads(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<GongguHead>, StoreError> {
    let rows = sqlx::query_as!(
        HeadRow,
        r#"SELECT gonggu_id, counts, visitors, last_judged_at AS "last_judged_at: PgMillis",
                  last_clicked_at AS "last_clicked_at: PgMillis", applied_through
           FROM click_heads WHERE gonggu_id = ANY($1)"#,
        ids
    )
    .fetch_all(connection)
    .await
    .map_err(store_error)?;
    rows.into_iter().map(GongguHead::try_from).collect()
}

async fn clicks(connection: &mut PgConnection, windows: &Windows) -> Result<Vec<JudgedClick>, StoreError> {
    let rows = sqlx::query_file_as!(
        ClickRow,
        "src/postgres/sql/load_clicks.sql",
        &windows.ids,
        &windows.after as _,
        &windows.through
    )
    .fetch_all(connection)
    .await
    .map_err(store_error)?;
    rows.into_iter().map(JudgedClick::try_from).collect()
}

async fn flags(connection: &mut PgConnection, windows: &Windows) -> Result<Vec<Flag>, StoreError> {
    let rows = sqlx::query_as!(
        FlagRow,
        r#"SELECT f.id, f.gonggu_id, f.scope, f.limit_index, f.address_hash, f.address_masked,
                  f.window_millis, f.limit_clicks, f.opened_at AS "opened_at: PgMillis",
                  f.last_held_at AS "last_held_at: PgMillis", f.first_position, f.last_position, f.clicks,
                  f.visitors
           FROM unnest($1::uuid[], $2::timestamptz[]) AS w (gonggu_id, after)
           JOIN click_flags f ON f.gonggu_id = w.gonggu_id AND f.last_held_at > w.after
           ORDER BY f.gonggu_id, f.first_position, f.id"#,
        &windows.ids,
        &windows.after as _
    )
    .fetch_all(connection)
    .await
    .map_err(store_error)?;
    rows.into_iter().map(Flag::try_from).collect()
}

async fn rollups(connection: &mut PgConnection, requests: &[LoadRequest]) -> Result<Vec<Rollup>, StoreError> {
    let keys = || requests.iter().flat_map(|request| &request.rollups);
    let ids: Vec<Uuid> = keys().map(|key| key.gonggu_id.0).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let levels: Vec<i16> = keys().map(|key| codes::level_code(key.level)).collect();
    let times: Vec<PgMillis> = keys().map(|key| PgMillis(key.at)).collect();
    let rows = sqlx::query_as!(
        RollupRow,
        r#"SELECT r.gonggu_id, r.level, r.at AS "at: PgMillis", r.counts, r.visitors, r.referrers, r.devices
           FROM unnest($1::uuid[], $2::smallint[], $3::timestamptz[]) AS k (gonggu_id, level, at)
           JOIN click_rollups r ON r.gonggu_id = k.gonggu_id AND r.level = k.level AND r.at = k.at
           ORDER BY r.gonggu_id, r.level, r.at"#,
        &ids,
        &levels,
        &times as _
    )
    .fetch_all(connection)
    .await
    .map_err(store_error)?;
    rows.into_iter().map(Rollup::try_from).collect()
}
