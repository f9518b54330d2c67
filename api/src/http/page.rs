//! Pages of lists: `?page=1&size=20&sort=created_at&order=desc`.

use crate::http::check::Checks;
use crate::http::error::ApiError;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// The largest page; larger ones would make one request cost as much as many.
pub const SIZE_MAX: i64 = 100;
/// The last page that can be asked for: what lies behind it is not browsed but searched.
pub const PAGE_MAX: i64 = 10_000;

/// Direction of a sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Smallest first.
    Asc,
    /// Largest first.
    #[default]
    Desc,
}

/// Which page, and in which order.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// From 1.
    pub page: Option<i64>,
    /// 1 to 100; 20 by default.
    pub size: Option<i64>,
    /// The column to sort by.
    pub sort: Option<String>,
    /// `asc` or `desc` (default).
    #[param(inline)]
    pub order: Option<Order>,
}

/// A page that has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest<S> {
    /// From 1.
    pub page: i64,
    /// 1 to [`SIZE_MAX`].
    pub size: i64,
    /// The sort.
    pub sort: S,
    /// Its direction.
    pub order: Order,
}

impl<S> PageRequest<S> {
    /// Rows before this page.
    pub fn offset(&self) -> i64 {
        (self.page - 1) * self.size
    }

    /// How many pages `total` rows make.
    pub fn pages(&self, total: i64) -> i64 {
        (total + self.size - 1) / self.size
    }
}

impl PageQuery {
    /// Checks the page; `sort_of` knows the sorts there are, `None` asks for the default.
    pub fn check<S>(&self, sort_of: impl Fn(Option<&str>) -> Option<S>) -> Result<PageRequest<S>, ApiError> {
        let mut checks = Checks::new();
        let page = self.page.unwrap_or(1);
        let size = self.size.unwrap_or(20);
        checks.ensure((1..=PAGE_MAX).contains(&page), "page", "1 이상 10000 이하여야 합니다");
        checks.ensure((1..=SIZE_MAX).contains(&size), "size", "1 이상 100 이하여야 합니다");
        let sort = sort_of(self.sort.as_deref());
        checks.ensure(sort.is_some(), "sort", "지원하지 않는 정렬 기준입니다");
        match sort {
            Some(sort) => {
                checks.finish()?;
                Ok(PageRequest { page, size, sort, order: self.order.unwrap_or_default() })
            }
            None => Err(checks.finish().err().unwrap_or(ApiError::Malformed)),
        }
    }
}
