//! Decides which names have secret values.
//!
//! Case, `-`, `_`, `.` and camel case do not matter, except in the closed list of
//! `is_credential_header`: values that are not even copied from the request.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// Whether the header's whole value is a credential; such a value is not even copied.
pub(crate) fn is_credential_header(name: &str) -> bool {
    // The length comes first: this runs for each header of each request.
    match name.len() {
        5 => name == "token",
        6 => name == "cookie",
        7 => name == "api-key",
        9 => name == "x-api-key",
        10 => name == "set-cookie",
        12 => matches!(name, "x-csrf-token" | "x-auth-token" | "x-xsrf-token"),
        13 => name == "authorization",
        14 => name == "x-access-token",
        15 => name == "x-authorization",
        19 => name == "proxy-authorization",
        20 => name == "x-amz-security-token",
        _ => false,
    }
}

/// Sentry's words for headers, cookies and queries: a name that contains one is secret.
const SPECIFIED: [&str; 16] = [
    "auth",
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "key",
    "jwt",
    "bearer",
    "sso",
    "saml",
    "csrf",
    "xsrf",
    "credentials",
    "session",
    "identity",
];

/// Whether a header, cookie or query parameter with this name is secret by Sentry's rule.
pub(super) fn is_sensitive_header(name: &str) -> bool {
    static WORDS: LazyLock<WordSet> = LazyLock::new(|| WordSet::new(SPECIFIED.iter().chain(&["cookie"])));
    WORDS.are_in(name) || words(name).any(|word| word.is("sid"))
}

/// Whether a query parameter is secret: Sentry's rule, signed URLs, `code`, and our own names.
pub(super) fn is_sensitive_parameter(name: &str) -> bool {
    is_sensitive_header(name)
        || words(name).any(|word| word.is("sig") || word.is("signature"))
        || name.eq_ignore_ascii_case("code")
        || is_sensitive(name)
}

/// Whether a header may identify a person or an address (Sentry's extended list, for PII off).
pub(super) fn is_personal_header(name: &str) -> bool {
    let parts = ["forwarded", "-ip", "remote-", "-user", "email"];
    parts.iter().any(|part| name.contains(part)) || matches!(name, "via" | "from")
}

/// Words that make a name secret even as a part of a longer word; compared without separators.
const CONTAINED: [&str; 27] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "credential",
    "authorization",
    "authtoken",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "csrf",
    "xsrf",
    "phpsessid",
    "sessionid",
    "sessiontoken",
    "cardnumber",
    "creditcard",
    "securitycode",
    "mysqlpwd",
    "setcookie",
];

/// Words that make a name secret as a separate word: `user_token`, `dbPwd`, but not `tokenizer`.
const WORDS: [&str; 19] = [
    "token",
    "pwd",
    "auth",
    "jwt",
    "bearer",
    "cookie",
    "cookies",
    "session",
    "sid",
    "otp",
    "totp",
    "cvv",
    "cvc",
    "pin",
    "ssn",
    "saml",
    "iban",
    "salt",
    "authenticity",
];

/// Names that are secret only as a whole.
const WHOLE: [&str; 3] = ["key", "signature", "sig"];

/// Words that make a name secret as its last word.
const LAST: [&str; 2] = ["pass", "pw"];

/// Whether a field with this name is secret: span fields, tags, contexts, breadcrumbs, JSON.
pub(super) fn is_sensitive(name: &str) -> bool {
    if is_surely_sensitive(name) {
        return true;
    }
    let mut count = 0;
    let mut last = None;
    for word in words(name) {
        if WORDS.iter().any(|sensitive| word.is(sensitive)) {
            return !is_harmless(name);
        }
        last = Some(word);
        count += 1;
    }
    // `db_pass` and `pass` are secret, but `key` only alone.
    last.is_some_and(|word| {
        LAST.iter().any(|sensitive| word.is(sensitive)) || (count == 1 && WHOLE.iter().any(|sensitive| word.is(sensitive)))
    })
}

/// Whether the name can only mean a secret.
pub(super) fn is_surely_sensitive(name: &str) -> bool {
    static WORDS: LazyLock<WordSet> = LazyLock::new(|| WordSet::new(&CONTAINED));
    WORDS.are_in(name)
}

/// Whether the name is about a secret without being one: `token_count`, `token_type`,
/// `session_length`.
fn is_harmless(name: &str) -> bool {
    const ABOUT: [&str; 12] =
        ["count", "length", "len", "type", "expires", "expiry", "limit", "size", "duration", "age", "status", "method"];
    words(name).last().is_some_and(|last| ABOUT.iter().any(|about| last.is(about)))
}

/// Whether the name contains one of the user's names, which are squashed already.
pub(super) fn is_listed(name: &str, listed: &[String]) -> bool {
    !listed.is_empty() && {
        let name = squash(cut(name));
        listed.iter().any(|own| !own.is_empty() && name.contains(own.as_str()))
    }
}

/// Returns a name in lower case without separators, as the user's rules are stored.
pub(super) fn squash(name: &str) -> String {
    name.chars().filter(|letter| !is_separator(*letter)).flat_map(char::to_lowercase).collect()
}

/// Returns the part of a name that is judged: a client may send one of many kilobytes.
fn cut(name: &str) -> &str {
    const JUDGED: usize = 256;
    name.get(..JUDGED.min(name.len())).unwrap_or(name)
}

const fn is_separator(letter: char) -> bool {
    matches!(letter, '-' | '_' | '.' | ' ' | '[' | ']')
}

/// Words to find in a name in one pass, ignoring its separators and case.
struct WordSet(Option<AhoCorasick>);

impl WordSet {
    fn new<'a>(words: impl IntoIterator<Item = &'a &'a str>) -> Self {
        // Fails only for gigabytes of words.
        Self(AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(words).ok())
    }

    fn are_in(&self, name: &str) -> bool {
        let mut squashed = [0_u8; 256];
        let letters = cut(name).bytes().filter(|byte| !is_separator(char::from(*byte)));
        let mut len = 0;
        for (slot, letter) in squashed.iter_mut().zip(letters) {
            *slot = letter;
            len += 1;
        }
        // Without an automaton, every name counts as secret.
        self.0.as_ref().is_none_or(|words| words.is_match(squashed.get(..len).unwrap_or_default()))
    }
}

/// A word of a name.
#[derive(Clone, Copy)]
struct NameWord<'a>(&'a str);

impl NameWord<'_> {
    fn is(self, text: &str) -> bool {
        self.0.eq_ignore_ascii_case(text)
    }
}

/// Splits a name into words: `user_token`, `userToken`, `user-token` and `USER TOKEN`.
fn words(name: &str) -> impl Iterator<Item = NameWord<'_>> {
    let mut rest = cut(name);
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|letter: char| !letter.is_alphanumeric());
        if rest.is_empty() {
            return None;
        }
        let mut lower = false;
        let end = rest
            .char_indices()
            .find(|(_, letter)| {
                let ends = !letter.is_alphanumeric() || (lower && letter.is_uppercase());
                lower = letter.is_lowercase();
                ends
            })
            .map_or(rest.len(), |(at, _)| at);
        let (word, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(NameWord(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_names_are_found_in_any_spelling() {
        for name in [
            "password",
            "PASSWORD",
            "dbPassword",
            "user_password",
            "api_key",
            "apiKey",
            "API-KEY",
            "x-api-key",
            "secret",
            "client_secret",
            "token",
            "accessToken",
            "refresh_token",
            "auth",
            "Authorization",
            "session",
            "sessionId",
            "PHPSESSID",
            "csrf_token",
            "_csrf",
            "card_number",
            "cardNumber",
            "cvv",
            "pin",
            "otp",
            "jwt",
            "mysql_pwd",
            "pwd",
            "key",
            "pass",
            "aws_secret_access_key",
            "db_pass",
            "smtpPass",
            "privateKey",
            "http.request.header.authorization",
            "set-cookie",
            "user.token",
            "connect.sid",
        ] {
            assert!(is_sensitive(name), "{name}");
        }
    }

    #[test]
    fn each_name_of_the_lists_is_secret_by_itself() {
        let names = "passwd passphrase passcode apikey accesskey signingkey encryptionkey masterkey credential authtoken \
            accesstoken refreshtoken idtoken xsrf sessiontoken cardnumber creditcard security_code mysqlpwd setcookie \
            bearer cookie user_cookies sid totp cvc ssn saml_response IBAN password-salt salt authenticity signature sig \
            db_pw";
        for name in names.split_whitespace() {
            assert!(is_sensitive(name), "{name}");
        }
    }

    #[test]
    fn names_about_a_secret_are_not_secret() {
        for about in ["count", "length", "len", "type", "expires", "expiry", "limit", "size", "duration", "age", "status", "method"] {
            assert!(!is_sensitive(&format!("token_{about}")), "{about}");
            assert!(is_sensitive(&format!("password_{about}")), "{about}");
        }
        assert!(is_sensitive("token_value"));
    }

    #[test]
    fn only_unambiguous_names_are_surely_secret() {
        for name in ["password", "API-Key", "client.secret", "security code", "PHPSESSID"] {
            assert!(is_surely_sensitive(name), "{name}");
        }
        for name in ["token", "session", "auth", "key", "pin", "salt"] {
            assert!(!is_surely_sensitive(name) && is_sensitive(name), "{name}");
        }
    }

    #[test]
    fn credential_headers_match_by_their_whole_name() {
        let names = "token cookie api-key x-api-key set-cookie x-csrf-token \
            x-auth-token x-xsrf-token authorization x-access-token x-authorization proxy-authorization x-amz-security-token";
        for name in names.split_whitespace() {
            assert!(is_credential_header(name), "{name}");
        }
        assert!(!is_credential_header("accept") && !is_credential_header("x-token"));
    }

    #[test]
    fn headers_with_personal_data_are_recognised() {
        for name in ["x-forwarded-for", "forwarded", "x-real-ip", "remote-addr", "x-user", "x-email", "via", "from"] {
            assert!(is_personal_header(name), "{name}");
        }
        for name in ["accept", "user-agent", "x-request-id", "viaduct", "x-from"] {
            assert!(!is_personal_header(name), "{name}");
        }
    }

    #[test]
    fn ordinary_names_are_left_alone() {
        for name in [
            "author",
            "authority",
            "monkey",
            "keyboard",
            "cache.key",
            "db.query.text",
            "tokenizer",
            "token_count",
            "max_tokens",
            "passenger",
            "compass",
            "code.function.name",
            "http.route",
            "side",
            "pinned",
            "shopping",
            "user_id",
            "order",
            "primary_key",
            "session_length",
            "obsidian",
            "otpauthless",
            "salted",
        ] {
            assert!(!is_sensitive(name), "{name}");
        }
    }

    #[test]
    fn headers_and_parameters_follow_the_specified_words() {
        for name in [
            "x-oauth",
            "x-some-token",
            "x-secretly",
            "x-password",
            "x-passwd",
            "x-pwd",
            "x-monkey",
            "x-goog-iap-jwt-assertion",
            "x-bearer",
            "sso-state",
            "x-saml",
            "x-csrf",
            "x-xsrf",
            "x-credentials",
            "x-session",
            "x-identity",
            "x-cookie",
            "connect-sid",
        ] {
            assert!(is_sensitive_header(name), "{name}");
        }
        for name in ["accept", "user-agent", "content-type", "host", "x-request-id", "side"] {
            assert!(!is_sensitive_header(name), "{name}");
        }
        for name in ["X-Amz-Signature", "sig", "code", "Code", "access_token", "cvv"] {
            assert!(is_sensitive_parameter(name), "{name}");
        }
        for name in ["page", "q", "zipcode", "signal", "barcode"] {
            assert!(!is_sensitive_parameter(name), "{name}");
        }
    }

    #[test]
    fn own_names_match_in_any_spelling() {
        let own = [squash("customer-IBAN")];

        for name in ["customer_iban", "CustomerIban", "the.customer.iban.number"] {
            assert!(is_listed(name, &own), "{name}");
        }
        assert!(!is_listed("customer", &own));
    }
}
