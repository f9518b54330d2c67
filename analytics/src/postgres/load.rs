//! Loading: all that the states of many gonggus are rebuilt from, as of one instant.
//!
//! A busy gonggu has millions of clicks inside its windows. Only those that its state needs are read, only the
//! columns it needs of them, and each becomes a click as it arrives: nothing but the answer grows with
//! their number.

use super::PostgresClickStore;
use super::begin::begin_snapshot;
use super::codes;
use super::error::store_error;
use super::figures::open_rows;
use super::millis::PgMillis;
use super::open::OpenRows;
use super::rows::{FlagRow, HeadRow, RollupRow, WindowRow};
use futures::TryStreamExt;
use gonggumoa_core::judge::totals::{Flag, GongguHead, Rollup, RollupKey};
use gonggumoa_core::store::needed::WindowStarts;
use gonggumoa_core::store::{GongguSnapshot, LoadRequest, StoreError};
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Where each request's windows begin.
#[derive(Default)]
struct Windows {
    ids: Vec<Uuid>,
    marks_after: Vec<PgMillis>,
    counts_after: Vec<PgMillis>,
    through: Vec<i64>,
    slots: Vec<i32>,
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
    let limit_window_millis = limit_window_millis(&mut transaction).await?;
    let windows = windows(requests, &snapshots, limit_window_millis);
    clicks(&mut transaction, requests, &windows, &mut snapshots).await?;
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

fn windows(
    requests: &[LoadRequest],
    snapshots: &[GongguSnapshot],
    limit_window_millis: Option<i64>,
) -> Windows {
    let mut windows = Windows::default();
    for ((slot, request), snapshot) in (0..).zip(requests).zip(snapshots) {
        if let Some(head) = &snapshot.head {
            let starts = WindowStarts::new(head.last_judged_at, request.window_millis, limit_window_millis);
            windows.ids.push(request.gonggu_id.0);
            windows.marks_after.push(PgMillis(starts.marks));
            windows.counts_after.push(PgMillis(starts.counts));
            windows.through.push(head.applied_through.0 as i64);
            windows.slots.push(slot);
        }
    }
    windows
}

/// The longest window of a limit of any rules version; `None` while no version is stored.
async fn limit_window_millis(connection: &mut PgConnection) -> Result<Option<i64>, StoreError> {
    let longest = sqlx::query_scalar!(
        r#"SELECT max((SELECT coalesce(max((l ->> 'window_millis')::bigint), 0)
                       FROM jsonb_array_elements(settings -> 'limits') l))
           FROM rules_versions"#
    )
    .fetch_one(connection)
    .await
    .map_err(store_error)?;
    Ok(longest)
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

async fn clicks(
    connection: &mut PgConnection,
    requests: &[LoadRequest],
    windows: &Windows,
    snapshots: &mut [GongguSnapshot],
) -> Result<(), StoreError> {
    let mut rows = sqlx::query_file_as!(
        WindowRow,
        "src/postgres/sql/load_clicks.sql",
        &windows.ids,
        &windows.marks_after as _,
        &windows.counts_after as _,
        &windows.through,
        &windows.slots
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(store_error)? {
        // The statement gives back what it was given.
        let slot = row.slot as usize;
        snapshots[slot].clicks.push(row.click(requests[slot].gonggu_id)?);
    }
    for snapshot in snapshots {
        // Rows lie nearly in this order already.
        if !snapshot.clicks.is_sorted_by_key(|click| click.position) {
            snapshot.clicks.sort_unstable_by_key(|click| click.position);
        }
    }
    Ok(())
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
        &windows.marks_after as _
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
    .fetch_all(&mut *connection)
    .await
    .map_err(store_error)?;
    let mut rollups = rows.into_iter().map(Rollup::try_from).collect::<Result<Vec<_>, _>>()?;
    let wanted: HashSet<RollupKey> = keys().copied().collect();
    let gonggus: Vec<Uuid> =
        wanted.iter().map(|key| key.gonggu_id.0).collect::<HashSet<_>>().into_iter().collect();
    let open = open_rows(connection, &gonggus).await?.into_values().flat_map(OpenRows::into_rows);
    rollups.extend(open.filter(|row| wanted.contains(&row.key)));
    rollups.sort_unstable_by_key(|row| row.key);
    Ok(rollups)
}
