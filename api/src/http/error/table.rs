//! The table: what each error is to a client, and when it may come back.

use super::ApiError;
use http::StatusCode;

impl ApiError {
    /// The table.
    pub(super) fn entry(&self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::Malformed => (S::BAD_REQUEST, "MALFORMED_REQUEST", "요청 형식이 올바르지 않습니다"),
            Self::MalformedJson { .. } => {
                (S::BAD_REQUEST, "MALFORMED_REQUEST", "요청 본문이 올바른 JSON이 아닙니다")
            }
            Self::DuplicateKey(_) => {
                (S::BAD_REQUEST, "DUPLICATE_KEY", "요청 본문에 같은 키가 두 번 있습니다")
            }
            Self::Unauthorized => (S::UNAUTHORIZED, "UNAUTHORIZED", "로그인이 필요합니다"),
            Self::InvalidCredentials => {
                (S::UNAUTHORIZED, "INVALID_CREDENTIALS", "이메일 또는 비밀번호가 올바르지 않습니다")
            }
            Self::TokenReused => {
                (S::UNAUTHORIZED, "TOKEN_REUSED", "이미 사용된 토큰입니다. 다시 로그인해 주세요")
            }
            Self::TokenRotated => (S::CONFLICT, "TOKEN_ROTATED", "토큰이 방금 갱신되었습니다"),
            Self::EmailTaken => (S::CONFLICT, "EMAIL_TAKEN", "이미 사용 중인 이메일입니다"),
            Self::InvalidCode => {
                (S::UNPROCESSABLE_ENTITY, "INVALID_CODE", "코드가 올바르지 않거나 만료되었습니다")
            }
            Self::Forbidden => (S::FORBIDDEN, "FORBIDDEN", "권한이 없습니다"),
            Self::AccountSuspended => (S::FORBIDDEN, "ACCOUNT_SUSPENDED", "이용이 정지된 계정입니다"),
            Self::RouteNotFound => (S::NOT_FOUND, "ROUTE_NOT_FOUND", "요청한 주소를 찾을 수 없습니다"),
            Self::GongguNotFound => (S::NOT_FOUND, "GONGGU_NOT_FOUND", "공구를 찾을 수 없습니다"),
            Self::InfluencerNotFound => {
                (S::NOT_FOUND, "INFLUENCER_NOT_FOUND", "인플루언서를 찾을 수 없습니다")
            }
            Self::UserNotFound => (S::NOT_FOUND, "USER_NOT_FOUND", "회원을 찾을 수 없습니다"),
            Self::CategoryNotFound => (S::NOT_FOUND, "CATEGORY_NOT_FOUND", "카테고리를 찾을 수 없습니다"),
            Self::CouponNotFound => (S::NOT_FOUND, "COUPON_NOT_FOUND", "쿠폰을 찾을 수 없습니다"),
            Self::BannerNotFound => (S::NOT_FOUND, "BANNER_NOT_FOUND", "배너를 찾을 수 없습니다"),
            Self::AlreadyInfluencer => {
                (S::CONFLICT, "ALREADY_INFLUENCER", "이미 인플루언서로 등록되어 있습니다")
            }
            Self::ApplicationPending => {
                (S::CONFLICT, "APPLICATION_PENDING", "이미 심사 중인 신청이 있습니다")
            }
            Self::ApplicationNotPending => {
                (S::CONFLICT, "APPLICATION_NOT_PENDING", "심사를 기다리는 신청이 없습니다")
            }
            Self::SelfSubscription => (S::CONFLICT, "SELF_SUBSCRIPTION", "자기 자신은 구독할 수 없습니다"),
            Self::SubscriptionNotFound => {
                (S::NOT_FOUND, "SUBSCRIPTION_NOT_FOUND", "구독하고 있지 않은 인플루언서입니다")
            }
            Self::ReviewNotFound => (S::NOT_FOUND, "REVIEW_NOT_FOUND", "후기를 찾을 수 없습니다"),
            Self::ReviewExists => (S::CONFLICT, "REVIEW_EXISTS", "이미 후기를 작성한 공구입니다"),
            Self::GongguNotOpened => {
                (S::CONFLICT, "GONGGU_NOT_OPENED", "아직 오픈하지 않은 공구에는 후기를 쓸 수 없습니다")
            }
            Self::GongguAlreadyOpen => {
                (S::CONFLICT, "GONGGU_ALREADY_OPEN", "이미 오픈했거나 마감된 공구입니다")
            }
            Self::MethodNotAllowed => {
                (S::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "허용되지 않은 요청 방식입니다")
            }
            Self::GongguNotActive => (S::CONFLICT, "GONGGU_NOT_ACTIVE", "진행 중인 공구가 아닙니다"),
            Self::CategoryNameTaken => {
                (S::CONFLICT, "CATEGORY_NAME_TAKEN", "같은 위치에 같은 이름의 카테고리가 있습니다")
            }
            Self::CategoryInUse => {
                (S::CONFLICT, "CATEGORY_IN_USE", "하위 카테고리나 공구가 있어 삭제할 수 없습니다")
            }
            Self::CouponCodeTaken => (S::CONFLICT, "COUPON_CODE_TAKEN", "이미 사용 중인 쿠폰 코드입니다"),
            Self::CouponNotActive => (S::CONFLICT, "COUPON_NOT_ACTIVE", "지금은 사용할 수 없는 쿠폰입니다"),
            Self::CouponExhausted => (S::CONFLICT, "COUPON_EXHAUSTED", "쿠폰이 모두 소진되었습니다"),
            Self::CouponAlreadyRedeemed => (S::CONFLICT, "COUPON_ALREADY_REDEEMED", "이미 사용한 쿠폰입니다"),
            Self::PointsInsufficient => (S::CONFLICT, "POINTS_INSUFFICIENT", "포인트가 부족합니다"),
            Self::OwnAccount => (S::CONFLICT, "OWN_ACCOUNT", "자신의 계정은 변경할 수 없습니다"),
            Self::LastAdmin => (S::CONFLICT, "LAST_ADMIN", "마지막 관리자는 탈퇴할 수 없습니다"),
            Self::IdempotencyInProgress => {
                (S::CONFLICT, "IDEMPOTENCY_IN_PROGRESS", "같은 요청을 처리하고 있습니다")
            }
            Self::IdempotencyKeyReused => (
                S::UNPROCESSABLE_ENTITY,
                "IDEMPOTENCY_KEY_REUSED",
                "같은 Idempotency-Key로 다른 내용의 요청이 있었습니다",
            ),
            Self::PayloadTooLarge => (S::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", "요청 본문이 너무 큽니다"),
            Self::UnsupportedMediaType => {
                (S::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", "application/json 형식으로 보내 주세요")
            }
            Self::Validation(_) => (S::UNPROCESSABLE_ENTITY, "VALIDATION_ERROR", "입력값을 확인해 주세요"),
            Self::TooManyCategories => {
                (S::UNPROCESSABLE_ENTITY, "TOO_MANY_CATEGORIES", "카테고리는 최대 2개까지 선택할 수 있습니다")
            }
            Self::TooManyDays => (
                S::UNPROCESSABLE_ENTITY,
                "RANGE_TOO_LARGE",
                "조회 기간이 너무 깁니다. 한 번에 62일까지 조회할 수 있습니다",
            ),
            Self::RangeTooLarge { .. } => (
                S::UNPROCESSABLE_ENTITY,
                "RANGE_TOO_LARGE",
                "조회 기간이 너무 깁니다. 간격을 늘리거나 기간을 줄여 주세요",
            ),
            Self::RateLimited { .. } => {
                (S::TOO_MANY_REQUESTS, "RATE_LIMITED", "요청이 너무 많습니다. 잠시 후 다시 시도해 주세요")
            }
            Self::Social(error) => error.entry(),
            Self::ClickNotRecorded => (
                S::SERVICE_UNAVAILABLE,
                "CLICK_NOT_RECORDED",
                "클릭을 기록할 수 없습니다. 잠시 후 다시 시도해 주세요",
            ),
            Self::Unavailable => (
                S::SERVICE_UNAVAILABLE,
                "SERVICE_UNAVAILABLE",
                "일시적으로 이용할 수 없습니다. 잠시 후 다시 시도해 주세요",
            ),
            Self::TimedOut => (
                S::SERVICE_UNAVAILABLE,
                "TIMED_OUT",
                "처리 시간이 초과되었습니다. 잠시 후 다시 시도해 주세요",
            ),
            Self::Internal(_) => (S::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "서버 오류가 발생했습니다"),
        }
    }

    pub(super) fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::RateLimited { retry_after_seconds } => Some((*retry_after_seconds).max(1)),
            Self::ClickNotRecorded
            | Self::Unavailable
            | Self::TimedOut
            | Self::TokenRotated
            | Self::IdempotencyInProgress => Some(1),
            Self::Social(error) => error.retry_after_seconds(),
            Self::Malformed
            | Self::MalformedJson { .. }
            | Self::DuplicateKey(_)
            | Self::Unauthorized
            | Self::InvalidCredentials
            | Self::TokenReused
            | Self::EmailTaken
            | Self::InvalidCode
            | Self::Forbidden
            | Self::AccountSuspended
            | Self::RouteNotFound
            | Self::GongguNotFound
            | Self::InfluencerNotFound
            | Self::UserNotFound
            | Self::CategoryNotFound
            | Self::CouponNotFound
            | Self::BannerNotFound
            | Self::CategoryNameTaken
            | Self::CategoryInUse
            | Self::CouponCodeTaken
            | Self::CouponNotActive
            | Self::CouponExhausted
            | Self::CouponAlreadyRedeemed
            | Self::PointsInsufficient
            | Self::OwnAccount
            | Self::LastAdmin
            | Self::IdempotencyKeyReused
            | Self::AlreadyInfluencer
            | Self::ApplicationPending
            | Self::ApplicationNotPending
            | Self::SelfSubscription
            | Self::SubscriptionNotFound
            | Self::ReviewNotFound
            | Self::ReviewExists
            | Self::GongguAlreadyOpen
            | Self::GongguNotOpened
            | Self::MethodNotAllowed
            | Self::GongguNotActive
            | Self::PayloadTooLarge
            | Self::UnsupportedMediaType
            | Self::Validation(_)
            | Self::TooManyCategories
            | Self::TooManyDays
            | Self::RangeTooLarge { .. }
            | Self::Internal(_) => None,
        }
    }
}
