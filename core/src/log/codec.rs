//! A click as bytes: one format for the journal, the archive and Kafka.
//!
//! Problem: the edge writes a click on the hot path, straight from what it borrowed from the request,
//! and a year later somebody must read the same bytes again. So the payload is versioned, has no
//! padding or pointers, and is written in one pass into the buffer that goes to the disk.
//!
//! ```text
//!   version u8 │ flags u8 │ door u8
//!   [run 16 │ sequence u64]                      only in the self-contained form
//!   id 16 │ clicked_at i64 │ gonggu 16 │ opens_at i64 │ closes_at i64
//!   address hash 16 │ network hash 16
//!   [member 16 │ account made i64]
//!   address 4 or 16 bytes, or the masked form as text
//!   user agent │ referer │ purpose │ fetch site, mode, dest, user          texts: length u16, UTF-8
//! ```
//!
//! Numbers are little-endian. Invariants: texts are cut at [`TEXT_MAX_CHARS`] and [`TOKEN_MAX_CHARS`]
//! characters, on character borders, so a payload never exceeds [`PAYLOAD_MAX_BYTES`]; decoding takes
//! any bytes at all without a panic and allocates no more than they hold; decode after encode is the
//! identity. The masked address is a pure function of the raw one and is made again when reading.

use crate::click::{
    ClickFacts, ClickMethod, Endpoint, OriginKind, RawClick, TEXT_MAX_CHARS, TOKEN_MAX_CHARS,
};
use crate::clock::UnixMillis;
use crate::ids::{ClickId, GongguId, RunId, UserId};
use crate::visitor::{AddressHash, Member, masked};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use uuid::Uuid;

/// No payload is longer: two texts of 1,000 and five tokens of 64 four-byte characters are 9.3 KB.
pub const PAYLOAD_MAX_BYTES: usize = 16 * 1024;

/// The format written now. Older ones stay readable for as long as an archive holds them.
const VERSION: u8 = 1;
/// The masked form is short (`2001:db8:1::*`); a longer one comes from damage.
const MASKED_MAX_BYTES: usize = 64;

const FLAG_MEMBER: u8 = 1;
const FLAG_ADDRESS_V4: u8 = 2;
const FLAG_ADDRESS_V6: u8 = 4;
const FLAG_IDENTITY: u8 = 8;
const FLAGS_KNOWN: u8 = FLAG_MEMBER | FLAG_ADDRESS_V4 | FLAG_ADDRESS_V6 | FLAG_IDENTITY;

/// Why bytes are not a click.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum CodecError {
    /// Written by a newer program, or not a click at all.
    #[error("a click payload of unknown version {0}")]
    Version(u8),
    /// The bytes end too early.
    #[error("a click payload ends too early")]
    Short,
    /// More bytes than the click needs.
    #[error("a click payload is followed by {0} bytes too many")]
    Long(usize),
    /// A field has a value that was never written.
    #[error("a click payload has a bad {0}")]
    Field(&'static str),
}

impl CodecError {
    /// Never: the same bytes stay what they are.
    pub fn retryable(&self) -> bool {
        false
    }
}

/// Appends the journal's form of a click (run and sequence stand on the record around it).
pub fn encode_facts(facts: &ClickFacts<'_>, id: ClickId, clicked_at: UnixMillis, out: &mut Vec<u8>) {
    let address = match facts.address {
        IpAddr::V4(_) => FLAG_ADDRESS_V4,
        IpAddr::V6(_) => FLAG_ADDRESS_V6,
    };
    let member = if facts.member.is_some() { FLAG_MEMBER } else { 0 };
    let mut fixed = Fixed::new();
    fixed.put(&[VERSION, address | member, door(facts.endpoint, facts.method, facts.origin)]);
    fixed.put(id.0.as_bytes());
    fixed.put(&clicked_at.0.to_le_bytes());
    fixed.put(facts.gonggu_id.0.as_bytes());
    fixed.put(&facts.opens_at.0.to_le_bytes());
    fixed.put(&facts.closes_at.0.to_le_bytes());
    fixed.put(&facts.address_hash.0);
    fixed.put(&facts.network_hash.0);
    fixed.put_member(facts.member);
    fixed.put_address(facts.address);
    out.extend_from_slice(fixed.bytes());
    put_text(out, cut(facts.user_agent, TEXT_MAX_CHARS));
    put_text(out, cut(facts.referer, TEXT_MAX_CHARS));
    for token in [facts.purpose, facts.fetch_site, facts.fetch_mode, facts.fetch_dest, facts.fetch_user] {
        put_text(out, cut(token, TOKEN_MAX_CHARS));
    }
}

/// Appends the self-contained form, with run and sequence: for the archive (`without_address`, which
/// leaves only the masked form and the hashes) and for Kafka.
pub fn encode_click(click: &RawClick, without_address: bool, out: &mut Vec<u8>) {
    let address = if without_address { None } else { click.address };
    let address_flag = match address {
        Some(IpAddr::V4(_)) => FLAG_ADDRESS_V4,
        Some(IpAddr::V6(_)) => FLAG_ADDRESS_V6,
        None => 0,
    };
    let member = if click.member.is_some() { FLAG_MEMBER } else { 0 };
    let mut fixed = Fixed::new();
    fixed.put(&[
        VERSION,
        FLAG_IDENTITY | address_flag | member,
        door(click.endpoint, click.method, click.origin),
    ]);
    fixed.put(click.run.0.as_bytes());
    fixed.put(&click.sequence.to_le_bytes());
    fixed.put(click.id.0.as_bytes());
    fixed.put(&click.clicked_at.0.to_le_bytes());
    fixed.put(click.gonggu_id.0.as_bytes());
    fixed.put(&click.opens_at.0.to_le_bytes());
    fixed.put(&click.closes_at.0.to_le_bytes());
    fixed.put(&click.address_hash.0);
    fixed.put(&click.network_hash.0);
    fixed.put_member(click.member);
    if let Some(address) = address {
        fixed.put_address(address);
    }
    out.extend_from_slice(fixed.bytes());
    if address.is_none() {
        put_text(out, cut(&click.address_masked, MASKED_MAX_BYTES / 4));
    }
    put_text(out, cut(&click.user_agent, TEXT_MAX_CHARS));
    put_text(out, cut(&click.referer, TEXT_MAX_CHARS));
    let tokens = [&click.purpose, &click.fetch_site, &click.fetch_mode, &click.fetch_dest, &click.fetch_user];
    for token in tokens {
        put_text(out, cut(token, TOKEN_MAX_CHARS));
    }
}

/// Reads what [`encode_facts`] wrote.
pub fn decode_facts(bytes: &[u8], run: RunId, sequence: u64) -> Result<RawClick, CodecError> {
    decode(bytes, Some((run, sequence)))
}

/// Reads what [`encode_click`] wrote.
pub fn decode_click(bytes: &[u8]) -> Result<RawClick, CodecError> {
    decode(bytes, None)
}

/// The time on a payload of [`encode_facts`], without decoding the rest.
pub fn clicked_at(payload: &[u8]) -> Option<UnixMillis> {
    const OFFSET: usize = 3 + 16;
    if payload.first() != Some(&VERSION) {
        return None;
    }
    let field = payload.get(OFFSET..)?.first_chunk()?;
    Some(UnixMillis(i64::from_le_bytes(*field)))
}

fn decode(bytes: &[u8], identity: Option<(RunId, u64)>) -> Result<RawClick, CodecError> {
    let mut input = Input(bytes);
    let [version, flags, door] = input.array()?;
    if version != VERSION {
        return Err(CodecError::Version(version));
    }
    if flags & !FLAGS_KNOWN != 0 || identity.is_some() == (flags & FLAG_IDENTITY != 0) {
        return Err(CodecError::Field("flag"));
    }
    let (endpoint, method, origin) = parse_door(door)?;
    let (run, sequence) = match identity {
        Some(identity) => identity,
        None => (RunId(input.uuid()?), u64::from_le_bytes(input.array()?)),
    };
    let id = ClickId(input.uuid()?);
    let clicked_at = input.time()?;
    let gonggu_id = GongguId(input.uuid()?);
    let opens_at = input.time()?;
    let closes_at = input.time()?;
    let address_hash = AddressHash(input.array()?);
    let network_hash = AddressHash(input.array()?);
    let member = if flags & FLAG_MEMBER != 0 {
        Some(Member { id: UserId(input.uuid()?), created_at: input.time()? })
    } else {
        None
    };
    let (address, address_masked) = match flags & (FLAG_ADDRESS_V4 | FLAG_ADDRESS_V6) {
        0 => (None, input.text(MASKED_MAX_BYTES, "masked address")?),
        FLAG_ADDRESS_V4 => shown(IpAddr::V4(Ipv4Addr::from(input.array::<4>()?))),
        FLAG_ADDRESS_V6 => shown(IpAddr::V6(Ipv6Addr::from(input.array::<16>()?))),
        _ => return Err(CodecError::Field("flag")),
    };
    let click = RawClick {
        run,
        sequence,
        id,
        clicked_at,
        gonggu_id,
        opens_at,
        closes_at,
        member,
        address,
        address_masked,
        address_hash,
        network_hash,
        user_agent: input.text(TEXT_MAX_CHARS * 4, "user agent")?,
        referer: input.text(TEXT_MAX_CHARS * 4, "referer")?,
        endpoint,
        method,
        purpose: input.text(TOKEN_MAX_CHARS * 4, "purpose")?,
        fetch_site: input.text(TOKEN_MAX_CHARS * 4, "fetch site")?,
        fetch_mode: input.text(TOKEN_MAX_CHARS * 4, "fetch mode")?,
        fetch_dest: input.text(TOKEN_MAX_CHARS * 4, "fetch destination")?,
        fetch_user: input.text(TOKEN_MAX_CHARS * 4, "fetch user")?,
        origin,
    };
    if input.0.is_empty() { Ok(click) } else { Err(CodecError::Long(input.0.len())) }
}

fn shown(address: IpAddr) -> (Option<IpAddr>, Box<str>) {
    (Some(address), masked(address).into_boxed_str())
}

/// At most `chars_max` characters of `text`. A text of so many bytes has no more characters, so the
/// usual header is not walked at all.
fn cut(text: &str, chars_max: usize) -> &str {
    if text.len() <= chars_max {
        return text;
    }
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// `text` was cut, so its length fits.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
    out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn door(endpoint: Endpoint, method: ClickMethod, origin: OriginKind) -> u8 {
    let endpoint = match endpoint {
        Endpoint::Go => 0,
        Endpoint::Post => 1,
    };
    let method = match method {
        ClickMethod::Get => 0,
        ClickMethod::Head => 1,
        ClickMethod::Post => 2,
    };
    let origin = match origin {
        OriginKind::Absent => 0,
        OriginKind::Ours => 1,
        OriginKind::Foreign => 2,
    };
    endpoint | method << 1 | origin << 3
}

fn parse_door(door: u8) -> Result<(Endpoint, ClickMethod, OriginKind), CodecError> {
    let endpoint = if door & 1 == 0 { Endpoint::Go } else { Endpoint::Post };
    let method = match door >> 1 & 3 {
        0 => ClickMethod::Get,
        1 => ClickMethod::Head,
        2 => ClickMethod::Post,
        _ => return Err(CodecError::Field("method")),
    };
    let origin = match door >> 3 {
        0 => OriginKind::Absent,
        1 => OriginKind::Ours,
        2 => OriginKind::Foreign,
        _ => return Err(CodecError::Field("origin")),
    };
    Ok((endpoint, method, origin))
}

/// The fields of fixed size, gathered on the stack so that the shared buffer grows once.
struct Fixed {
    bytes: [u8; Self::BYTES],
    length: usize,
}

impl Fixed {
    /// All of them: 3 + identity 24 + 56 + hashes 32 + member 24 + address 16.
    const BYTES: usize = 155;

    fn new() -> Self {
        Self { bytes: [0; Self::BYTES], length: 0 }
    }

    fn put(&mut self, field: &[u8]) {
        self.bytes[self.length..self.length + field.len()].copy_from_slice(field);
        self.length += field.len();
    }

    fn put_member(&mut self, member: Option<Member>) {
        if let Some(member) = member {
            self.put(member.id.0.as_bytes());
            self.put(&member.created_at.0.to_le_bytes());
        }
    }

    fn put_address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.put(&v4.octets()),
            IpAddr::V6(v6) => self.put(&v6.octets()),
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// What is left to read; never reads past its end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (head, tail) = self.0.split_at_checked(length).ok_or(CodecError::Short)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(CodecError::Short)?;
        self.0 = tail;
        Ok(*head)
    }

    fn uuid(&mut self) -> Result<Uuid, CodecError> {
        Ok(Uuid::from_bytes(self.array()?))
    }

    fn time(&mut self) -> Result<UnixMillis, CodecError> {
        Ok(UnixMillis(i64::from_le_bytes(self.array()?)))
    }

    fn text(&mut self, bytes_max: usize, field: &'static str) -> Result<Box<str>, CodecError> {
        let length = usize::from(u16::from_le_bytes(self.array()?));
        if length > bytes_max {
            return Err(CodecError::Field(field));
        }
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| CodecError::Field(field))?;
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests;
