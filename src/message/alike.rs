//! Names of fields that are one name to others. CGI, WSGI, Rack and PHP make the same variable of
//! `X_User` and `X-User`.

fn dashed(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte }
}

/// Whether two names, both in lower case, are the same to whom `_` and `-` are.
pub fn are_alike(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().map(dashed).eq(other.bytes().map(dashed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_underscore_is_a_dash() {
        assert!(are_alike("x_user-id", "x-user_id") && are_alike("te", "te"));
        assert!(!are_alike("x-user", "xuser") && !are_alike("x_user", "x_role"));
    }
}
