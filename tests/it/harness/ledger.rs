//! The books compared: ids that clients were given, stored rows, heads, rollups, figures, evidence.

use super::api::{Api, Gonggu};
use super::deployment::{Deployment, said};
use super::stats::{Evidence, Totals};
use super::wait::{LONG, eventually};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use uuid::Uuid;

/// One stored click, as far as the books need it.
#[derive(Debug, Clone)]
pub(crate) struct StoredClick {
    pub(crate) id: Uuid,
    pub(crate) gonggu: Gonggu,
    pub(crate) run: Uuid,
    pub(crate) sequence: i64,
    pub(crate) position: i64,
    pub(crate) clicked_at_millis: i64,
    pub(crate) judged_at_millis: i64,
    pub(crate) rules_version: i32,
}

/// All stored clicks of these gonggus, in the order of the log.
pub(crate) async fn stored_clicks(database: &mut PgConnection, gonggus: &[Gonggu]) -> Vec<StoredClick> {
    let ids: Vec<Uuid> = gonggus.iter().map(|gonggu| gonggu.0).collect();
    sqlx::query(
        "SELECT id, gonggu_id, run, sequence, position, rules_version,
                round(extract(epoch FROM clicked_at) * 1000)::bigint,
                round(extract(epoch FROM judged_at) * 1000)::bigint
         FROM click_trackings WHERE gonggu_id = ANY($1) ORDER BY position",
    )
    .bind(ids)
    .fetch_all(database)
    .await
    .unwrap()
    .iter()
    .map(stored_click)
    .collect()
}

fn stored_click(row: &PgRow) -> StoredClick {
    StoredClick {
        id: row.get(0),
        gonggu: Gonggu(row.get(1)),
        run: row.get(2),
        sequence: row.get(3),
        position: row.get(4),
        rules_version: row.get(5),
        clicked_at_millis: row.get(6),
        judged_at_millis: row.get(7),
    }
}

/// Waits until every given id is stored, then compares all the books. `sent` bounds what may be
/// stored beyond the given ids: clicks whose answer was lost on the way.
pub(crate) async fn balance(
    deployment: &Deployment,
    admin: &Api,
    gonggus: &[Gonggu],
    given: &[(Uuid, Gonggu)],
    sent: u64,
) -> Vec<StoredClick> {
    let mut database = deployment.database().await;
    let distinct: HashSet<Uuid> = given.iter().map(|(id, _)| *id).collect();
    assert_eq!(distinct.len(), given.len(), "one id was given to two clients");
    all_stored(&mut database, given).await;

    let rows = stored_clicks(&mut database, gonggus).await;
    check_identities(&rows, given);
    assert!(rows.len() as u64 <= sent, "{} clicks stored, but only {sent} made", rows.len());
    for gonggu in gonggus {
        let own: Vec<&StoredClick> = rows.iter().filter(|row| row.gonggu == *gonggu).collect();
        check_figures(&mut database, admin, *gonggu, &own).await;
    }
    rows
}

/// Waits until every given id has a row.
pub(crate) async fn all_stored(database: &mut PgConnection, given: &[(Uuid, Gonggu)]) {
    let ids: Vec<Uuid> = given.iter().map(|(id, _)| *id).collect();
    eventually("every click that a client has an id of is stored", LONG, async || {
        let missing: i64 = sqlx::query(
            "SELECT count(*) FROM unnest($1::uuid[]) AS given (id)
             WHERE NOT EXISTS (SELECT FROM click_trackings WHERE click_trackings.id = given.id)",
        )
        .bind(&ids)
        .fetch_one(&mut *database)
        .await
        .map_err(|error| error.to_string())?
        .get(0);
        if missing == 0 { Ok(()) } else { Err(format!("{missing} of {} are missing", ids.len())) }
    })
    .await;
}

fn check_identities(rows: &[StoredClick], given: &[(Uuid, Gonggu)]) {
    let by_id: HashMap<Uuid, &StoredClick> = rows.iter().map(|row| (row.id, row)).collect();
    assert_eq!(by_id.len(), rows.len(), "a click id is stored twice");
    let identities: HashSet<(Uuid, i64)> = rows.iter().map(|row| (row.run, row.sequence)).collect();
    assert_eq!(identities.len(), rows.len(), "a place in the journal is stored twice");
    for (id, gonggu) in given {
        let row = by_id.get(id).unwrap_or_else(|| panic!("{id} was given to a client and is not stored"));
        assert_eq!(row.gonggu, *gonggu, "{id} is stored under another gonggu");
    }
    for pair in rows.windows(2) {
        assert!(pair[0].position < pair[1].position, "two clicks at one position: {pair:?}");
        assert!(pair[0].clicked_at_millis <= pair[1].clicked_at_millis, "time went back: {pair:?}");
    }
}

/// Rows, head, rollups of each level, the API's totals, the evidence and the catalog's count.
async fn check_figures(database: &mut PgConnection, admin: &Api, gonggu: Gonggu, rows: &[&StoredClick]) {
    let stats = admin.settled(gonggu, rows.len() as u64).await;
    let evidence = admin.evidence(gonggu).await;
    let stored: HashSet<Uuid> = rows.iter().map(|row| row.id).collect();
    let listed: HashSet<Uuid> = evidence.iter().map(|line| line.click_id).collect();
    assert_eq!(evidence.len(), listed.len(), "a click stands twice in the evidence of {gonggu}");
    assert_eq!(stored, listed, "rows and evidence of {gonggu} differ");
    let counted = count(&evidence);
    assert_eq!(counted.verdicts(), stats.totals.verdicts(), "evidence and totals of {gonggu} differ");

    let expected = [counted.billable, counted.duplicate, counted.held, counted.invalid].map(|n| n as i64);
    let head: Vec<i64> = sqlx::query("SELECT counts FROM click_heads WHERE gonggu_id = $1")
        .bind(gonggu.0)
        .fetch_optional(&mut *database)
        .await
        .unwrap()
        .map(|row| row.get(0))
        .unwrap_or_default();
    assert_eq!(fold_invalid(&head), expected, "the head of {gonggu}");
    for (level, counts) in rollup_sums(database, gonggu).await {
        assert_eq!(fold_invalid(&counts), expected, "rollups of level {level} of {gonggu}");
    }
    click_count_follows(admin, gonggu, stats.totals.billable).await;
}

/// `click_count` of a gonggu is its billable total.
pub(crate) async fn click_count_follows(admin: &Api, gonggu: Gonggu, billable: u64) {
    eventually("click_count follows", LONG, async || {
        let (_, body) = admin.get(&format!("/api/v1/gonggus/{gonggu}")).await;
        if body["click_count"] == billable {
            Ok(())
        } else {
            Err(format!("{} instead of {billable}", body["click_count"]))
        }
    })
    .await;
}

/// Counts by verdict of evidence lines.
pub(crate) fn count(evidence: &[Evidence]) -> Totals {
    let mut totals = Totals { gross: evidence.len() as u64, ..Totals::default() };
    for line in evidence {
        match line.verdict.as_str() {
            "billable" => totals.billable += 1,
            "duplicate" => totals.duplicate += 1,
            "invalid" => totals.invalid += 1,
            "held" => totals.held += 1,
            other => panic!("no such verdict: {other}"),
        }
    }
    totals
}

/// Stored counts are billable, duplicate, held, then invalid by reason.
fn fold_invalid(counts: &[i64]) -> [i64; 4] {
    match counts {
        [] => [0; 4],
        [billable, duplicate, held, invalid @ ..] => [*billable, *duplicate, *held, invalid.iter().sum()],
        _ => panic!("strange counts: {counts:?}"),
    }
}

async fn rollup_sums(database: &mut PgConnection, gonggu: Gonggu) -> BTreeMap<i16, Vec<i64>> {
    let rows = sqlx::query("SELECT level, counts FROM click_rollups_all WHERE gonggu_id = $1")
        .bind(gonggu.0)
        .fetch_all(database)
        .await
        .unwrap();
    let mut sums: BTreeMap<i16, Vec<i64>> = BTreeMap::new();
    for row in rows {
        let (level, counts): (i16, Vec<i64>) = (row.get(0), row.get(1));
        let sum = sums.entry(level).or_insert_with(|| vec![0; counts.len()]);
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    assert!(sums.is_empty() || sums.len() == 3, "minutes, hours and days: {:?}", sums.keys());
    sums
}

/// `gonggumoa journal verify` on a stopped deployment finds nothing wrong; how many clicks it counts.
pub(crate) async fn journal_verifies(deployment: &Deployment) -> u64 {
    verifies(deployment, &["journal", "verify"]).await
}

/// The same of all segments that it ever had, as far as they were kept.
pub(crate) async fn kept_journal_verifies(deployment: &Deployment) -> u64 {
    verifies(deployment, &["journal", "verify", deployment.kept_segments().to_str().unwrap()]).await
}

async fn verifies(deployment: &Deployment, arguments: &[&str]) -> u64 {
    let output = deployment.run(arguments).await;
    assert!(output.status.success(), "journal verify: {}\n{}", output.status, said(&output));
    let report = String::from_utf8(output.stdout).unwrap();
    let summary = report.lines().last().and_then(|line| line.split_once(" segments, "));
    let clicks = summary.and_then(|(_, rest)| rest.split_once(" clicks"));
    clicks.and_then(|(clicks, _)| clicks.parse().ok()).unwrap_or_else(|| panic!("no count in:\n{report}"))
}

/// Every given id stands in the journal's files, looked for byte by byte: no word of the binary's own
/// is taken for it. Segments go only after an hour (when the archive has them), so all are still there.
pub(crate) fn journal_holds(deployment: &Deployment, given: &[(Uuid, Gonggu)]) {
    let mut missing: HashSet<[u8; 16]> = given.iter().map(|(id, _)| id.into_bytes()).collect();
    remove_found(&deployment.data_dir().join("journal"), &mut missing);
    assert!(missing.is_empty(), "{} ids given to clients are not in the journal", missing.len());
}

/// Takes away those ids that stand somewhere in the folder's files.
pub(crate) fn remove_found(folder: &Path, missing: &mut HashSet<[u8; 16]>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let Ok(bytes) = std::fs::read(entry.unwrap().path()) else { continue };
        for window in bytes.windows(16) {
            // version and variant of a UUIDv7 first: the look-up is the expensive part
            if window[6] >> 4 == 7 && window[8] >> 6 == 2 {
                missing.remove(window);
            }
        }
    }
}
