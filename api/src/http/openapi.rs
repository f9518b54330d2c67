//! All routes, and their description made from them.

use crate::app::App;
use crate::http::{contract, middleware};
use crate::{admin, auth, banners, calendar, categories, coupons, gonggus, influencers, points, reviews};
use crate::{subscriptions, tracking, users};
use axum::{Json, Router};
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
        (name = "tracking", description = "클릭 기록과 통계"),
        (name = "gonggus", description = "공구"),
        (name = "categories", description = "카테고리"),
        (name = "influencers", description = "인플루언서"),
        (name = "subscriptions", description = "구독"),
        (name = "calendar", description = "캘린더"),
        (name = "reviews", description = "후기"),
        (name = "auth", description = "로그인"),
        (name = "users", description = "회원"),
        (name = "points", description = "포인트"),
        (name = "coupons", description = "쿠폰"),
        (name = "banners", description = "배너"),
        (name = "admin", description = "관리자"),
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
fn api() -> (Router<App>, utoipa::openapi::OpenApi) {
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
    (router, document)
}

/// The description alone.
pub fn document() -> utoipa::openapi::OpenApi {
    api().1
}

/// Everything that is served; `more` (health, say) stands at the root.
pub fn router(app: &App, more: Router<App>) -> Router {
    let (api, documented) = api();
    let docs = SwaggerUi::new("/docs").config(Config::new([DOCUMENT]).use_base_layout());
    api.merge(more)
        .merge(docs)
        .route("/go/{gonggu_id}", axum::routing::get(tracking::routes::go))
        .route(DOCUMENT, axum::routing::get(move || std::future::ready(Json(documented.clone()))))
        .fallback(middleware::no_route)
        .method_not_allowed_fallback(middleware::no_method)
        .layer(middleware::cors(&app.settings.cors_origins))
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::envelope))
        .with_state(app.clone())
}

#[cfg(test)]
mod tests;
