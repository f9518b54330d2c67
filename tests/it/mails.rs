//! Mail leaves: by a real server, later when the server was away, not at all where it is refused.

use crate::accounts::{Person, forgot, sign_up};
use crate::harness::database::number;
use crate::harness::mail::{SmtpServer, arrived, letters_in};
use crate::harness::{Deployment, LONG, eventually, shared};
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn a_server_that_was_away_gets_the_mail_and_a_refused_one_is_given_up() {
    let mut deployment = Deployment::new();
    let Some(mut server) = SmtpServer::prepared(deployment.scratch("smtp")) else { return };
    deployment.set("SMTP_URL", &server.url()).set("MAIL_FROM", "공구모아 <no-reply@gonggumoa.example>");
    deployment.start().await;
    let api = crate::harness::Api::new(&deployment);
    let mut database = deployment.database().await;

    // nobody listens: the sign-up does not mind, and the mail waits
    let person = Person::new("waits");
    sign_up(&api, &person).await;
    eventually("a try fails", LONG, async || {
        match number(&mut database, "SELECT count(*) FROM mails WHERE tries > 0 AND last_problem IS NOT NULL")
            .await
        {
            0 => Err("none yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    let refused = Person::new("refused");
    sign_up(&api, &refused).await;

    server.start().await;
    let letter = arrived(server.folder(), &person.email, 1).await;
    assert!(letter.body.contains("공구모아에 가입해 주셔서 감사합니다"), "{}", letter.body);
    assert!(letter.header("Subject").unwrap().starts_with("=?utf-8?"), "{letter:?}");
    assert!(letter.header("From").unwrap().contains("<no-reply@gonggumoa.example>"), "{letter:?}");
    assert!(letter.header("Message-ID").unwrap().ends_with("@gonggumoa.example>"), "{letter:?}");
    eventually("the refused mail is given up", LONG, async || {
        let failed = "SELECT count(*) FROM mails WHERE failed_at IS NOT NULL AND last_problem LIKE '%550%'";
        match number(&mut database, failed).await {
            1 => Ok(()),
            other => Err(format!("{other} failed")),
        }
    })
    .await;
    // later mail is not held up by it
    forgot(&api, &person.email).await;
    let second = arrived(server.folder(), &person.email, 2).await;
    assert_ne!(second.code(), letter.code());
    assert!(letters_in(server.folder(), &refused.email).is_empty());
    // the code of a mail that has ended is no longer readable
    eventually("the texts are emptied", LONG, async || {
        let kept = "SELECT count(*) FROM mails WHERE text_body <> '' OR html_body IS NOT NULL";
        match number(&mut database, kept).await {
            0 => Ok(()),
            other => Err(format!("{other} still hold text")),
        }
    })
    .await;
    deployment.stop().await;
}

#[tokio::test]
async fn without_a_server_mail_is_a_file_for_nobody_else() {
    let shared = shared().await;
    let person = Person::new("file");
    sign_up(&shared.anyone(), &person).await;
    shared.deployment.letter(&person.email, 1).await;
    let folder = shared.deployment.mails();
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in std::fs::read_dir(&folder).unwrap().flatten() {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let path = entry.path();
        eventually("the log names the file", LONG, async || {
            let log = shared.deployment.log_text();
            if log.contains(&*path.to_string_lossy()) { Ok(()) } else { Err(path.display().to_string()) }
        })
        .await;
    }
    assert!(!shared.deployment.log_text().contains(&person.email), "the log names an address");
}
