//! The description and the server agree: schemathesis makes requests from the OpenAPI document (right ones,
//! wrong ones, chains of them) and holds each answer against it, in the name of every role.
//!
//! `SCHEMATHESIS` names the program; `make test` installs it. Without it these tests fail where `CI` is set
//! and say that they were skipped elsewhere.
//!
//! The short form, in `make test`, asks each operation as those who may use it; that others are refused is
//! also what authorization.rs tests. The long form, `make contract`, asks everything as everybody, with
//! `CONTRACT_EXAMPLES` cases of an operation in each phase that invents them.
//!
//! What ends a run is kept apart: changes and deletions have things of their own, and the account that asks is
//! closed last, in a run of its own.

use crate::harness::api::{Api, Gonggu, GongguSpec, answer};
use crate::harness::deployment::Deployment;
use crate::harness::shared::shared;
use crate::harness::visitor::Visitor;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

const BASE: &str = "/api/v1";
/// Cases of an operation in each phase that invents them.
const EXAMPLES: &str = "4";
/// Whatever it finds, it finds again.
const SEED: &str = "1";

/// The long form's number of cases, if it is one.
fn long_form() -> Option<String> {
    std::env::var("CONTRACT_EXAMPLES").ok()
}

/// Whether a role can do more at an operation than be refused.
fn may_use(role: &str, operation: &Value) -> bool {
    match operation["x-required-role"].as_str() {
        None => true,
        Some("admin") => role == "admin",
        Some("influencer") => matches!(role, "influencer" | "admin"),
        Some(_) => role != "nobody",
    }
}

/// A real value for the parameter of a path, so that requests reach further than "not found".
struct Fixture {
    /// Of an operation; `*` is all those that no other line names.
    method: &'static str,
    /// The path below the base.
    path: &'static str,
    value: String,
}

struct Contract {
    deployment: Deployment,
    program: PathBuf,
    accounts: BTreeMap<String, (String, String)>,
    influencer: String,
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
        for line in seeded.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [role @ ("admin" | "influencer" | "buyer"), email, password] = words[..] {
                let account = (email.to_owned(), password.to_owned());
                accounts.entry(role.to_owned()).or_insert(account);
            }
        }
        let api = Api::new(&deployment);
        let list = api.get("/api/v1/influencers?sort=created_at&order=desc").await.1;
        let influencer = list["items"][0]["id"].as_str().expect("a demo influencer").to_owned();
        Some(Self { deployment, program, accounts, influencer })
    }

    /// Things for one run, made by an admin who takes no part in it; gonggus and reviews are the role's own
    /// where it may have some.
    async fn fixtures(&self, name: &str, role: Option<&Api>) -> Vec<Fixture> {
        let admin = Api::new(&self.deployment).admin().await;
        let owner = if matches!(name, "influencer" | "admin") { role.unwrap_or(&admin) } else { &admin };
        let (open, other) = (owner.open_gonggu().await, owner.open_gonggu().await);
        let planned = owner.gonggu(&GongguSpec::not_open()).await;
        let mut fixtures = Vec::new();
        let mut add = |method, path, value: &dyn ToString| {
            fixtures.push(Fixture { method, path, value: value.to_string() });
        };
        add("*", "/gonggus/{id}", &open);
        add("put", "/gonggus/{id}", &other);
        add("delete", "/gonggus/{id}", &other);
        add("*", "/gonggus/{id}/alarm", &planned);
        for path in ["/gonggus/{id}/bookmark", "/gonggus/{id}/reviews"] {
            add("*", path, &open);
        }
        for path in
            ["/go/{gonggu_id}", "/tracking/stats/{gonggu_id}", "/tracking/stats/{gonggu_id}/clicks.csv"]
        {
            add("*", path, &open);
        }
        for path in ["/influencers/{id}", "/subscriptions/{influencer_id}"] {
            add("*", path, &self.influencer);
        }
        if let Some(role) = role {
            // one's own gonggus are not for oneself to review
            let mine = [admin.open_gonggu().await, admin.open_gonggu().await];
            add("*", "/reviews/{id}", &review(role, mine[0]).await);
            add("delete", "/reviews/{id}", &review(role, mine[1]).await);
        }
        let made = |path: &'static str, body: Value| made(&admin, path, body);
        let category = |number: u32| json!({"name": format!("{name} {number}")});
        for path in ["/categories/{id}", "/admin/categories/{id}"] {
            let number = if path.starts_with("/admin") { 2 } else { 0 };
            add("*", path, &made("/categories", category(number)).await);
            add("delete", path, &made("/categories", category(number + 1)).await);
        }
        let coupon = |code: String| {
            json!({"code": code, "name": "계약", "points": 1, "starts_at": "2026-01-01T00:00:00Z",
                   "ends_at": "2099-01-01T00:00:00Z"})
        };
        add("*", "/admin/coupons/{id}", &made("/admin/coupons", coupon(format!("{name}-1"))).await);
        add("delete", "/admin/coupons/{id}", &made("/admin/coupons", coupon(format!("{name}-2"))).await);
        made("/admin/coupons", coupon(format!("{name}-3"))).await;
        add("*", "/coupons/{code}/redeem", &format!("{name}-3"));
        let banner = json!({"slot": "home-top", "image_url": "/images/1.webp"});
        add("*", "/admin/banners/{id}", &made("/admin/banners", banner.clone()).await);
        add("delete", "/admin/banners/{id}", &made("/admin/banners", banner).await);
        add("*", "/admin/users/{id}", &self.signed_up(name, "buyer").await);
        add("*", "/admin/influencers/{user_id}/approve", &self.signed_up(name, "influencer").await);
        add("*", "/admin/influencers/{user_id}/reject", &self.signed_up(name, "influencer").await);
        fixtures
    }

    /// A new account's id.
    async fn signed_up(&self, name: &str, role: &str) -> String {
        let visitor = Visitor::new();
        let email = format!("{name}-{}@contract.example", uuid::Uuid::now_v7());
        let body = json!({"email": email, "password": "correct horse 1!", "nickname": name, "role": role});
        let url = format!("{}{BASE}/auth/signup", self.deployment.base_url());
        let request = Client::new().post(url).header("X-Forwarded-For", visitor.address()).json(&body);
        id_of(&answer(request).await.1)
    }

    /// Settings for one run: real ids where they are known, and what counts as accepted. Rules between fields
    /// (opens before it closes, a price below the other), limits in bytes and what is inside a text have no
    /// words in a schema, so bodies that fit it may still be refused with 422, and ranges that end before they
    /// begin, or begin in the year 1; other queries may not.
    fn settings(name: &str, document: &Value, fixtures: &[Fixture]) -> String {
        // it would sign up by itself, and nobody would be somebody
        let mut settings = "[auth]\nauto-signup = false\n\n".to_owned();
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
                if long_form().is_none() && !may_use(name, operation) {
                    writeln!(own, "enabled = false").unwrap();
                }
                let below = path.strip_prefix(BASE).unwrap();
                let fixture = |wanted: &str| {
                    fixtures.iter().find(|fixture| fixture.path == below && fixture.method == wanted)
                };
                if let Some(Fixture { value, .. }) = fixture(method).or_else(|| fixture("*")) {
                    let name = path.split(['{', '}']).nth(1).unwrap();
                    writeln!(own, "parameters.\"path.{name}\" = {value:?}").unwrap();
                }
                if !own.is_empty() {
                    // by id alone: of two criteria one would be enough for a match
                    let id = &operation["operationId"];
                    writeln!(settings, "[[operations]]\ninclude-operation-id = {id}\n{own}").unwrap();
                }
            }
        }
        settings
    }

    /// All operations as one role; the error is what schemathesis found.
    async fn run(&self, role: Option<&str>) -> Result<(), String> {
        let name = role.unwrap_or("nobody");
        let api = Api::new(&self.deployment);
        let document = api.get("/api/v1/openapi.json").await.1;
        let api = match role {
            Some(role) => {
                let (email, password) = &self.accounts[role];
                let (status, body) = api.login(email, password).await;
                assert_eq!(status, 200, "{role}: {body}");
                Some(api.with_token(body["access_token"].as_str().unwrap()))
            }
            None => None,
        };
        let settings = Self::settings(name, &document, &self.fixtures(name, api.as_ref()).await);
        let path = self.deployment.scratch(&format!("contract-{name}.toml"));
        std::fs::write(&path, settings).unwrap();
        let mut command = self.command(&path, api.as_ref());
        // an endless stream, which live.rs tests, and the end of the account
        command.args(["--exclude-path-regex", "/live$"]).args(["--exclude-operation-id", "delete_users_me"]);
        finished(name, command).await?;
        if role.is_none() {
            return Ok(());
        }
        let mut command = self.command(&path, api.as_ref());
        command.args(["--include-operation-id", "delete_users_me"]);
        finished(&format!("{name}, closing the account"), command).await
    }

    fn command(&self, settings: &Path, api: Option<&Api>) -> Command {
        let examples = long_form().unwrap_or_else(|| EXAMPLES.to_owned());
        let mut command = Command::new(&self.program);
        command
            .arg("--config-file")
            .arg(settings)
            .arg("run")
            .arg(format!("{}/api/v1/openapi.json", self.deployment.base_url()))
            .args(["--checks", "all", "--max-examples", &examples, "--seed", SEED])
            // its threads share one interpreter: more of them are no faster, and trip over each other's state
            .args(["--workers", "1", "--continue-on-failure", "--request-timeout", "20", "--warnings", "off"])
            .arg("--no-color")
            .current_dir(self.deployment.scratch(""))
            .stdin(Stdio::null());
        if let Some(api) = api {
            command.args(["--header", &format!("Authorization: Bearer {}", api.token())]);
        }
        command
    }
}

async fn finished(what: &str, mut command: Command) -> Result<(), String> {
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("as {what}:\n{said}\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let generated = said.lines().rev().find(|line| line.contains("generated")).unwrap_or_default();
    let seconds = said.lines().last().unwrap_or_default().trim_matches(['=', ' ']);
    eprintln!("as {what}: {} ({seconds})", generated.trim());
    Ok(())
}

async fn made(admin: &Api, path: &str, body: Value) -> String {
    let (status, body) = answer(admin.request(Method::POST, &format!("{BASE}{path}")).json(&body)).await;
    assert_eq!(status, 201, "{path}: {body}");
    id_of(&body)
}

async fn review(author: &Api, gonggu: Gonggu) -> String {
    let path = format!("{BASE}/gonggus/{gonggu}/reviews");
    let request = author.request(Method::POST, &path).json(&json!({"rating": 5, "content": "좋아요"}));
    id_of(&answer(request).await.1)
}

fn id_of(body: &Value) -> String {
    body["id"].as_str().unwrap_or_else(|| panic!("no id: {body}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_as_described_for_every_role() {
    let Some(contract) = Contract::new().await else { return };
    // two at a time, each on a core; together the roles of a lane take as long as those of the other
    let contract = &contract;
    let lane = |roles: [Option<&'static str>; 2]| async move {
        let mut found = Vec::new();
        for role in roles {
            found.extend(contract.run(role).await.err());
        }
        found
    };
    let (mut found, others) =
        tokio::join!(lane([Some("admin"), None]), lane([Some("buyer"), Some("influencer")]));
    found.extend(others);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn the_description_is_shown_without_the_help_of_others() {
    let api = shared().await.anyone();
    let page = |path: String| {
        let request = api.request(Method::GET, &path);
        async move {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
            assert!(policy.starts_with("default-src 'self'"), "{path}: {policy}");
            answer.text().await.unwrap()
        }
    };
    let (status, _) = answer(api.request(Method::GET, "/docs")).await;
    assert!(status.is_redirection(), "{status}");
    let html = page("/docs/".to_owned()).await;
    let mut assets = Vec::new();
    for attribute in ["src=\"", "href=\""] {
        assets.extend(html.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()));
    }
    assert!(assets.len() >= 4, "{html}");
    for asset in assets {
        assert!(!asset.contains("//") && !asset.starts_with('/'), "{asset} is not ours");
        let asset = asset.trim_start_matches("./");
        let text = page(format!("/docs/{asset}")).await;
        assert!(!text.is_empty(), "{asset}");
        if asset.ends_with("initializer.js") {
            assert!(text.contains("/api/v1/openapi.json"), "{text}");
            assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
        }
    }
    let document = api.get("/api/v1/openapi.json").await.1;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
}
