//! What admins do: people, applications of influencers, and the log of all that was done.
//!
//! Banners, coupons, points and categories have their admin routes in their own folders; what all of them
//! share stands here: [`audit`], which every admin change is written to, and [`input`].

pub mod audit;
pub mod influencers;
pub mod input;
mod letters;
pub mod queries;
pub mod routes;
pub mod suspension;
pub mod types;
