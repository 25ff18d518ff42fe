//! What goes wrong in a comparison, in words.

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
