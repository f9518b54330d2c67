//! Collects what is wrong with a request, so that one answer names all of it.

use crate::http::error::{ApiError, FieldError};
use std::borrow::Cow;

/// Refused fields so far.
#[derive(Debug, Default)]
pub struct Checks(Vec<FieldError>);

impl Checks {
    /// Nothing refused yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses `field`.
    pub fn refuse(&mut self, field: &'static str, message: impl Into<Cow<'static, str>>) {
        self.0.push(FieldError { field: Cow::Borrowed(field), message: message.into() });
    }

    /// Refuses `field` unless `holds`.
    pub fn ensure(&mut self, holds: bool, field: &'static str, message: &'static str) {
        if !holds {
            self.refuse(field, message);
        }
    }

    /// The value, or a refusal because it is missing.
    pub fn required<T>(&mut self, value: Option<T>, field: &'static str) -> Option<T> {
        if value.is_none() {
            self.refuse(field, "필수 항목입니다");
        }
        value
    }

    /// All refusals as one error.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::Validation(self.0)) }
    }
}
