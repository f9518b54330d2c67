//! Our own rules on user agents, revision 1. They are part of a rules version: change nothing here
//! without a new revision beside the old.

use crate::click::Device;

/// Every browser names its engine, or is one of the few that never learnt to.
const BROWSER_TOKENS: [&str; 14] = [
    "applewebkit",
    "gecko/",
    "trident/",
    "msie ",
    "presto/",
    "opera/",
    "khtml",
    "goanna/",
    "servo/",
    "ucweb/",
    "lynx/",
    "elinks",
    "links (",
    "w3m/",
];

/// Programs that fetch, preview or test pages, beside what the list knows; in lower case.
const PROGRAM_TOKENS: [&str; 62] = [
    // link previews
    "kakaotalk-scrap",
    "kakaostory-og-reader",
    "facebookexternalhit",
    "facebookcatalog",
    "facebot",
    "meta-externalagent",
    "meta-externalfetcher",
    "line-poker",
    "linespider",
    "naverbot",
    "yeti/",
    "daumoa",
    "whatsapp/",
    "telegrambot",
    "slackbot",
    "slack-imgproxy",
    "discordbot",
    "twitterbot",
    "linkedinbot",
    "skypeuripreview",
    "snap url preview",
    "pinterestbot",
    "bytespider",
    "tiktokspider",
    "embedly",
    "google-inspectiontool",
    // HTTP libraries
    "okhttp",
    "dart/",
    "dart:io",
    "python-requests",
    "python-urllib",
    "python/",
    "aiohttp",
    "httpx/",
    "curl/",
    "wget/",
    "go-http-client",
    "axios/",
    "node-fetch",
    "undici",
    "got (",
    "libwww-perl",
    "apache-httpclient",
    "jakarta commons",
    "java/",
    "guzzlehttp",
    "faraday",
    "rest-client/",
    "httpie/",
    "postmanruntime",
    "insomnia/",
    "reqwest/",
    "hyper/",
    "cfnetwork",
    "winhttp",
    "scrapy",
    // browsers without a person
    "headlesschrome",
    "phantomjs",
    "puppeteer",
    "playwright",
    "selenium",
    "lighthouse",
];

/// In-app browsers of messengers and networks: people, whatever a pattern says.
const IN_APP_TOKENS: [&str; 18] = [
    "kakaotalk/",
    "kakaotalk ",
    "kakaostory/",
    "naver(inapp",
    "daumapps/",
    "instagram ",
    "fban/",
    "fbav/",
    "fb_iab/",
    "barcelona ",
    " line/",
    "band/",
    "tiktok",
    "musical_ly",
    "trill_",
    "bytedancewebview",
    "snapchat/",
    "micromessenger/",
];

/// What a crawler that names an app says of itself all the same.
const SELF_DECLARED_TOKENS: [&str; 8] =
    ["+http", "crawler", "spider", "bot/", "bot;", "bot)", "-scrap", "externalhit"];

/// A user agent, read once.
pub(super) struct Agent {
    lower: String,
}

impl Agent {
    pub(super) fn new(user_agent: &str) -> Self {
        Self { lower: user_agent.trim().to_ascii_lowercase() }
    }

    /// Empty, no browser, or a program by name.
    pub(super) fn is_program(&self) -> bool {
        self.lower.is_empty() || !self.has_any(&BROWSER_TOKENS) || self.has_any(&PROGRAM_TOKENS)
    }

    /// A person inside a messenger or network.
    pub(super) fn is_in_app_browser(&self) -> bool {
        self.has_any(&IN_APP_TOKENS) && !self.has_any(&SELF_DECLARED_TOKENS)
    }

    /// The order matters: tablets name their phone's system, phones that of a computer.
    pub(super) fn device(&self) -> Device {
        let android = self.has("android");
        if self.has_any(&["smart-tv", "smarttv", "googletv", "appletv", "hbbtv", "web0s", "aftt", "crkey"]) {
            Device::Other
        } else if self.has_any(&["ipad", "tablet", "playbook", "kindle", "silk/"])
            || (android && !self.has("mobile"))
        {
            Device::Tablet
        } else if android
            || self.has_any(&[
                "iphone",
                "ipod",
                "mobile",
                "windows phone",
                "opera mini",
                "blackberry",
                "tizen",
            ])
        {
            Device::Mobile
        } else if self.has_any(&["windows nt", "macintosh", "x11;", "cros ", "linux x86_64"]) {
            Device::Desktop
        } else {
            Device::Other
        }
    }

    fn has(&self, token: &str) -> bool {
        self.lower.contains(token)
    }

    fn has_any(&self, tokens: &[&str]) -> bool {
        tokens.iter().any(|token| self.has(token))
    }
}
