//! User agents as the field sends them.

/// A desktop browser.
pub(crate) const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
    (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
/// A phone's browser.
pub(crate) const SAFARI_PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) \
    AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";

/// Browsers inside other apps: people.
pub(crate) const IN_APP_BROWSERS: [(&str, &str); 4] = [
    (
        "KakaoTalk",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
         Mobile/15E148 KAKAOTALK 10.8.2",
    ),
    (
        "Naver",
        "Mozilla/5.0 (Linux; Android 14; SM-S928N Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, \
         like Gecko) Version/4.0 Chrome/124.0.6367.82 Mobile Safari/537.36 NAVER(inapp; search; 2000; 12.5.1)",
    ),
    (
        "Instagram",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
         Mobile/15E148 Instagram 334.0.4.32.98 (iPhone15,2; iOS 17_5; ko_KR; ko; scale=3.00; 1179x2556; 600000000)",
    ),
    (
        "Facebook",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
         Mobile/15E148 [FBAN/FBIOS;FBAV/466.0.0.40.104;FBBV/602000000;FBDV/iPhone15,2;FBMD/iPhone;FBSN/iOS;\
         FBSV/17.5;FBSS/3;FBCR/;FBID/phone;FBLC/ko_KR;FBOP/80]",
    ),
];

/// Crawlers, link previews and HTTP libraries.
pub(crate) const BOTS: [(&str, &str); 5] = [
    ("Googlebot", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    (
        "KakaoTalk's preview",
        "facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984",
    ),
    ("Yeti", "Mozilla/5.0 (compatible; Yeti/1.1; +https://naver.me/spd)"),
    ("curl", "curl/8.9.1"),
    ("no agent", ""),
];

/// The n-th of many different browsers.
pub(crate) fn browser(number: usize) -> String {
    format!(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/131.0.{number}.0 Safari/537.36"
    )
}
