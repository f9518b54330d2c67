#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use uuid::Uuid;

fn links() -> Vec<Link> {
    (0..3)
        .map(|number| {
            Link::new(
                GongguId(Uuid::from_u128(number)),
                UserId(Uuid::nil()),
                (UnixMillis(10), UnixMillis(20)),
                (number == 1).then_some(UnixMillis(15)),
                &format!("https://shop.kr/{number}"),
            )
            .unwrap()
        })
        .collect()
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("links.snapshot");
    assert!(read(&path, "key").unwrap().is_none());
    // a crash left a half-written one that everybody may read
    let left = path.with_extension("tmp");
    fs::write(&left, "gonggumoa-li").unwrap();
    fs::set_permissions(&left, Permissions::from_mode(0o644)).unwrap();
    write(&path, &encode(links().iter(), "key")).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!left.exists());
    let read_back = read(&path, "key").unwrap().unwrap();
    assert_eq!(read_back, links());
    assert_eq!(read_back[1].closes_at, UnixMillis(10), "still suspended");
    assert!(matches!(read(&path, "other"), Err(SnapshotError::ForeignKey { .. })));
}

#[test]
fn every_flipped_byte_and_every_cut_is_noticed() {
    let bytes = encode(links().iter(), "key");
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        assert!(decode(&damaged, "key").is_err(), "byte {place}");
        assert!(decode(&bytes[..place], "key").is_err(), "cut at {place}");
    }
}
