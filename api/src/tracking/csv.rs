//! The evidence as CSV, streamed row by row.
//!
//! User agents and referers are written by strangers and opened in spreadsheets, so a cell that a
//! spreadsheet would run (`=`, `+`, `-`, `@`, TAB, CR at its start) gets a `'` in front.

use crate::tracking::figures::EvidenceRow;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use gonggumoa_core::store::StoreError;
use std::borrow::Cow;

/// The columns.
pub const COLUMNS: [&str; 9] = [
    "click_id",
    "clicked_at",
    "verdict",
    "reason",
    "visitor",
    "ip_address",
    "user_agent",
    "referer",
    "rules_version",
];
/// Rows sent together; a row is under 3 KB.
const ROWS_TOGETHER: usize = 256;

/// A cell that no spreadsheet takes for a formula.
pub fn neutral(cell: &str) -> Cow<'_, str> {
    match cell.bytes().next() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r') => Cow::Owned(format!("'{cell}")),
        _ => Cow::Borrowed(cell),
    }
}

/// The file in pieces. An error of the store ends it short: the connection breaks instead of closing
/// the file as if it were whole.
pub fn stream(
    rows: BoxStream<'static, Result<EvidenceRow, StoreError>>,
    raw_addresses: bool,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let head = futures::stream::once(async { encode(std::iter::once(COLUMNS.map(Cow::Borrowed))) });
    let body = rows.chunks(ROWS_TOGETHER).map(move |rows| {
        let rows = rows.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| {
            tracing::error!(error = &error as &(dyn std::error::Error + 'static), "an export broke off");
            std::io::Error::other(error)
        })?;
        encode(rows.iter().map(|row| cells(row, raw_addresses)))
    });
    head.chain(body)
}

fn cells(row: &EvidenceRow, raw_addresses: bool) -> [Cow<'_, str>; 9] {
    let address = if raw_addresses && !row.ip_address.is_empty() { &row.ip_address } else { &row.ip_masked };
    [
        Cow::Owned(row.click_id.to_string()),
        Cow::Owned(row.clicked_at.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
        Cow::Borrowed(row.verdict),
        Cow::Borrowed(row.reason.unwrap_or_default()),
        neutral(&row.visitor),
        neutral(address),
        neutral(&row.user_agent),
        neutral(&row.referer),
        Cow::Owned(row.rules_version.to_string()),
    ]
}

fn encode<'a>(rows: impl Iterator<Item = [Cow<'a, str>; 9]>) -> Result<Bytes, std::io::Error> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.iter().map(|cell| cell.as_bytes()))?;
    }
    writer.into_inner().map(Bytes::from).map_err(|error| std::io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use futures::TryStreamExt;
    use gonggumoa_core::clock::UnixMillis;
    use gonggumoa_core::ids::ClickId;
    use uuid::Uuid;

    fn row(user_agent: &str) -> EvidenceRow {
        EvidenceRow {
            click_id: ClickId(Uuid::nil()),
            clicked_at: UnixMillis(1_000),
            verdict: "invalid",
            reason: Some("bot"),
            visitor: "ab12".to_owned(),
            ip_address: "203.0.113.7".to_owned(),
            ip_masked: "203.0.113.*".to_owned(),
            user_agent: user_agent.to_owned(),
            referer: "https://a.kr/?x=\"1\",2".to_owned(),
            rules_version: 3,
        }
    }

    async fn text(rows: Vec<EvidenceRow>, raw: bool) -> String {
        let rows = futures::stream::iter(rows.into_iter().map(Ok)).boxed();
        let parts: Vec<Bytes> = stream(rows, raw).try_collect().await.unwrap();
        String::from_utf8(parts.concat()).unwrap()
    }

    #[tokio::test]
    async fn cells_are_neutral_and_quoted_and_addresses_masked() {
        let file = text(vec![row("=HYPERLINK(\"x\")"), row("Mozilla")], false).await;
        let lines: Vec<&str> = file.split("\r\n").collect();
        assert_eq!(lines[0], COLUMNS.join(","));
        assert_eq!(
            lines[1],
            "00000000-0000-0000-0000-000000000000,1970-01-01T00:00:01.000Z,invalid,bot,ab12,203.0.113.*,\
             \"'=HYPERLINK(\"\"x\"\")\",\"https://a.kr/?x=\"\"1\"\",2\",3"
        );
        assert!(lines[2].contains(",Mozilla,") && !file.contains("203.0.113.7"));
        assert!(text(vec![row("a")], true).await.contains("203.0.113.7"));
    }

    #[test]
    fn every_dangerous_start() {
        for start in ["=1", "+1", "-1", "@a", "\ta", "\ra"] {
            assert_eq!(neutral(start), format!("'{start}"));
        }
        for fine in ["", "a=1", "'=1", " =1"] {
            assert_eq!(neutral(fine), fine);
        }
    }
}
