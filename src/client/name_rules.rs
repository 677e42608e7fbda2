//! The names of environments and releases.

use crate::error::Error;

/// What Sentry's servers accept as the name of an environment or a release. They drop other names
/// silently.
pub(super) struct NameRules {
    /// In characters.
    longest: usize,
    reserved: [&'static str; 3],
}

pub(super) const ENVIRONMENT_NAMES: NameRules = NameRules { longest: 64, reserved: ["none", ".", ".."] };
pub(super) const RELEASE_NAMES: NameRules = NameRules { longest: 200, reserved: ["latest", ".", ".."] };

/// Variables that other programs read too, and that may hold any text.
const SHARED_VARIABLES: [&str; 2] = ["ENVIRONMENT", "GIT_COMMIT"];

impl NameRules {
    pub(super) fn check(&self, name: &str, value: &str) -> Result<(), Error> {
        let trimmed = value.trim();
        let fault = if trimmed.is_empty() {
            "it is blank"
        } else if value.chars().count() > self.longest {
            "it is too long"
        } else if value.contains(is_refused) {
            "it holds a slash or a control character"
        } else if self.reserved.iter().any(|word| trimmed.eq_ignore_ascii_case(word)) {
            "it is a reserved word"
        } else {
            return Ok(());
        };
        Err(Error::setting(format!("{name}: expected at most {} characters without a slash, but {fault}", self.longest)))
    }

    /// Makes a valid name of a shared variable's value, with a warning if that changes it.
    ///
    /// Such a variable may be meant for another program. Its value must not stop this one. A value
    /// of a variable of our own stays as it is.
    pub(super) fn fit(&self, (name, value): (&'static str, String), warnings: &mut Vec<String>) -> Option<(&'static str, String)> {
        let Err(fault) = self.check(name, &value) else { return Some((name, value)) };
        if !SHARED_VARIABLES.contains(&name) {
            return Some((name, value));
        }
        let fitting: String = value.chars().map(|letter| if is_refused(letter) { '-' } else { letter }).take(self.longest).collect();
        if self.check(name, &fitting).is_ok() {
            warnings.push(format!("{fault}; '{fitting}' is used"));
            Some((name, fitting))
        } else {
            warnings.push(format!("{fault}; it is not used"));
            None
        }
    }
}

fn is_refused(letter: char) -> bool {
    matches!(letter, '/' | '\\') || letter.is_control()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::Config;

    #[test]
    fn releases_and_environments_are_judged_like_the_servers_do() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/fixtures/vectors/release_relay.json")).unwrap_or_default();
        let texts =
            |name: &str| vectors[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
        let on = || Config::builder().console(true);

        for (name, valid) in [("valid", true), ("invalid", false)] {
            let releases = texts(name);
            assert!(!releases.is_empty());
            for release in releases {
                assert_eq!(on().release(release.clone()).build().is_ok(), valid, "{release:?}");
            }
        }
        for (name, valid) in [("environment_valid", true), ("environment_invalid", false)] {
            for environment in texts(name) {
                assert_eq!(on().environment(environment.clone()).build().is_ok(), valid, "{environment:?}");
            }
        }
    }
}
