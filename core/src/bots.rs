//! Tells people from programs by the user agent, from the patterns of a rules version.
