//! The mails that an admin's decisions bring about.

use crate::mail::Mail;

/// What became of an application.
pub(super) fn decision(to: &str, nickname: &str, approved: bool, reason: Option<&str>) -> Mail {
    let (subject, what) = if approved {
        (
            "[공구모아] 인플루언서 심사가 승인되었습니다",
            "인플루언서 심사가 승인되었습니다. 이제 공구를 등록하실 수 있습니다.",
        )
    } else {
        (
            "[공구모아] 인플루언서 심사 결과를 알려 드립니다",
            "이번 심사에서는 승인되지 않았습니다. 내용을 보완하여 다시 신청하실 수 있습니다.",
        )
    };
    let reason = reason.map(|reason| format!("\n사유: {reason}\n")).unwrap_or_default();
    Mail {
        to: to.to_owned(),
        subject: subject.to_owned(),
        text: format!("{nickname}님, 안녕하세요.\n\n{what}\n{reason}"),
        html: None,
    }
}
