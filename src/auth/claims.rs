//! What a verified token says (RFC 7519 section 4), and whether that lets its bearer pass.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use serde_json::{Map, Number, Value};

use super::token_fault::TokenFault;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims(Map<String, Value>);

/// What is asked of claims.
#[derive(Clone, Debug)]
pub struct ClaimRules {
    pub issuer: Option<String>,
    /// One of these; none where the list is empty.
    pub audience: Vec<String>,
    pub required: Vec<String>,
    pub leeway: Duration,
}

/// When a token is good (RFC 7519 sections 4.1.4 to 4.1.6), in seconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lifetime {
    begin: Option<f64>,
    end: Option<f64>,
}

impl Lifetime {
    /// # Errors
    /// When it is over or has not begun, give or take `leeway`.
    pub fn check(self, leeway: Duration, now: SystemTime) -> Result<(), TokenFault> {
        let now = now.duration_since(UNIX_EPOCH).map_err(|_| TokenFault::Claims)?.as_secs_f64();
        let leeway = leeway.as_secs_f64();
        if self.end.is_some_and(|end| now >= end + leeway) {
            return Err(TokenFault::Expired);
        }
        if self.begin.is_some_and(|begin| now + leeway < begin) {
            return Err(TokenFault::NotYetValid);
        }
        Ok(())
    }
}

impl Claims {
    pub fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// Each claim as one text. One that is an object, or a list with parts that could not be told
    /// apart, is left out.
    ///
    /// # Errors
    /// When there is a number that cannot be told exactly: two of them could become one text.
    pub fn into_texts(self) -> Result<Vec<(String, String)>, TokenFault> {
        let text = |(name, value)| text(value).map(|text| Some((name, text?))).transpose();
        self.0.into_iter().filter_map(text).collect()
    }

    /// # Errors
    /// Why they let nobody pass.
    pub fn check(&self, rules: &ClaimRules, now: SystemTime) -> Result<(), TokenFault> {
        self.lifetime()?.check(rules.leeway, now)?;
        if rules
            .issuer
            .as_ref()
            .is_some_and(|issuer| !matches!(self.0.get("iss"), Some(Value::String(iss)) if iss == issuer))
        {
            return Err(TokenFault::Issuer);
        }
        if !rules.audience.is_empty() && !self.is_for(&rules.audience) {
            return Err(TokenFault::Audience);
        }
        let is_absent = |name: &&String| self.0.get(name.as_str()).is_none_or(Value::is_null);
        if rules.required.iter().any(|name| is_absent(&name)) {
            return Err(TokenFault::Required);
        }
        Ok(())
    }

    /// # Errors
    /// When one of its dates is none.
    pub fn lifetime(&self) -> Result<Lifetime, TokenFault> {
        let end = self.date("exp")?;
        let begins = [self.date("nbf")?, self.date("iat")?];
        Ok(Lifetime { begin: begins.into_iter().flatten().reduce(f64::max), end })
    }

    /// Seconds since 1970; fractions are allowed.
    fn date(&self, name: &str) -> Result<Option<f64>, TokenFault> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => {
                number.as_f64().filter(|date| date.is_finite()).map(Some).ok_or(TokenFault::Claims)
            }
            Some(_) => Err(TokenFault::Claims),
        }
    }

    fn is_for(&self, audience: &[String]) -> bool {
        let is_wanted = |aud: &Value| matches!(aud, Value::String(aud) if audience.contains(aud));
        match self.0.get("aud") {
            Some(Value::Array(all)) => all.iter().any(is_wanted),
            Some(one) => is_wanted(one),
            None => false,
        }
    }
}

fn text(value: Value) -> Result<Option<String>, TokenFault> {
    Ok(match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(exact(&number)?),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Array(parts) => {
            let mut texts = Vec::with_capacity(parts.len());
            for part in parts {
                texts.push(match part {
                    Value::Array(_) => None,
                    one => text(one)?.filter(|text| !text.contains(',')),
                });
            }
            texts.into_iter().collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
        }
        Value::Null | Value::Object(_) => None,
    })
}

/// A whole number that no 64 bits hold was rounded when it was read.
fn exact(number: &Number) -> Result<String, TokenFault> {
    /// Below, there is a `f64` for each whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_rounded = number.is_f64() && number.as_f64().is_none_or(|number| number.abs() >= EXACT);
    if is_rounded { Err(TokenFault::Claims) } else { Ok(number.to_string()) }
}

/// A claim as the value of a field; `None` where a field could not carry it as it is.
pub fn claim_field(text: &str) -> Option<HeaderValue> {
    let is_plain = text.trim() == text && !text.chars().any(char::is_control);
    HeaderValue::from_bytes(text.as_bytes()).ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: f64 = 1_000_000.0;

    fn claims(value: Value) -> Claims {
        let Value::Object(claims) = value else { panic!("{value}") };
        Claims(claims)
    }

    fn check(value: Value) -> Result<(), TokenFault> {
        let rules = ClaimRules {
            issuer: Some("us".to_owned()),
            audience: vec!["shop".to_owned(), "cart".to_owned()],
            required: vec!["exp".to_owned()],
            leeway: Duration::from_secs(60),
        };
        claims(value).check(&rules, UNIX_EPOCH + Duration::from_secs_f64(NOW))
    }

    #[test]
    fn each_claim_is_exact() {
        let with = |name: &str, value: Value| {
            let mut all = json!({ "iss": "us", "aud": ["x", "shop"], "exp": NOW, "iat": NOW - 5.0 });
            all[name] = value;
            check(all)
        };
        assert_eq!(with("aud", json!("cart")), Ok(()));
        // The leeway is on both sides, and ends.
        for (name, value, outcome) in [
            ("exp", json!(NOW - 59.0), Ok(())),
            ("exp", json!(NOW - 60.0), Err(TokenFault::Expired)),
            ("exp", json!("9999999999"), Err(TokenFault::Claims)),
            ("exp", json!(null), Err(TokenFault::Claims)),
            ("exp", json!(NOW + 0.5), Ok(())),
            ("nbf", json!(NOW + 60.0), Ok(())),
            ("nbf", json!(NOW + 61.0), Err(TokenFault::NotYetValid)),
            ("iat", json!(NOW + 61.0), Err(TokenFault::NotYetValid)),
            ("iss", json!("US"), Err(TokenFault::Issuer)),
            ("iss", json!(["us"]), Err(TokenFault::Issuer)),
            ("aud", json!("shop "), Err(TokenFault::Audience)),
            ("aud", json!([]), Err(TokenFault::Audience)),
            ("aud", json!({ "shop": 1 }), Err(TokenFault::Audience)),
        ] {
            assert_eq!(with(name, value.clone()), outcome, "{name}: {value}");
        }
        assert_eq!(check(json!({ "iss": "us", "aud": "shop" })), Err(TokenFault::Required));
        assert_eq!(check(json!({ "exp": NOW, "aud": "shop" })), Err(TokenFault::Issuer));
    }

    /// Read from a text, as a token is.
    #[test]
    fn a_number_that_was_rounded_is_refused() {
        let texts = |claims: &str| {
            let claims: Map<String, Value> = serde_json::from_str(claims).unwrap();
            Claims(claims).into_texts()
        };
        let one = |number: &str| texts(&format!("{{\"n\":{number}}}")).map(|texts| texts[0].1.clone());
        for exact in ["0", "-9223372036854775808", "18446744073709551615", "9007199254740993", "1.5"] {
            assert_eq!(one(exact), Ok(exact.to_owned()));
        }
        for rounded in ["18446744073709551616", "12000000000000000000001", "-9223372036854775809", "1e22", "[1, 1e30]"]
        {
            assert_eq!(one(rounded), Err(TokenFault::Claims), "{rounded}");
        }
        assert_eq!(texts("{\"nested\":{\"n\":1e30}}"), Ok(Vec::new()));
    }

    #[test]
    fn a_claim_is_a_field_only_where_that_says_the_same() {
        let texts = claims(json!({
            "text": "zoë", "number": 7, "flag": true, "list": ["a", 1], "comma": ["a,b"], "object": {},
            "broken": "a\r\nX-Admin: 1", "spaced": " admin", "nul": "a\u{0}", "null": null, "empty": "",
        }))
        .into_texts()
        .unwrap();
        let text = |name: &str| texts.iter().find(|(claim, _)| claim == name).map(|(_, text)| text.as_str());
        let field = |name: &str| {
            let value = text(name).and_then(claim_field);
            value.map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap())
        };
        for (name, value) in [("text", "zoë"), ("number", "7"), ("flag", "true"), ("list", "a,1"), ("empty", "")] {
            assert_eq!(field(name).as_deref(), Some(value), "{name}");
        }
        for name in ["comma", "object", "broken", "spaced", "nul", "null", "absent"] {
            assert_eq!(field(name), None, "{name}");
        }
    }
}
