#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

#[test]
fn a_password_is_not_sent_in_the_clear_to_another_machine() {
    for (given, used) in [
        ("smtp://127.0.0.1:1025", "smtp://127.0.0.1:1025"),
        ("smtp://u:p@localhost", "smtp://u:p@localhost:587"),
        ("smtp://[::1]:25", "smtp://[::1]:25"),
        ("smtp://mail.example", "smtp://mail.example:25?tls=opportunistic"),
        ("smtp://u:p@mail.example", "smtp://u:p@mail.example:587?tls=required"),
        ("smtp://u:p@mail.example:2525?tls=none", "smtp://u:p@mail.example:2525"),
        ("smtp://mail.example?tls=required", "smtp://mail.example:25?tls=required"),
        ("smtps://u:p@mail.example", "smtps://u:p@mail.example"),
    ] {
        assert_eq!(effective(given).unwrap().as_str(), used, "{given}");
        assert!(Transport::smtp(given).is_ok(), "{given}");
    }
    for bad in
        ["mail.example:25", "http://mail.example", "smtp://", "smtp://u@mail.example", "smtp://a?tls=x"]
    {
        let problem = Transport::smtp(bad).unwrap_err();
        assert!(!problem.contains("mail.example"), "{bad}: {problem}");
    }
}
