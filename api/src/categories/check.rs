//! What a category must be by itself; its place in the tree is the database's to say.

use crate::admin::input;
use crate::categories::types::CategoryCreate;
use crate::http::check::Checks;
use crate::http::error::ApiError;
use uuid::Uuid;

/// A category that may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedCategory {
    /// Its parent, if it has one.
    pub parent_id: Option<Uuid>,
    /// Its name, NFC.
    pub name: String,
    /// Address of its icon.
    pub icon: Option<String>,
    /// Its place among its siblings.
    pub sort_order: i32,
}

/// Checks a category, new or changed.
pub fn check(body: CategoryCreate) -> Result<CheckedCategory, ApiError> {
    let mut checks = Checks::new();
    let name = input::text(&mut checks, body.name, "name", 1..=50);
    let icon = input::picture(&mut checks, body.icon, "icon");
    let sort_order = body.sort_order.or(Some(0));
    let sort_order = input::number(&mut checks, sort_order, "sort_order", i32::MIN..=i32::MAX);
    checks.finish()?;
    let whole = name.zip(sort_order);
    whole
        .map(|(name, sort_order)| CheckedCategory { parent_id: body.parent_id, name, icon, sort_order })
        .ok_or(ApiError::Malformed)
}
