//! All routes, and their description made from them.

mod examples;
mod limits;
mod refine;

use crate::app::App;
use crate::http::{contract, middleware};
use crate::{admin, auth, banners, calendar, categories, coupons, gonggus, influencers, points, reviews};
use crate::{subscriptions, tracking, users};
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

const DOCUMENT: &str = "/api/v1/openapi.json";

/// The operations that need no sign-in, by method and path below [`BASE`]. Every other one names the role that
/// it needs (`x-required-role`) and takes the extractor of it; a test holds the document to this list.
pub const PUBLIC: &[(&str, &str)] = &[
    ("post", "/auth/email/verify"),
    ("post", "/auth/login"),
    ("post", "/auth/logout"),
    ("post", "/auth/password/forgot"),
    ("post", "/auth/password/reset"),
    ("post", "/auth/refresh"),
    ("post", "/auth/signup"),
    ("get", "/auth/social/apple/callback"),
    ("post", "/auth/social/apple/callback"),
    ("post", "/auth/social/{provider}"),
    ("get", "/auth/social/{provider}/authorize"),
    ("get", "/auth/social/{provider}/callback"),
    ("get", "/banners"),
    ("get", "/calendar"),
    ("get", "/categories"),
    ("get", "/gonggus"),
    ("get", "/gonggus/active"),
    ("get", "/gonggus/closing-soon"),
    ("get", "/gonggus/upcoming"),
    ("get", "/gonggus/{id}"),
    ("get", "/gonggus/{id}/reviews"),
    ("get", "/influencers"),
    ("get", "/influencers/{id}"),
    ("get", "/go/{gonggu_id}"),
    ("post", "/tracking/click"),
];

/// Where the API stands.
pub const BASE: &str = "/api/v1";

/// What `x-required-role` may say, from the least: anybody signed in (`user` and `buyer` are the same right),
/// a verified influencer, the owner of what the path names (or an admin), an admin.
pub const ROLES: &[&str] = &["user", "buyer", "influencer", "owner", "admin"];

/// The document's head.
#[derive(OpenApi)]
#[openapi(
    info(title = "공구모아 API", description = "인플루언서 공동구매 추적 API", license(name = "Apache-2.0")),
    tags(
        (name = "tracking", description = "클릭 기록과 통계: 공유 링크(`/go`), 수치, 증빙"),
        (name = "gonggus", description = "공구 목록과 상세, 등록과 수정, 찜과 오픈 알림"),
        (name = "categories", description = "카테고리 트리와 관리"),
        (name = "influencers", description = "인플루언서 프로필, 신청, 통계"),
        (name = "subscriptions", description = "구독과 피드"),
        (name = "calendar", description = "서울 날짜별 오픈과 마감"),
        (name = "reviews", description = "공구 후기와 평점"),
        (name = "auth", description = "가입, 로그인, 토큰 갱신, 비밀번호 재설정, 소셜 로그인"),
        (name = "users", description = "내 계정: 프로필, 기기, 알림 설정, 연결된 소셜 계정"),
        (name = "points", description = "포인트 잔액과 내역"),
        (name = "coupons", description = "쿠폰 사용과 관리"),
        (name = "banners", description = "배너 표시와 관리"),
        (name = "admin", description = "회원, 인플루언서 심사, 감사 기록"),
    ),
    modifiers(&Schemes)
)]
struct Head;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::new(crate::http::auth::ACCESS_COOKIE));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    }
}

/// The API's routes under `/api/v1` with their description.
fn api() -> (Router<App>, Value) {
    let routes = OpenApiRouter::new()
        .merge(auth::routes::router())
        .merge(auth::social::routes::router())
        .merge(users::routes::router())
        .merge(categories::routes::router())
        .merge(categories::admin_routes::router())
        .merge(gonggus::routes::router())
        .merge(gonggus::marks::routes::router())
        .merge(influencers::routes::router())
        .merge(subscriptions::routes::router())
        .merge(calendar::routes::router())
        .merge(reviews::routes::router())
        .merge(tracking::routes::router())
        .merge(points::routes::router())
        .merge(coupons::routes::router())
        .merge(coupons::admin_routes::router())
        .merge(banners::routes::router())
        .merge(banners::admin_routes::router())
        .merge(admin::routes::router());
    let (router, mut document) =
        OpenApiRouter::with_openapi(Head::openapi()).nest(BASE, routes).split_for_parts();
    contract::complete(&mut document);
    // plain text and numbers: it cannot but be written
    let mut document = serde_json::to_value(document).unwrap_or_default();
    refine::refine(&mut document);
    (router, document)
}

/// The description alone.
pub fn document() -> Value {
    api().1
}

/// The pages under `/docs` load nothing from anywhere else, whatever a later version of them would like to.
async fn only_our_own(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                          frame-ancestors 'none'; base-uri 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// Everything that is served; `more` (health, say) stands at the root.
pub fn router(app: &App, more: Router<App>) -> Router {
    let (api, documented) = api();
    // the validator is somebody else's server, which would be told of every visit
    let config = Config::new([DOCUMENT]).use_base_layout().validator_url("none");
    let docs = Router::from(SwaggerUi::new("/docs").config(config))
        .layer(axum::middleware::map_response(only_our_own));
    api.merge(more)
        .merge(docs)
        // a page for people, like those it leads to: not part of the described API
        .route("/", axum::routing::get((StatusCode::FOUND, [(header::LOCATION, "/docs")])))
        .route("/go/{gonggu_id}", axum::routing::get(tracking::routes::go))
        .route(DOCUMENT, axum::routing::get(move || std::future::ready(Json(documented.clone()))))
        .fallback(middleware::no_route)
        .method_not_allowed_fallback(middleware::no_method)
        // JSON bodies have this bound of their own; forms would get the library's, which is larger
        .layer(DefaultBodyLimit::max(app.settings.body_max_bytes))
        .layer(middleware::cors(&app.settings.cors_origins))
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::envelope))
        .with_state(app.clone())
}

#[cfg(test)]
mod tests;
