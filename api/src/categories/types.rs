//! What a category looks like.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A new category.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct CategoryCreate {
    /// 1 to 50 characters, unique among its siblings.
    #[schema(required = true, example = "육아/키즈")]
    pub name: Option<String>,
    /// The parent, which must stand at the top; absent or null: at the top.
    pub parent_id: Option<Uuid>,
    /// Address of its icon; absent or empty: none.
    pub icon: Option<String>,
    /// Its place among its siblings, smallest first; 0 if absent.
    pub sort_order: Option<i64>,
}

/// What a category becomes: the whole of it, as for a new one.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct CategoryUpdate(pub CategoryCreate);

/// A category on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CategoryResponse {
    /// Its id.
    pub id: Uuid,
    /// Its parent, if it has one.
    pub parent_id: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// Address of its icon.
    pub icon: Option<String>,
    /// Its place among its siblings.
    pub sort_order: i32,
}

/// A category with those under it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CategoryNode {
    /// The category.
    #[serde(flatten)]
    pub category: CategoryResponse,
    /// Those under it, in order.
    #[schema(no_recursion)]
    pub children: Vec<CategoryNode>,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CategoryTreeResponse {
    /// The top level, in order.
    pub items: Vec<CategoryNode>,
}

impl CategoryTreeResponse {
    /// Builds the tree from rows in their order; one whose parent is missing stands at the top.
    pub fn new(rows: Vec<CategoryResponse>) -> Self {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let (top, below): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.parent_id.is_none_or(|parent| !ids.contains(&parent)));
        Self { items: top.into_iter().map(|category| node(category, &below)).collect() }
    }
}

fn node(category: CategoryResponse, below: &[CategoryResponse]) -> CategoryNode {
    let children = below
        .iter()
        .filter(|child| child.parent_id == Some(category.id))
        .map(|child| node(child.clone(), below))
        .collect();
    CategoryNode { category, children }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_stand_under_their_parents() {
        let row = |id: u128, parent: Option<u128>| CategoryResponse {
            id: Uuid::from_u128(id),
            parent_id: parent.map(Uuid::from_u128),
            name: id.to_string(),
            icon: None,
            sort_order: 0,
        };
        let tree =
            CategoryTreeResponse::new(vec![row(1, None), row(2, Some(1)), row(3, Some(1)), row(4, None)]);
        let names: Vec<_> = tree.items.iter().map(|n| (n.category.name.as_str(), n.children.len())).collect();
        assert_eq!(names, [("1", 2), ("4", 0)]);
    }
}
