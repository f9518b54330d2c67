//! The mails of accounts.
//!
//! With a `FRONTEND_URL` they hold a link to it, with the code behind the `#`: what stands there is sent to no
//! server and gets into no log. Without one they hold the code alone.

use crate::mail::Mail;
use url::Url;

/// Welcome: proves the address.
pub(super) fn verification(to: &str, code: &str, frontend_url: Option<&Url>) -> Mail {
    let how = match frontend_url {
        Some(url) => {
            format!(
                "아래 주소를 열어 주세요. 가입한 계정으로 로그인되어 있으면 인증이 바로 끝나고, 아니면 비밀번호를 한 번 \
                 확인합니다.\n\n{}",
                link(url, "email/verify", code)
            )
        }
        None => format!("로그인한 상태에서, 또는 비밀번호와 함께 아래 인증 코드를 입력해 주세요.\n\n{code}"),
    };
    Mail {
        to: to.to_owned(),
        subject: "[공구모아] 이메일을 인증해 주세요".to_owned(),
        text: format!(
            "공구모아에 가입해 주셔서 감사합니다.\n\n{how}\n\n24시간 동안 한 번만 사용할 수 있습니다.\n\
             가입하신 적이 없다면 이 메일을 무시해 주세요. 이 코드만으로는 누구의 가입도 완료되지 않습니다.\n"
        ),
        html: None,
    }
}

/// A new password.
pub(super) fn password_reset(to: &str, code: &str, frontend_url: Option<&Url>) -> Mail {
    let how = match frontend_url {
        Some(url) => {
            format!("아래 주소에서 새 비밀번호를 정해 주세요.\n\n{}", link(url, "password/reset", code))
        }
        None => format!("아래 코드로 새 비밀번호를 정해 주세요.\n\n{code}"),
    };
    Mail {
        to: to.to_owned(),
        subject: "[공구모아] 비밀번호를 다시 정해 주세요".to_owned(),
        text: format!(
            "비밀번호 재설정을 요청하셨습니다.\n\n{how}\n\n1시간 동안 한 번만 사용할 수 있습니다.\n\
             요청하신 적이 없다면 이 메일을 무시해 주세요. 비밀번호는 바뀌지 않습니다.\n"
        ),
        html: None,
    }
}

fn link(frontend_url: &Url, page: &str, code: &str) -> String {
    format!("{}/{page}#code={code}", frontend_url.as_str().trim_end_matches('/'))
}
