//! A browser that signs in: it keeps the cookie, follows the redirects and posts the forms.

use super::{Fault, Human, Vendors};
use crate::harness::Visitor;
use crate::harness::api::json_body;
use crate::harness::deployment::OUR_ORIGIN;
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use url::Url;
use uuid::Uuid;

/// One browser.
#[derive(Clone)]
pub(crate) struct Browser {
    http: Client,
    base_url: String,
    vendors: Vendors,
    /// `login_state`.
    pub(crate) cookie: Option<String>,
    address: String,
}

/// A sign-in that has begun.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    pub(crate) authorize_url: String,
    pub(crate) state: String,
}

/// What came back to our page.
#[derive(Clone, Debug)]
pub(crate) struct Returned {
    pub(crate) code: Option<String>,
    pub(crate) state: String,
    pub(crate) error: Option<String>,
    pub(crate) page: String,
}

/// The page that sign-ins come back to.
pub(crate) fn return_to() -> String {
    format!("{OUR_ORIGIN}/login/done?from=cart")
}

impl Browser {
    pub(crate) fn new(base_url: String, vendors: &Vendors) -> Self {
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        let address = Visitor::new().address().to_owned();
        Self { http, base_url, vendors: vendors.clone(), cookie: None, address }
    }

    /// Begins; the answer as it is.
    pub(crate) async fn ask_to_begin(&self, provider: &str, return_to: &str) -> Response {
        let mut url =
            Url::parse(&format!("{}/api/v1/auth/social/{provider}/authorize", self.base_url)).unwrap();
        url.query_pairs_mut().append_pair("return_to", return_to);
        let mut request = self.http.get(url).header("X-Forwarded-For", &self.address);
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", format!("other=1; login_state={cookie}"));
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn begin(&mut self, provider: &str) -> Begun {
        let answer = self.ask_to_begin(provider, &return_to()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        for attribute in ["HttpOnly", "SameSite=Lax", "Max-Age=600", "Path=/api/v1"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        let value = cookie.strip_prefix("login_state=").unwrap().split(';').next().unwrap();
        self.cookie = Some(value.to_owned());
        let body = json_body(answer).await;
        let text = |key: &str| body[key].as_str().unwrap().to_owned();
        Begun { authorize_url: text("authorize_url"), state: text("state") }
    }

    /// The person signs in at the provider; the browser comes back to our page.
    pub(crate) async fn consent(&self, begun: &Begun, human: &Human, fault: Fault) -> Returned {
        let ticket = Uuid::new_v4().to_string();
        self.vendors.expect(ticket.clone(), human.clone(), fault);
        let page = self.http.get(&begun.authorize_url).header("x-ticket", ticket).send().await.unwrap();
        let back = match page.status() {
            StatusCode::FOUND => {
                let location = page.headers()["location"].to_str().unwrap();
                self.http.get(location).header("X-Forwarded-For", &self.address).send().await.unwrap()
            }
            StatusCode::OK => {
                let (action, fields) = form_of(&page.text().await.unwrap());
                // a cross-site POST: no cookie of ours goes with it
                let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
                let post = self.http.post(action).header("X-Forwarded-For", &self.address);
                let post = post.header("Content-Type", "application/x-www-form-urlencoded");
                post.header("Origin", "https://appleid.apple.com").body(body).send().await.unwrap()
            }
            status => panic!("the provider refused: {status} {}", page.text().await.unwrap()),
        };
        assert_eq!(back.status(), StatusCode::SEE_OTHER, "{}", back.text().await.unwrap());
        returned(&back)
    }

    /// Shows code and state.
    pub(crate) async fn finish(&self, provider: &str, returned: &Returned) -> (StatusCode, Value) {
        let body = match &returned.error {
            Some(error) => json!({"error": error, "state": returned.state}),
            None => json!({"code": returned.code, "state": returned.state}),
        };
        let answer = self.post(&format!("auth/social/{provider}"), &body, None).await;
        (answer.status(), json_body(answer).await)
    }

    /// Links instead of signing in.
    pub(crate) async fn link(&self, provider: &str, returned: &Returned, token: &str) -> (StatusCode, Value) {
        let body = json!({"code": returned.code, "state": returned.state});
        let answer = self.post(&format!("users/me/social/{provider}"), &body, Some(token)).await;
        (answer.status(), json_body(answer).await)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value, token: Option<&str>) -> Response {
        let request = self.http.post(format!("{}/api/v1/{path}", self.base_url));
        let mut request = request.header("X-Forwarded-For", &self.address).json(body);
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", format!("login_state={cookie}"));
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap()
    }

    /// From the start to the provider's answer.
    pub(crate) async fn come_back(&mut self, provider: &str, human: &Human, fault: Fault) -> Returned {
        let begun = self.begin(provider).await;
        let returned = self.consent(&begun, human, fault).await;
        assert_eq!(returned.state, begun.state);
        returned
    }

    /// From the start to the end.
    pub(crate) async fn sign_in(
        &mut self,
        provider: &str,
        human: &Human,
        fault: Fault,
    ) -> (StatusCode, Value) {
        let returned = self.come_back(provider, human, fault).await;
        self.finish(provider, &returned).await
    }
}

/// Code and state in the address of our page.
fn returned(back: &Response) -> Returned {
    let url = Url::parse(back.headers()["location"].to_str().unwrap()).unwrap();
    let mut pairs: HashMap<String, String> = url.query_pairs().into_owned().collect();
    assert_eq!(pairs.remove("from").as_deref(), Some("cart"), "the query of return_to stays");
    Returned {
        code: pairs.remove("code"),
        state: pairs.remove("state").unwrap(),
        error: pairs.remove("error"),
        page: format!("{}{}", url.origin().ascii_serialization(), url.path()),
    }
}

/// Where a form posts to, and what.
fn form_of(html: &str) -> (String, Vec<(String, String)>) {
    let between = |text: &str, from: &str| {
        let rest = &text[text.find(from).unwrap() + from.len()..];
        rest[..rest.find('"').unwrap()].replace("&quot;", "\"").replace("&amp;", "&")
    };
    let fields = html.split("<input ").skip(1);
    (
        between(html, "action=\""),
        fields.map(|field| (between(field, "name=\""), between(field, "value=\""))).collect(),
    )
}
