//! What the HTTP side can be told. Plain values: where they come from is the configuration's matter.

use crate::auth::limits::LimitSettings;
use crate::auth::social::settings::SocialSettings;
use ipnet::IpNet;
use std::time::Duration;
use url::Url;

/// Which part of the paths a process answers; `/health` every one does. Another part's path is none here (404):
/// whoever stands in front sends each to where it belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Served {
    /// `/go` and `/tracking/click`.
    pub clicks: bool,
    /// Everything else.
    pub api: bool,
}

impl Served {
    /// One process for all.
    pub const ALL: Self = Self { clicks: true, api: true };
}

/// Settings of the HTTP side, checked by whoever made them.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// What is answered here.
    pub served: Served,
    /// Origins (`https://shop.example`) that get credentials and count as ours.
    pub cors_origins: Vec<String>,
    /// The origins under which this server itself is reached; ours as well.
    pub own_origins: Vec<String>,
    /// Where people see pages; a click on a gonggu that is not open goes there. Unset: 409.
    pub frontend_url: Option<Url>,
    /// Proxies whose `X-Forwarded-For` is believed. None by default: anybody may write that header.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether cookies are `Secure`; off only on loopback without a public address, where there is no TLS.
    pub cookie_secure: bool,
    /// Life of an access token. 30 min: it cannot be taken back at the edge, so it must be short.
    pub access_token_minutes: u32,
    /// Life of a refresh token, from the last rotation.
    pub refresh_token_days: u32,
    /// Life of a family of refresh tokens, from the login, whatever is rotated.
    pub refresh_family_days: u32,
    /// bcrypt's cost; 12 (about 270 ms) is the least that production may use.
    pub bcrypt_cost: u32,
    /// Passwords checked at once. Each takes a core for its 270 ms, and redirects need cores too.
    pub password_checks_max: usize,
    /// How often somebody may try; see `auth::limits` for why so.
    pub limits: LimitSettings,
    /// Sessions that an account has at once; the oldest makes room. 50: every device somebody owns, and some that he
    /// forgot.
    pub sessions_per_account: u32,
    /// Mails with codes of one kind that one address is sent within an hour: more would be pestering its owner.
    pub mails_per_mailbox_per_hour: u32,
    /// Mails of new passwords written at once, in the background of their answers.
    pub reset_mails_max: usize,
    /// Mails of new passwords that wait to be written: some seconds' worth.
    pub reset_mails_waiting_max: usize,
    /// Social sign-in.
    pub social: SocialSettings,
    /// How long a prepared list or detail of the catalog is told to all; 0 keeps none.
    pub catalog_cache_millis: u32,
    /// The largest JSON body taken; the longest legal one (a description) is far below.
    pub body_max_bytes: usize,
    /// How long a handler may take until it answers. Streams are exempt once they have begun.
    pub handler_timeout: Duration,
    /// Open connections; further ones wait in the kernel's queue. Bounds memory at the door.
    pub connections_max: usize,
    /// Of these, how many one client address (IPv6: its /64) may hold; further ones are closed at once. Trusted
    /// proxies are exempt: behind their address stand many. 2,048: a carrier's NAT puts hundreds to some
    /// thousands of people behind one address, of whom in the 75 s that an idle connection stays open only a
    /// part comes here; and an eighth of all, so that one address alone never fills the house.
    pub connections_per_address_max: u32,
    /// A connection that brought no request for this long is closed (slow senders hold nothing).
    pub header_read_timeout: Duration,
    /// A kept-alive connection without a request for this long is closed.
    pub idle_timeout: Duration,
    /// A connection on whose answer the client takes nothing for this long is closed. 60 s: longer than a phone
    /// takes through a tunnel, and what waits holds a place, buffers and perhaps a database session.
    pub write_stall_timeout: Duration,
    /// All headers of a request together; two of 16 KB must fit.
    pub headers_max_bytes: usize,
    /// Least time between two live events.
    pub live_interval: Duration,
    /// Silence on a live stream is broken by a comment this often, so that proxies keep it open.
    pub live_heartbeat: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            served: Served::ALL,
            cors_origins: Vec::new(),
            own_origins: vec!["http://127.0.0.1:8000".to_owned(), "http://localhost:8000".to_owned()],
            frontend_url: None,
            trusted_proxies: Vec::new(),
            cookie_secure: false,
            access_token_minutes: 30,
            refresh_token_days: 7,
            refresh_family_days: 30,
            bcrypt_cost: 12,
            password_checks_max: 2,
            // an office or a school behind one address stays below what is allowed an address
            limits: LimitSettings {
                logins_per_address_per_minute: 60,
                logins_per_account_per_minute: 10,
                logins_per_account_per_hour: 100,
                signups_per_address_per_hour: 30,
                mails_per_address_per_hour: 20,
                codes_per_address_per_minute: 30,
            },
            sessions_per_account: 50,
            mails_per_mailbox_per_hour: 5,
            reset_mails_max: 4,
            reset_mails_waiting_max: 1_000,
            social: SocialSettings::default(),
            catalog_cache_millis: 1_000,
            body_max_bytes: 256 * 1024,
            handler_timeout: Duration::from_secs(30),
            connections_max: 16_384,
            connections_per_address_max: 2_048,
            header_read_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            write_stall_timeout: Duration::from_secs(60),
            headers_max_bytes: 128 * 1024,
            live_interval: Duration::from_secs(1),
            live_heartbeat: Duration::from_secs(15),
        }
    }
}
