//! Demo clicks. The log is the truth, so they come in as everybody's do: over HTTP, to a running server.
//!
//! Every kind of verdict is among them: people in browsers and in-app browsers, members, second clicks, a
//! crawler, a link preview, a HEAD. All come from one address, so each gonggu gets fewer than the
//! mass-click limit of signed-out ones.

use super::{DemoAccount, DemoGonggu};
use indicatif::ProgressBar;
use secrecy::ExposeSecret;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

/// Below the default limit of 60 an address and minute, with room for a second sowing's stragglers.
const SIGNED_OUT_CLICKS_MAX: usize = 40;
/// Every so many clicks one is done twice.
const REPEATED_EVERY: usize = 5;
/// An answer of a healthy server comes in milliseconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Agents of people; `{}` becomes a version, so that they are many.
const PEOPLE: [&str; 6] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 KAKAOTALK 10.8.{}",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 312.0.{}",
    "Mozilla/5.0 (Linux; Android 14; SM-S928N) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/12{}.0.0.0 Mobile Safari/537.36 NAVER(inapp; search; 1000; 12.5.{})",
    "Mozilla/5.0 (Linux; Android 14; SM-A546S) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/12{}.0.0.{} Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/12{}.0.0.{} Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.{}.{} Safari/605.1.15",
];
const NOT_PEOPLE: [&str; 2] = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984",
];
const REFERERS: [&str; 4] =
    ["https://www.instagram.com/", "https://m.search.naver.com/search.naver", "https://www.youtube.com/", ""];

/// Why the demo clicks did not get through.
#[derive(Debug, thiserror::Error)]
pub enum ClickSeedError {
    /// Nobody answers.
    #[error("no server answers at {address}: start `gonggumoa serve` first")]
    Unreachable {
        /// Where one was expected.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The answer was not the expected one.
    #[error("the server answered {answer:?} to {request}")]
    Answer {
        /// What was asked.
        request: String,
        /// The first line of the answer.
        answer: String,
    },
}

impl ClickSeedError {
    /// Would the same call, made later, possibly succeed?
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// Sends the demo clicks to the server at `address`; how many were recorded. None, if its demo has been clicked
/// already: after the window of duplicates the same clicks would count once more.
pub async fn send_clicks(
    address: SocketAddr,
    accounts: &[DemoAccount],
    gonggus: &[DemoGonggu],
    progress: &ProgressBar,
) -> Result<u64, ClickSeedError> {
    let server = Server { address };
    if server.has_clicks(gonggus).await? {
        return Ok(0);
    }
    let mut tokens = Vec::new();
    for account in accounts.iter().filter(|account| account.role == "buyer") {
        tokens.push(server.sign_in(account).await?);
    }
    let open: Vec<Uuid> =
        gonggus.iter().filter(|gonggu| gonggu.status == "active").map(|gonggu| gonggu.id).collect();
    let mut sent = 0;
    for (index, gonggu) in open.iter().enumerate() {
        // Some are more wanted than others.
        let people = (SIGNED_OUT_CLICKS_MAX / (index + 1)).max(5);
        for number in 0..people {
            let agent = PEOPLE[number % PEOPLE.len()].replace("{}", &number.to_string());
            let referer = REFERERS[number % REFERERS.len()];
            for _ in 0..=usize::from(number % REPEATED_EVERY == 0) {
                sent += server.click("GET", *gonggu, &agent, referer, None).await?;
            }
            progress.inc(1);
        }
        for token in &tokens {
            sent +=
                server.click("GET", *gonggu, &PEOPLE[0].replace("{}", "1"), REFERERS[0], Some(token)).await?;
        }
        for agent in NOT_PEOPLE {
            sent += server.click("GET", *gonggu, agent, "", None).await?;
        }
        sent += server.click("HEAD", *gonggu, &PEOPLE[4].replace("{}", "7"), "", None).await?;
    }
    Ok(sent)
}

struct Server {
    address: SocketAddr,
}

impl Server {
    async fn has_clicks(&self, gonggus: &[DemoGonggu]) -> Result<bool, ClickSeedError> {
        for gonggu in gonggus.iter().filter(|gonggu| gonggu.status == "active") {
            let path = format!("/api/v1/gonggus/{}", gonggu.id);
            let answer = self.ask(&format!("GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", self.address)).await?;
            let parsed = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
            let count = parsed.as_ref().and_then(|body: &serde_json::Value| body["click_count"].as_i64());
            // what cannot be read is told by the click that follows
            if count.is_some_and(|count| count > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn sign_in(&self, account: &DemoAccount) -> Result<String, ClickSeedError> {
        let body =
            serde_json::json!({ "email": account.email, "password": account.password.expose_secret() });
        let body = body.to_string();
        let request = format!(
            "POST /api/v1/auth/login HTTP/1.0\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let answer = self.ask(&request).await?;
        let parsed = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
        let token = parsed.as_ref().and_then(|body: &serde_json::Value| body["access_token"].as_str());
        token
            .map(str::to_owned)
            .ok_or_else(|| unexpected(&format!("the login of {}", account.email), &answer))
    }

    async fn click(
        &self,
        method: &str,
        gonggu: Uuid,
        agent: &str,
        referer: &str,
        token: Option<&str>,
    ) -> Result<u64, ClickSeedError> {
        let path = format!("/go/{gonggu}");
        let mut request =
            format!("{method} {path} HTTP/1.0\r\nhost: {}\r\nuser-agent: {agent}\r\n", self.address);
        if !referer.is_empty() {
            request.push_str(&format!("referer: {referer}\r\n"));
        }
        if let Some(token) = token {
            request.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        request.push_str("\r\n");
        let answer = self.ask(&request).await?;
        if answer.split_whitespace().nth(1) != Some("302") {
            return Err(unexpected(&path, &answer));
        }
        Ok(u64::from(answer.to_ascii_lowercase().contains("\r\nx-click-id:")))
    }

    /// HTTP/1.0: the answer ends with the connection, in one piece.
    async fn ask(&self, request: &str) -> Result<String, ClickSeedError> {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok::<_, io::Error>(String::from_utf8_lossy(&answer).into_owned())
        };
        let result = match tokio::time::timeout(REQUEST_TIMEOUT, exchange).await {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        result.map_err(|source| ClickSeedError::Unreachable { address: self.address, source })
    }
}

fn unexpected(request: &str, answer: &str) -> ClickSeedError {
    let answer = answer.lines().next().unwrap_or_default().to_owned();
    ClickSeedError::Answer { request: request.to_owned(), answer }
}
