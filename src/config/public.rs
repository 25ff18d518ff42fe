//! The configuration without what may be a secret in it: values of fields, parameters and cookies whose
//! names say that they let somebody in, and passwords and such parameters in URLs.

use super::yaml::{Yaml, hidden_in_urls, may_be_secret};

/// What stands in the place of a value.
const HIDDEN: &str = "***";
/// Maps whose keys are names that a request or a response carries.
const NAMED_VALUES: [&str; 8] = ["set", "add", "header", "headers", "query", "cookie", "cookies", "metadata"];

/// Hides values that may be secrets.
pub fn mask(yaml: Yaml) -> Yaml {
    walk(yaml, false)
}

/// The same for a value that stands at this path, as `routes.api.request.header.set.x-token`.
pub fn mask_at(path: &str, yaml: Yaml) -> Yaml {
    let mut keys = path.rsplit('.');
    let (key, parent) = (keys.next().unwrap_or_default(), keys.next().unwrap_or_default());
    if NAMED_VALUES.contains(&parent) && may_be_secret(key) {
        hide(yaml)
    } else {
        walk(yaml, NAMED_VALUES.contains(&key))
    }
}

fn walk(yaml: Yaml, named: bool) -> Yaml {
    match yaml {
        Yaml::Map(entries) => {
            let entry = |(key, value): (String, Yaml)| {
                let value = if named && may_be_secret(&key) {
                    hide(value)
                } else {
                    let named = NAMED_VALUES.contains(&key.as_str()) || named && matches!(value, Yaml::List(_));
                    walk(value, named)
                };
                (key, value)
            };
            Yaml::Map(entries.into_iter().map(entry).collect())
        }
        Yaml::List(items) => Yaml::List(items.into_iter().map(|item| walk(item, named)).collect()),
        Yaml::Word(word) => Yaml::Word(hidden_in_urls(&word).into_owned()),
        Yaml::Text(text) => Yaml::Text(hidden_in_urls(&text).into_owned()),
        Yaml::Absent => Yaml::Absent,
    }
}

fn hide(value: Yaml) -> Yaml {
    match value {
        Yaml::Word(_) | Yaml::Text(_) => Yaml::text(HIDDEN),
        Yaml::List(items) => Yaml::List(items.into_iter().map(hide).collect()),
        Yaml::Map(entries) => Yaml::Map(entries.into_iter().map(|(key, value)| (key, hide(value))).collect()),
        Yaml::Absent => Yaml::Absent,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{parse, to_public_yaml, to_yaml};

    #[test]
    fn what_lets_somebody_in_is_left_out_and_the_rest_stands() {
        let yaml = "listeners: [':80']\nroutes:\n  - match: { header: { X-Api-Key: s3cret-1, x-plain: shown-1 } }\n    \
                    request: { header: { set: { Authorization: 'Bearer s3cret-2', X-Plain: shown-2 } }, \
                    query: { add: { access_token: s3cret-3, q: shown-3 } } }\n    upstream: '127.0.0.1:1'\n  \
                    - respond: { header: { X-Session: s3cret-4, X-Other: shown-4 } }\n  \
                    - redirect: { to: 'https://u:s3cret-5@x.test/?shown-5=1&sig=s3cret-6' }\n";
        let config = parse("p.yaml", yaml, &|_| None).unwrap_or_else(|e| panic!("{e}")).0;
        let (all, public) = (to_yaml(&config), to_public_yaml(&config));
        assert_eq!((all.matches("s3cret-").count(), all.matches("shown-").count()), (6, 5), "{all}");
        assert_eq!((public.matches("s3cret-").count(), public.matches("shown-").count()), (0, 5), "{public}");
    }
}
