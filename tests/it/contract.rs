//! The description and the server agree: schemathesis makes requests from the OpenAPI document (right ones,
//! wrong ones, chains of them) and holds each answer against it, in the name of every role.
//!
//! `SCHEMATHESIS` names the program; `make test` installs it. Without it these tests fail where `CI` is set
//! and say that they were skipped elsewhere. `CONTRACT_EXAMPLES` (8) sets how many cases an operation gets
//! in each phase that invents them.

use crate::harness::api::Api;
use crate::harness::deployment::Deployment;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::Command;

/// Real ids by the beginning of the path and the name of the parameter, so that requests reach further
/// than "not found".
type Fixtures = BTreeMap<(&'static str, &'static str), String>;

struct Contract {
    deployment: Deployment,
    program: PathBuf,
    accounts: BTreeMap<String, (String, String)>,
    fixtures: Fixtures,
}

impl Contract {
    /// A server of its own with demo data; `None`: no schemathesis here.
    async fn new() -> Option<Self> {
        let Some(program) = std::env::var_os("SCHEMATHESIS").map(PathBuf::from) else {
            assert!(std::env::var_os("CI").is_none(), "SCHEMATHESIS is not set: make test installs it");
            eprintln!("skipped: SCHEMATHESIS is not set (make test installs it)");
            return None;
        };
        let mut deployment = Deployment::new();
        deployment.start().await;
        let seeded = deployment.run(&["seed"]).await;
        assert!(seeded.status.success(), "{}", crate::harness::deployment::said(&seeded));
        let seeded = String::from_utf8(seeded.stdout).unwrap();
        let mut accounts = BTreeMap::new();
        let mut gonggus = Vec::new();
        for line in seeded.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [role @ ("admin" | "influencer" | "buyer"), email, password] => {
                    let account = (email.to_owned(), password.to_owned());
                    accounts.entry(role.to_owned()).or_insert(account);
                }
                ["active", link, ..] => gonggus.push(link.rsplit('/').next().unwrap().to_owned()),
                _ => {}
            }
        }
        let gonggu = gonggus.first().expect("the demo data has an open gonggu").clone();
        let api = Api::new(&deployment);
        let detail = api.get(&format!("/api/v1/gonggus/{gonggu}")).await.1;
        let influencer = detail["influencer_id"].as_str().unwrap().to_owned();
        let fixtures = Fixtures::from([
            (("/api/v1/gonggus/", "id"), gonggu.clone()),
            (("/api/v1/tracking/", "gonggu_id"), gonggu.clone()),
            (("/api/v1/go/", "gonggu_id"), gonggu),
            (("/api/v1/influencers/", "id"), influencer.clone()),
            (("/api/v1/subscriptions/", "influencer_id"), influencer),
        ]);
        Some(Self { deployment, program, accounts, fixtures })
    }

    /// Settings for one run: real ids where they are known, and what counts as accepted. Rules between fields
    /// (opens before it closes, a price below the other) have no words in a schema, so bodies that fit it may
    /// still be refused with 422, and ranges that end before they begin; other queries may not.
    fn settings(&self, document: &Value) -> String {
        let mut settings = String::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let mut own = String::new();
                let named = |name: &str| {
                    let parameters = operation["parameters"].as_array();
                    parameters.is_some_and(|all| all.iter().any(|parameter| parameter["name"] == name))
                };
                if operation.get("requestBody").is_some() || (named("from") && named("to")) {
                    let accepted = r#"["2xx", "3xx", "401", "403", "404", "409", "422", "429"]"#;
                    let check = "checks.positive_data_acceptance.expected-statuses";
                    writeln!(own, "{check} = {accepted}").unwrap();
                }
                for ((prefix, name), id) in &self.fixtures {
                    if path.starts_with(prefix) && path.contains(&format!("{{{name}}}")) {
                        writeln!(own, "parameters.\"path.{name}\" = {id:?}").unwrap();
                    }
                }
                if !own.is_empty() {
                    let method = method.to_uppercase();
                    let head = format!("include-path = {path:?}\ninclude-method = {method:?}");
                    writeln!(settings, "[[operations]]\n{head}\n{own}").unwrap();
                }
            }
        }
        settings
    }

    async fn run(&self, role: Option<&str>, seed: u32) {
        let api = Api::new(&self.deployment);
        let document = api.get("/api/v1/openapi.json").await.1;
        let name = role.unwrap_or("nobody");
        let folder = self.deployment.scratch(&format!("contract-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let settings = folder.join("schemathesis.toml");
        std::fs::write(&settings, self.settings(&document)).unwrap();
        let examples = std::env::var("CONTRACT_EXAMPLES").unwrap_or_else(|_| "8".to_owned());
        let mut command = Command::new(&self.program);
        command
            .arg("--config-file")
            .arg(&settings)
            .arg("run")
            .arg(format!("{}/api/v1/openapi.json", self.deployment.base_url()))
            .args(["--checks", "all", "--max-examples", &examples, "--seed", &seed.to_string()])
            .args(["--workers", "2", "--continue-on-failure", "--request-timeout", "20", "--warnings", "off"])
            // an endless stream: live.rs tests it
            .args(["--exclude-path-regex", "/live$", "--no-color"])
            .current_dir(&folder)
            .stdin(Stdio::null());
        if let Some(role) = role {
            let (email, password) = &self.accounts[role];
            let (status, body) = api.login(email, password).await;
            assert_eq!(status, 200, "{role}: {body}");
            let token = body["access_token"].as_str().unwrap();
            command.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        let output = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "as {name}:\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
        eprintln!(
            "as {name}: {}",
            said.lines().rev().find(|line| line.contains("generated")).unwrap_or_default()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_as_described_for_every_role() {
    let Some(contract) = Contract::new().await else { return };
    for (seed, role) in [None, Some("buyer"), Some("influencer"), Some("admin")].into_iter().enumerate() {
        contract.run(role, seed as u32 + 1).await;
    }
}
