//! The tracking core: what a click is, how it is logged, judged and stored.
//!
//! Problem: clicks are revenue, so each must be recorded once, judged by a rule that can be run again
//! a year later, and stored so that no crash loses or doubles it. This crate holds the vocabulary
//! (ids, times, clicks), the judge as pure code, the contracts of log and store with the suites that
//! every provider passes, and the file journal. It knows no network client.

pub mod bots;
pub mod click;
pub mod clock;
pub mod gonggu;
pub mod ids;
pub mod judge;
pub mod judged;
pub mod kst;
pub mod live;
pub mod log;
pub mod store;
pub mod visitor;
