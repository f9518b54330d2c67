#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use gonggumoa_core::visitor::AddressKey;

fn client() -> Client {
    Client::of(&AddressKey::new([1; 32]), "203.0.113.1".parse().unwrap())
}

#[test]
fn a_new_password_is_measured_in_bytes() {
    for good in ["12345678", "가나다", &"x".repeat(72), &"가".repeat(24)] {
        assert_eq!(refusal(good), None, "{good}");
    }
    for bad in ["", "1234567", "가나", &"x".repeat(73), &"가".repeat(25), "12345678\0"] {
        assert!(refusal(bad).is_some(), "{bad:?}");
    }
}

/// Every byte up to the last counts, and a longer password is not the same as its beginning.
#[test]
fn all_seventy_two_bytes_count() {
    let hash = bcrypt::hash("x".repeat(72), 4).unwrap();
    assert!(!bcrypt::verify("x".repeat(71), &hash).unwrap());
    assert!(!bcrypt::verify(format!("{}y", "x".repeat(71)), &hash).unwrap());
    assert!(bcrypt::verify("x".repeat(72), &hash).unwrap());
}

#[tokio::test]
async fn nobody_never_fits_and_is_a_real_check() {
    let passwords = Passwords::new(4, 1);
    let hash = passwords.hash("correct horse".to_owned(), client()).await.unwrap();
    assert!(passwords.verify("correct horse".to_owned(), Some(hash.clone()), client()).await.unwrap());
    assert!(!passwords.verify("wrong".to_owned(), Some(hash), client()).await.unwrap());
    assert!(!passwords.verify("anything".to_owned(), None, client()).await.unwrap());
    let long = "x".repeat(73);
    assert!(matches!(passwords.hash(long.clone(), client()).await, Err(PasswordError::TooLong)));
    let cut = passwords.hash("x".repeat(72), client()).await.unwrap();
    assert!(!passwords.verify(long, Some(cut), client()).await.unwrap(), "not cut in silence");
}
