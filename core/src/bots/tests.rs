#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use std::process::Command;
use std::sync::OnceLock;

/// The shipped list, compiled once for all tests: it takes a while without optimisation.
fn matcher() -> &'static BotMatcher {
    static MATCHER: OnceLock<BotMatcher> = OnceLock::new();
    MATCHER.get_or_init(|| {
        let patterns: Vec<String> = shipped_patterns().map(str::to_owned).collect();
        BotMatcher::compile(&patterns, 1).unwrap()
    })
}

const IPHONE: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";
const GALAXY: &str = "Mozilla/5.0 (Linux; Android 14; SM-S928N Build/UP1A; wv) AppleWebKit/537.36 \
    (KHTML, like Gecko) Version/4.0 Chrome/130.0.0.0 Mobile Safari/537.36";

#[test]
fn in_app_browsers_are_people() {
    for (base, app) in [
        (GALAXY, ";KAKAOTALK 2410310"),
        (IPHONE, " Mobile/15E148 KAKAOTALK/10.4.5 (INAPP)"),
        (IPHONE, " Version/16.6 Mobile/15E148 Safari/604.1 NAVER(inapp; search; 2000; 12.2.3; 14PRO)"),
        (IPHONE, " Mobile/15E148 Instagram 302.0.0.23.113 (iPhone14,5; iOS 17_0; ko_KR; ko; scale=3.00)"),
        (GALAXY, " Instagram 309.1.0.41.113 Android (34/14; 450dpi; 1080x2115; samsung; SM-S928N)"),
        (GALAXY, " [FB_IAB/FB4A;FBAV/430.0.0.26.71;]"),
        (IPHONE, " Mobile/15E148 [FBAN/FBIOS;FBAV/430.0;FBBV/1;FBDV/iPhone14,5]"),
        (IPHONE, " Mobile/15E148 Safari Line/13.15.0"),
        (IPHONE, " Mobile/15E148 musical_ly_31.4.0 JsSdk/2.0 NetType/WIFI BytedanceWebview/d8a21c6"),
    ] {
        let facts = matcher().classify(&format!("{base}{app}"));
        assert!(!facts.is_bot, "{app}");
        assert_eq!(facts.device, Device::Mobile, "{app}");
    }
}

#[test]
fn an_in_app_browser_is_a_person_even_if_a_pattern_hits_it() {
    let greedy = BotMatcher::compile(&["KAKAOTALK".to_owned(), "Instagram".to_owned()], 1).unwrap();
    assert!(!greedy.classify(&format!("{GALAXY};KAKAOTALK 2410310")).is_bot);
    assert!(
        greedy.classify("Mozilla/5.0 AppleWebKit/537.36 (compatible; Instagram bot/1; +https://x.y)").is_bot
    );
}

#[test]
fn link_previews_crawlers_and_libraries_are_not() {
    for agent in [
        "facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984",
        "kakaotalk-scrap/1.0",
        "Mozilla/5.0 (compatible; kakaotalk-scrap/1.0) AppleWebKit/537.36 KAKAOTALK/10",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130 Mobile \
         Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; Yeti/1.1; +http://naver.me/spd)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120 Safari/537.36",
        "curl/8.5.0",
        "Wget/1.21",
        "python-requests/2.32",
        "Python-urllib/3.11",
        "aiohttp/3.9",
        "Go-http-client/2.0",
        "okhttp/4.12.0",
        "Dart/3.2 (dart:io)",
        "axios/1.6.0",
        "node-fetch/1.0",
        "Java/17.0.1",
        "WhatsApp/2.23.20",
        "MyApp/1 CFNetwork/1408.0.4 Darwin/22.5.0",
        "Dalvik/2.1.0 (Linux; U; Android 13)",
        "PostmanRuntime/7.36",
    ] {
        assert!(matcher().classify(agent).is_bot, "{agent}");
    }
}

#[test]
fn empty_and_non_browser_agents_are_bots() {
    for agent in ["", "   ", "-", "Mozilla/5.0", "Mozilla/4.0 (compatible;)", "공구모아", "x"] {
        assert!(matcher().classify(agent).is_bot, "{agent:?}");
    }
}

#[test]
fn browsers_are_people_on_their_devices() {
    use Device::{Desktop, Mobile, Other, Tablet};
    let chrome = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0";
    for (agent, device) in [
        (format!("{IPHONE} Version/17.0 Mobile/15E148 Safari/604.1"), Mobile),
        (format!("Mozilla/5.0 (Linux; Android 10; K) {chrome} Mobile Safari/537.36"), Mobile),
        (format!("Mozilla/5.0 (Linux; Android 9; CUBOT_P20) {chrome} Mobile Safari/537.36"), Mobile),
        (format!("Mozilla/5.0 (Linux; Android 13; SM-X700) {chrome} Safari/537.36"), Tablet),
        (format!("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {chrome} Mobile/15E148"), Tablet),
        (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {chrome} Safari/537.36 Edg/130.0"), Desktop),
        (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {chrome} Whale/4.28 Safari/537.36"), Desktop),
        (format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {chrome} Safari/537.36"), Desktop),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0".to_owned(), Desktop),
        ("Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko".to_owned(), Desktop),
        (format!("Mozilla/5.0 (Web0S; Linux/SmartTV) {chrome} Safari/537.36"), Other),
    ] {
        let facts = matcher().classify(&agent);
        assert_eq!((facts.is_bot, facts.device), (false, device), "{agent}");
    }
}

#[test]
fn the_memory_is_bounded_and_changes_no_answer() {
    let matcher = BotMatcher::compile(&["Sneaky".to_owned()], 1).unwrap();
    for round in 0..2 {
        for number in 0..REMEMBERED_MAX + 10 {
            let name = if number % 2 == 0 { "Sneaky" } else { "Safari" };
            let agent = format!("Mozilla/5.0 AppleWebKit/{number} {name}");
            let facts = matcher.classify(&agent);
            assert_eq!(facts.is_bot, number % 2 == 0, "round {round}, {agent}");
            if number % 1_000 == 0 {
                assert_eq!(facts, matcher.classify_anew(&agent));
                assert!(matcher.remembered.pin().len() <= REMEMBERED_MAX);
            }
        }
    }
    let long = format!("Mozilla/5.0 AppleWebKit/{}", "9".repeat(REMEMBERED_BYTES_MAX));
    assert!(!matcher.classify(&long).is_bot);
    assert!(matcher.remembered.pin().get(long.as_str()).is_none());
}

#[test]
fn a_bad_pattern_is_named() {
    let error = BotMatcher::compile(&["fine".to_owned(), "a)|(b".to_owned()], 1).unwrap_err();
    assert_eq!(error.to_string(), "crawler pattern \"a)|(b\"");
    assert!(matches!(BotMatcher::compile(&[], 2), Err(BotMatcherError::UnknownRevision(2))));
}

/// The shipped file is what the script makes of the package version that it names. Without a way to
/// the package this says so and passes, except where a miss would go unseen (`CI=true`).
#[test]
fn the_shipped_list_equals_the_package() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bots/update.sh");
    let (name, version) = shipped_source().split_once(' ').unwrap();
    assert_eq!(name, "crawler-user-agents");
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("crawlers.txt");
    let made = Command::new("sh").arg(script).arg(version).arg(&target).output();
    let problem = match &made {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(problem) = problem {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "the package cannot be had: {problem}");
        eprintln!("skipped: the package cannot be had: {problem}");
        return;
    }
    assert_eq!(std::fs::read_to_string(target).unwrap(), BOT_PATTERNS);
}
