//! Starting: folders, second processes, takeovers, settings that are wrong.

use crate::harness::deployment::{ADMIN_EMAIL, PASSWORD};
use crate::harness::{Api, Deployment, Visitor};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn a_folder_closed_to_others_works_and_its_secrets_stay_closed() {
    let mut deployment = Deployment::new();
    fs::create_dir(deployment.data_dir()).unwrap();
    fs::set_permissions(deployment.data_dir(), fs::Permissions::from_mode(0o700)).unwrap();
    // as an earlier start left it
    fs::create_dir(deployment.data_dir().join("journal")).unwrap();
    fs::set_permissions(deployment.data_dir().join("journal"), fs::Permissions::from_mode(0o755)).unwrap();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    Visitor::new().go(&admin, gonggu).await.redirected();
    admin.settled(gonggu, 1).await;
    let mode = deployment.data_dir().metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & 0o066, 0, "others may look into the data folder: {mode:o}");
    for folder in ["journal", "archive", "secrets"] {
        let mode = deployment.data_dir().join(folder).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{folder} is open to others");
    }
    let secrets = fs::read_dir(deployment.data_dir().join("secrets")).unwrap();
    let mut count = 0;
    for secret in secrets {
        let mode = secret.unwrap().metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "a secret is readable by others");
        count += 1;
    }
    assert!(count > 0, "secrets are made at the first start");
    deployment.stop().await;
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_is_refused() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    // at other ports, so that it is the folder that refuses
    let port = crate::harness::process::free_port();
    deployment.set("API_PORT", &port.to_string());
    deployment.set("METRICS_ADDR", &format!("127.0.0.1:{}", crate::harness::process::free_port()));
    let reason = deployment.refusal().await;
    let folder = deployment.data_dir().display().to_string();
    assert!(reason.contains(&folder) || reason.contains("DATA_DIR"), "which folder?\n{reason}");
    // and the first one goes on
    Visitor::new().go(&admin, gonggu).await.redirected();
    admin.settled(gonggu, 1).await;
    deployment.stop().await;
}

#[tokio::test]
async fn a_killed_servers_cluster_is_taken_over() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let admin = Api::new(&deployment).admin().await;
    let gonggu = admin.open_gonggu().await;
    for round in 1..4 {
        Visitor::new().go(&admin, gonggu).await.redirected();
        deployment.kill();
        deployment.start().await;
        // tokens outlive the process: the key is kept
        admin.settled(gonggu, round).await;
    }
    let postmaster = deployment.postmaster().unwrap();
    deployment.stop().await;
    deployment.postgres_gone(postmaster).await;
}

#[tokio::test]
async fn wrong_settings_are_named_with_an_example() {
    let cases = [
        ("API_PORT", "eighty"),
        ("API_PORT", "99999"),
        ("METRICS_ADDR", "nowhere"),
        ("DEDUP_WINDOW_SECONDS", "five minutes"),
        ("DEDUP_WINDOW_SECONDS", "-1"),
        ("FRAUD_IP_LIMIT", "0"),
        ("TRUSTED_PROXIES", "10.0.0.0/99"),
        ("CORS_ORIGINS", "not an origin"),
        ("FRONTEND_URL", "ftp://x"),
        ("JOURNAL_MAX_BYTES", "a lot"),
        ("SHUTDOWN_TIMEOUT_SECONDS", "soon"),
        ("JWT_ALGORITHM", "none"),
    ];
    for (name, value) in cases {
        let mut deployment = Deployment::new();
        deployment.set(name, value);
        let reason = deployment.refusal().await;
        assert!(reason.contains(name), "{name}={value} is not named:\n{reason}");
        assert!(reason.contains("example"), "{name}={value}: no example:\n{reason}");
        assert!(!deployment.data_dir().join("postgres").exists(), "it was refused before anything was made");
    }
}

#[tokio::test]
async fn wrong_settings_are_named_together_and_secrets_are_not_printed() {
    let mut deployment = Deployment::new();
    let secret = "hunter2-hunter2";
    deployment
        .set("JWT_SECRET_KEY", secret)
        .set("DATABASE_URL", "mysql://root:topsecretpassword@db/x")
        .set("API_PORT", "eighty");
    let reason = deployment.refusal().await;
    for name in ["JWT_SECRET_KEY", "DATABASE_URL", "API_PORT"] {
        assert!(reason.contains(name), "{name} is not named:\n{reason}");
    }
    assert!(
        !reason.contains(secret) && !reason.contains("topsecretpassword"),
        "a secret was printed:\n{reason}"
    );
}

#[tokio::test]
async fn the_command_line_helps() {
    let deployment = Deployment::new();
    let output = deployment.run(&["--help"]).await;
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for command in ["serve", "migrate", "create-admin", "seed", "journal"] {
        assert!(help.contains(command), "{command} is missing:\n{help}");
    }
    let output = deployment.run(&["no-such-command"]).await;
    assert!(!output.status.success());
}

/// The admin of the settings is made once, and again only if missing.
#[tokio::test]
async fn an_admins_password_is_not_reset_by_a_restart() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    Api::new(&deployment).admin().await;
    deployment.stop().await;
    deployment.set("ADMIN_PASSWORD", "another password 2!").start().await;
    let api = Api::new(&deployment);
    assert_eq!(api.login(ADMIN_EMAIL, PASSWORD).await.0, 200);
    assert_eq!(api.login(ADMIN_EMAIL, "another password 2!").await.0, 401);
    deployment.stop().await;
}
