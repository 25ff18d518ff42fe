//! A file of users and the hashes of their passwords.

use std::collections::HashMap;

use http::HeaderValue;

use super::password_hash::PasswordHash;
use crate::config::value::FileContent;
use crate::config::yaml::{Invalid, Parsed};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// As clients send it and upstreams are told of it.
    pub name: HeaderValue,
    pub hash: PasswordHash,
}

impl FileContent for Vec<User> {
    fn of_file(bytes: &[u8]) -> Parsed<Self> {
        parse(bytes)
    }
}

fn parse(bytes: &[u8]) -> Parsed<Vec<User>> {
    let help = "`pingora-proxy hash-password --user NAME` prints a line for this file";
    let text = std::str::from_utf8(bytes).map_err(|_| Invalid::with_help("this file holds no text", help))?;
    let mut users = Vec::new();
    let mut lines_of: HashMap<&str, usize> = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let refused = |why: &str| Invalid::with_help(format!("line {number} of this file: {why}"), help);
        let (name, rest) = line.split_once(':').ok_or_else(|| refused("there is no `:` behind the user's name"))?;
        if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) || name.trim() != name {
            return Err(refused("a user's name has 1 to 255 bytes, no control characters, and no space around it"));
        }
        if let Some(first) = lines_of.insert(name, number) {
            return Err(refused(&format!("the user `{name}` stands on line {first} already")));
        }
        // What stands behind another colon is a comment to nginx, too.
        let hash = rest.split(':').next().unwrap_or(rest).trim_end();
        let hash = PasswordHash::parse(hash).map_err(|why| refused(&format!("the user `{name}`: {why}")))?;
        let name = HeaderValue::from_bytes(name.as_bytes()).map_err(|_| refused("a user's name"))?;
        users.push(User { name, hash });
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";

    fn names(text: &str) -> Result<Vec<String>, String> {
        let users = parse(text.as_bytes()).map_err(|e| e.message.unwrap())?;
        Ok(users.iter().map(|user| String::from_utf8(user.name.as_bytes().to_vec()).unwrap()).collect())
    }

    #[test]
    fn a_line_is_a_user_and_what_is_none_is_refused_with_its_line() {
        let good = format!("# staff\nann:{HASH}\n\nzoë:{HASH}:of sales\r\n");
        assert_eq!(names(&good), Ok(vec!["ann".to_owned(), "zoë".to_owned()]));
        assert_eq!(names(""), Ok(Vec::new()));
        for (bad, why) in [
            (format!("ann:{HASH}\nbob"), "line 2 of this file: there is no `:` behind the user's name"),
            (format!("ann:{HASH}\nann:{HASH}"), "line 2 of this file: the user `ann` stands on line 1 already"),
            ("ann:secret".to_owned(), "line 1 of this file: the user `ann`: its password is no hash, or one of DES"),
        ] {
            assert_eq!(names(&bad), Err(why.to_owned()));
        }
        for bad in [format!(":{HASH}"), format!(" ann:{HASH}"), format!("a\tb:{HASH}")] {
            assert!(names(&bad).unwrap_err().contains("a user's name has"), "{bad}");
        }
    }
}
