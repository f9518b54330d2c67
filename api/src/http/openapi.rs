//! All routes, and their description made from them.

use crate::app::App;
use crate::http::middleware;
use crate::{auth, categories, gonggus, tracking, users};
use axum::{Json, Router};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

const DOCUMENT: &str = "/api/v1/openapi.json";

/// The document's head.
#[derive(OpenApi)]
#[openapi(
    info(title = "공구모아 API", description = "인플루언서 공동구매 추적 API", license(name = "Apache-2.0")),
    tags(
        (name = "tracking", description = "클릭 기록과 통계"),
        (name = "gonggus", description = "공구"),
        (name = "categories", description = "카테고리"),
        (name = "auth", description = "로그인"),
        (name = "users", description = "회원"),
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
        .merge(gonggus::routes::router())
        .merge(tracking::routes::router());
    OpenApiRouter::with_openapi(Head::openapi()).nest("/api/v1", routes).split_for_parts()
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
