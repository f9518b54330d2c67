//! Judged clicks as PostgreSQL's binary COPY format.
//!
//! The fastest way in: no statement per row, no text to parse. The encoder appends to one reusable
//! buffer; the caller sends it in pieces, so that the server works on one while the next is encoded.
//!
//! What a row cannot hold as it came: PostgreSQL's text has no NUL (it becomes U+FFFD), and text columns
//! have the lengths of the schema (the log's codec cuts there already; a longer text from elsewhere is
//! cut rather than allowed to stop the partition for ever). Unsigned numbers are stored as `bigint`.

use super::codes;
use super::millis::to_postgres_micros;
use gonggumoa_core::click::{JudgedClick, RawClick, TEXT_MAX_CHARS};
use gonggumoa_core::clock::UnixMillis;
use std::borrow::Cow;
use std::io::Write;
use uuid::Uuid;

/// The columns, in the order in which [`encode`] writes them.
pub(crate) const COLUMNS: &str = "id, gonggu_id, run, clicked_at, judged_at, opens_at, closes_at, sequence, \
     position, visitor, partition, rules_version, verdict, reason, device, endpoint, method, origin, \
     took_mark, user_id, user_created_at, duplicate_of_position, duplicate_of_judged_at, flag_id, \
     address_hash, network_hash, burst, ip_address, ip_masked, user_agent, referer, request_facts";
const COLUMN_COUNT: i16 = 32;
/// Widest address text, and the schema's limit.
const ADDRESS_MAX_CHARS: usize = 45;

/// Opens the stream: signature, no flags, no extension.
pub fn begin(buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
}

/// Ends the stream.
pub fn end(buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&(-1i16).to_be_bytes());
}

/// Appends one row.
pub fn encode(partition: u32, judged: &JudgedClick, buffer: &mut Vec<u8>) {
    let (click, judgement) = (&judged.click, &judged.judgement);
    let (verdict, reason) = codes::verdict_codes(judgement.verdict);
    buffer.extend_from_slice(&COLUMN_COUNT.to_be_bytes());
    let mut row = Row { buffer };
    row.uuid(click.id.0);
    row.uuid(click.gonggu_id.0);
    row.uuid(click.run.0);
    row.time(click.clicked_at);
    row.time(judgement.judged_at);
    row.time(click.opens_at);
    row.time(click.closes_at);
    row.bigint(click.sequence);
    row.bigint(judged.position.0);
    row.bigint(judgement.visitor);
    row.field(&partition.to_be_bytes());
    row.field(&judgement.rules_version.to_be_bytes());
    row.smallint(verdict);
    row.optional(reason, Row::smallint);
    row.smallint(codes::device_code(judgement.device));
    row.smallint(codes::endpoint_code(click.endpoint));
    row.smallint(codes::method_code(click.method));
    row.smallint(codes::origin_code(click.origin));
    row.field(&[u8::from(judgement.took_mark)]);
    row.optional(click.member.map(|member| member.id.0), Row::uuid);
    row.optional(click.member.map(|member| member.created_at), Row::time);
    row.optional(judgement.duplicate_of.map(|of| of.position.0), Row::bigint);
    row.optional(judgement.duplicate_of.map(|of| of.judged_at), Row::time);
    row.optional(judgement.flag_id.map(|flag| flag.0), Row::uuid);
    row.field(&click.address_hash.0);
    row.field(&click.network_hash.0);
    row.burst(&judgement.burst);
    row.address(click);
    row.text(&storable(&click.address_masked, ADDRESS_MAX_CHARS));
    row.text(&storable(&click.user_agent, TEXT_MAX_CHARS));
    row.text(&storable(&click.referer, TEXT_MAX_CHARS));
    row.facts(click);
}

/// Text as a column can hold it.
pub(crate) fn storable(text: &str, chars_max: usize) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    if text.len() > chars_max
        && let Some((cut, _)) = text.char_indices().nth(chars_max)
    {
        text = Cow::Owned(text[..cut].to_owned());
    }
    if text.as_bytes().contains(&0) {
        text = Cow::Owned(text.replace('\0', "\u{fffd}"));
    }
    text
}

struct Row<'a> {
    buffer: &'a mut Vec<u8>,
}

impl Row<'_> {
    fn field(&mut self, bytes: &[u8]) {
        // A field never nears 2 GiB: the longest text has 1,000 characters.
        self.buffer.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.buffer.extend_from_slice(bytes);
    }

    fn null(&mut self) {
        self.buffer.extend_from_slice(&(-1i32).to_be_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }

    fn uuid(&mut self, value: Uuid) {
        self.field(value.as_bytes());
    }

    fn bigint(&mut self, value: u64) {
        self.field(&value.to_be_bytes());
    }

    fn smallint(&mut self, value: i16) {
        self.field(&value.to_be_bytes());
    }

    fn time(&mut self, value: UnixMillis) {
        self.field(&to_postgres_micros(value).to_be_bytes());
    }

    fn text(&mut self, value: &str) {
        self.field(value.as_bytes());
    }

    fn burst(&mut self, burst: &[gonggumoa_core::click::BurstCount]) {
        self.buffer.extend_from_slice(&(burst.len() as i32).to_be_bytes());
        self.buffer.extend(burst.iter().map(|count| *count as u8));
    }

    /// The raw address; when the log no longer has it, the masked form, as after retention.
    fn address(&mut self, click: &RawClick) {
        let Some(address) = click.address else {
            self.text(&storable(&click.address_masked, ADDRESS_MAX_CHARS));
            return;
        };
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        // Writing into a vector cannot fail.
        let _ = write!(self.buffer, "{address}");
        let length = (self.buffer.len() - start - 4) as i32;
        self.buffer[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// One line each; `\` and line feed, which no header can hold, are escaped all the same so that
    /// the row always says exactly what the record said.
    fn facts(&mut self, click: &RawClick) {
        let facts =
            [&click.purpose, &click.fetch_site, &click.fetch_mode, &click.fetch_dest, &click.fetch_user];
        if facts.iter().all(|fact| fact.is_empty()) {
            self.null();
            return;
        }
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        for (index, fact) in facts.into_iter().enumerate() {
            if index > 0 {
                self.buffer.push(b'\n');
            }
            for byte in fact.bytes() {
                match byte {
                    b'\n' => self.buffer.extend_from_slice(b"\\n"),
                    b'\\' => self.buffer.extend_from_slice(b"\\\\"),
                    0 => self.buffer.extend_from_slice("\u{fffd}".as_bytes()),
                    byte => self.buffer.push(byte),
                }
            }
        }
        let length = (self.buffer.len() - start - 4) as i32;
        self.buffer[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}
