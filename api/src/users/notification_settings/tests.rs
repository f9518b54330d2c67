#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

fn push(settings: &[(&str, bool)]) -> NotificationSettingsUpdate {
    let settings: serde_json::Map<_, _> =
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
    serde_json::from_value(serde_json::json!({ "push": settings })).unwrap()
}

#[test]
fn consents_keep_their_time_and_night_needs_day() {
    let (first, second) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + chrono::Duration::days(1));
    let none = NotificationSettingsResponse::default();
    assert!(none.push.service && !none.push.ad && !none.email.ad_night);
    assert!(changed(&none, push(&[("ad_night", true)]), first).is_err());

    let day = changed(&none, push(&[("ad", true)]), first).unwrap();
    assert_eq!(day.push.ad_consented_at, Some(first));
    let both = changed(&day, push(&[("ad", true), ("ad_night", true)]), second).unwrap();
    assert_eq!((both.push.ad_consented_at, both.push.ad_night_consented_at), (Some(first), Some(second)));
    let neither = changed(&both, push(&[("ad", false)]), second).unwrap();
    assert_eq!(neither.push, ChannelSettings::default(), "without the day there is no night");
    assert_eq!(neither.email, none.email);
}
