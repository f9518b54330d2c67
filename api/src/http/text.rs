//! Text from people: trimmed, in NFC (what looks the same is the same), without NUL and of bounded length.

use crate::http::check::Checks;
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// What a text may be.
#[derive(Clone, Copy, Debug)]
pub struct TextRule {
    /// The field's name.
    pub field: &'static str,
    /// Fewest characters.
    pub chars_min: usize,
    /// Most characters.
    pub chars_max: usize,
    /// Whether it may have several lines.
    pub lines: bool,
}

impl TextRule {
    /// The text as it is stored; what is wrong with it goes into `checks`.
    pub fn check(self, text: &str, checks: &mut Checks) -> String {
        let clean: String = text.trim().nfc().collect();
        let length = clean.chars().count();
        if !(self.chars_min..=self.chars_max).contains(&length) {
            let message: Cow<'static, str> = if self.chars_min == 0 {
                format!("{}자 이하여야 합니다", self.chars_max).into()
            } else {
                format!("{}자 이상 {}자 이하여야 합니다", self.chars_min, self.chars_max).into()
            };
            checks.refuse(self.field, message);
        }
        let forbidden = |c: char| if self.lines { c == '\0' } else { c.is_control() };
        checks.ensure(!clean.contains(forbidden), self.field, "사용할 수 없는 문자가 있습니다");
        clean
    }
}

/// Part of a name that is looked for: as texts are stored, in NFC, without what no text contains; `None` looks for
/// nothing. Whoever types jamo by jamo finds what is stored in syllables.
pub fn sought(q: &str, chars_max: usize, checks: &mut Checks) -> Option<String> {
    let clean: String = q.trim().nfc().filter(|c| *c != '\0').collect();
    if clean.chars().count() > chars_max {
        checks.refuse("q", format!("{chars_max}자 이하여야 합니다"));
    }
    (!clean.is_empty()).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cleaned_and_bounded() {
        let rule = TextRule { field: "title", chars_min: 1, chars_max: 3, lines: false };
        let mut checks = Checks::new();
        // three syllables of conjoining jamo are three characters
        let syllables = "\u{1100}\u{1161}\u{1102}\u{1161}\u{1103}\u{1161}";
        assert_eq!(rule.check(&format!(" {syllables}\n"), &mut checks), "가나다");
        assert!(checks.finish().is_ok());
        for bad in ["", "  ", "가나다라", "a\0b", "a\nb"] {
            let mut checks = Checks::new();
            rule.check(bad, &mut checks);
            assert!(checks.finish().is_err(), "{bad:?}");
        }
        let mut checks = Checks::new();
        TextRule { lines: true, ..rule }.check("a\nb", &mut checks);
        assert!(checks.finish().is_ok());
    }

    #[test]
    fn what_is_looked_for_is_brought_into_the_stored_form() {
        let mut checks = Checks::new();
        let decomposed = " \u{1100}\u{1161}\0\u{1102}\u{1161} ";
        assert_eq!(sought(decomposed, 2, &mut checks).as_deref(), Some("가나"));
        assert_eq!(sought(" \0", 2, &mut checks), None);
        assert!(checks.finish().is_ok());
        let mut checks = Checks::new();
        sought("가나다", 2, &mut checks);
        assert!(checks.finish().is_err());
    }
}
