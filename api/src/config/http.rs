//! The HTTP side's settings, and what follows from them together: which origins are ours, whether cookies
//! are `Secure`, and the address to show to people.

use super::reader::{self, Reader};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use url::Url;

/// The HTTP side.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Loopback by default: what is reachable from outside is the operator's decision.
    pub host: IpAddr,
    /// 0 lets the system choose.
    pub port: u16,
    /// The address under which people reach this server. Behind a proxy or a socket of systemd's nobody
    /// else can tell it, and clicks from our own pages would count as somebody else's.
    pub public_url: Option<Url>,
    /// Origins whose pages may call with credentials.
    pub cors_origins: Vec<String>,
    /// The web front end, where visitors of a closed gonggu are sent.
    pub frontend_url: Option<Url>,
    /// Only these may say whom they speak for; nobody by default.
    pub trusted_proxies: Vec<IpNet>,
    /// How long lists and details of the catalog are told again without asking the database; 0: not at all. A
    /// second: openings and closings are told to the second.
    pub catalog_cache_millis: u32,
    /// Connections that one client address may hold; see `http::settings` for the default's reason.
    pub connections_per_address_max: u32,
    /// How long a client may take nothing of its answer.
    pub write_stall_timeout: Duration,
}

impl HttpConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            host: reader.value("API_HOST", IpAddr::V4(Ipv4Addr::LOCALHOST), "127.0.0.1", |text| match text {
                "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                _ => text.parse().map_err(|_| "is not an IP address".to_owned()),
            }),
            port: reader.value("API_PORT", 8000, "8000", reader::whole(0..=u16::MAX)),
            public_url: reader.optional("PUBLIC_URL", "https://gonggu.example.com", reader::site_url),
            cors_origins: reader.value("CORS_ORIGINS", Vec::new(), "https://www.example.com", |text| {
                reader::list(text, reader::origin)
            }),
            frontend_url: reader.optional("FRONTEND_URL", "https://www.example.com", reader::web_url),
            trusted_proxies: reader.value("TRUSTED_PROXIES", Vec::new(), "10.0.0.0/8,192.168.1.5", |text| {
                reader::list(text, reader::network)
            }),
            catalog_cache_millis: reader.value(
                "CATALOG_CACHE_MILLIS",
                1_000,
                "1000",
                reader::whole(0..=10_000),
            ),
            connections_per_address_max: reader.value(
                "CONNECTIONS_PER_ADDRESS_MAX",
                2_048,
                "2048",
                reader::whole(1..=1_000_000),
            ),
            write_stall_timeout: Duration::from_secs(reader.value(
                "WRITE_STALL_SECONDS",
                60,
                "60",
                reader::whole(5..=3_600),
            )),
        }
    }

    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// The origins that are ours besides `cors_origins`, when `port` is the one listened on.
    pub fn own_origins(&self, port: u16) -> Vec<String> {
        let mut origins =
            vec![format!("http://{}", SocketAddr::new(self.host, port)), format!("http://localhost:{port}")];
        if self.host.is_unspecified() {
            origins.push(format!("http://127.0.0.1:{port}"));
        }
        let given = [&self.public_url, &self.frontend_url];
        origins.extend(given.into_iter().flatten().map(|url| url.origin().ascii_serialization()));
        origins
    }

    /// Whether cookies are `Secure`: always, but for a server that only its own machine reaches without TLS.
    pub fn cookie_secure(&self) -> bool {
        let public_over_tls = self.public_url.as_ref().is_some_and(|url| url.scheme() == "https");
        public_over_tls || !self.host.is_loopback()
    }

    /// The address to show to people, without a slash at its end.
    pub fn shown_address(&self) -> String {
        match &self.public_url {
            Some(url) => url.origin().ascii_serialization(),
            None => format!("http://{}", self.address()),
        }
    }
}
