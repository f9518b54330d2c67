//! What a person notes on a gonggu for himself: a bookmark (찜), and an alarm before it opens.
//!
//! Invariants: one of each per person and gonggu, held by the key; setting and taking away may be repeated;
//! what is not listed to anybody (deleted, or of a suspended influencer) is neither marked nor shown.

pub mod queries;
pub mod routes;
pub mod types;
