#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use std::collections::BTreeMap;

fn load(folder: &Path) -> Result<Secrets, SecretsError> {
    Secrets::load(&Config::from_variables(BTreeMap::new()).unwrap(), folder)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_are_made_once_and_closed_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let first = load(folder.path()).unwrap();
    let second = load(folder.path()).unwrap();
    assert_eq!(first.jwt_key.expose_secret().len(), JWT_KEY_BYTES);
    assert_eq!(first.jwt_key.expose_secret(), second.jwt_key.expose_secret());
    assert_eq!(first.address_key.fingerprint(), second.address_key.fingerprint());

    let secrets = folder.path().join("secrets");
    assert_eq!(mode(&secrets), 0o700);
    let files: Vec<_> = fs::read_dir(&secrets).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2, "nothing is left aside: {files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600));

    let other = tempfile::tempdir().unwrap();
    assert_ne!(first.jwt_key.expose_secret(), load(other.path()).unwrap().jwt_key.expose_secret());
}

#[test]
fn a_damaged_key_stops_the_start_and_stays_as_it_is() {
    for damage in [&b""[..], b"abcd\n", b"\xff\xfe", &[b'z'; 128]] {
        let folder = tempfile::tempdir().unwrap();
        load(folder.path()).unwrap();
        let file = folder.path().join("secrets").join(JWT_KEY_FILE);
        fs::write(&file, damage).unwrap();
        let error = load(folder.path()).unwrap_err();
        assert!(matches!(error, SecretsError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("jwt.key is damaged") && !error.retryable(), "{error}");
        assert_eq!(fs::read(&file).unwrap(), damage);
    }
}

#[test]
fn an_open_key_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    load(folder.path()).unwrap();
    let file = folder.path().join("secrets").join(ADDRESS_KEY_FILE);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    load(folder.path()).unwrap();
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn a_folder_is_made_closed_and_an_open_one_is_closed() {
    let data = tempfile::tempdir().unwrap();
    let journal = data.path().join("journal");
    private_folder(&journal).unwrap();
    assert_eq!(mode(&journal), 0o700);
    // what an earlier start with a usual umask left
    fs::write(journal.join("kept"), "kept").unwrap();
    fs::set_permissions(&journal, Permissions::from_mode(0o755)).unwrap();
    private_folder(&journal).unwrap();
    assert_eq!((mode(&journal), fs::read(journal.join("kept")).unwrap()), (0o700, b"kept".to_vec()));
}

#[test]
fn an_existing_secret_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = SecretsFolder::open(folder.path()).unwrap();
    assert!(secrets.create("one", "first").unwrap());
    assert!(!secrets.create("one", "second").unwrap());
    assert_eq!(secrets.read("one").unwrap().unwrap(), "first");
    assert_eq!(secrets.read("none").unwrap(), None);
}

#[sqlx::test(migrations = "../migrations/postgres")]
async fn another_address_key_is_refused_with_both_fingerprints(pool: PgPool) {
    let (ours, other) = (AddressKey::new([1; 32]), AddressKey::new([2; 32]));
    check_address_key(&pool, &ours).await.unwrap();
    check_address_key(&pool, &ours).await.unwrap();
    let text = check_address_key(&pool, &other).await.unwrap_err().to_string();
    assert!(text.contains(&ours.fingerprint()) && text.contains(&other.fingerprint()), "{text}");
}
