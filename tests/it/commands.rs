//! The commands beside `serve`, run while a server has the data folder, as an operator would.

use crate::harness::database::number;
use crate::harness::deployment::said;
use crate::harness::{Api, Deployment, SHORT, Visitor, eventually};
use reqwest::{Method, StatusCode};

#[tokio::test]
async fn an_admin_is_made_beside_a_running_server() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let arguments = ["create-admin", "--email", "second@gonggumoa.example", "--password-stdin"];
    let output = deployment.run_with_input(&arguments, "a second password 2!\n").await;
    assert!(output.status.success(), "{}", said(&output));
    let api = Api::new(&deployment);
    let (status, body) = api.login("second@gonggumoa.example", "a second password 2!").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    api.with_token(body["access_token"].as_str().unwrap()).open_gonggu().await;
    // again: refused, and the password stays
    let output = deployment.run_with_input(&arguments, "a third password 3!\n").await;
    assert!(!output.status.success());
    assert_eq!(
        api.login("second@gonggumoa.example", "a third password 3!").await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(api.login("second@gonggumoa.example", "a second password 2!").await.0, StatusCode::OK);
    deployment.stop().await;
}

#[tokio::test]
async fn demo_data_is_there_to_be_tried() {
    let mut deployment = Deployment::new();
    deployment.start().await;
    let output = deployment.run(&["seed"]).await;
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    let base = format!("{}/go/", deployment.base_url());
    let links: Vec<&str> = text.split_whitespace().filter_map(|word| word.strip_prefix(&base)).collect();
    assert!(!links.is_empty(), "no link to try:\n{text}");
    let api = Api::new(&deployment);
    let mut redirected = 0;
    for id in &links {
        // made by another process: in force here within a second, not at once
        let status = eventually("the link is in force", SHORT, async || {
            let answer = Visitor::new().ask(&api, Method::GET, &format!("/go/{id}")).await;
            match answer.click_id() {
                Some(_) => Ok(answer.status),
                None => Err(format!("{id}: {} {}", answer.status, answer.body)),
            }
        })
        .await;
        redirected += u32::from(status == StatusCode::FOUND);
    }
    assert!(redirected > 0, "none of the demo gonggus is open");

    let count = "SELECT (SELECT count(*) FROM gonggus) + (SELECT count(*) FROM users)";
    let mut database = deployment.database().await;
    let before = number(&mut database, count).await;
    let output = deployment.run(&["seed"]).await;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(number(&mut database, count).await, before, "seeding again changes nothing");
    deployment.stop().await;
}

#[tokio::test]
async fn a_migration_alone_prepares_a_folder_and_ends() {
    let mut deployment = Deployment::new();
    let output = deployment.run(&["migrate"]).await;
    assert!(output.status.success(), "{}", said(&output));
    deployment.start().await;
    let output = deployment.run(&["migrate"]).await;
    assert!(output.status.success(), "beside a running server: {}", said(&output));
    assert_eq!(Api::new(&deployment).get("/health/ready").await.0, StatusCode::OK);
    deployment.stop().await;
}
