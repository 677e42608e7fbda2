//! Shapes that are secret whatever they are called: found in one pass over a text, without backtracking.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::card::card;
use super::value::value;
use super::webhook::webhook;
use super::{Redactor, judged};

/// Beginnings of keys that services hand out; what follows is at least sixteen characters.
const KEY_PREFIXES: [&str; 25] = [
    "AIza",
    "AKIA",
    "ASIA",
    "dop_v1_",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "glsa_",
    "hf_",
    "npm_",
    "NRAK-",
    "pypi-",
    "rk_live_",
    "shpat_",
    "sk-ant-",
    "sk-proj-",
    "sk_live_",
    "sk_test_",
    "sntrys_",
    "whsec_",
    "xapp-",
    "xox",
];

/// The same of a key with dots in it, which end a run.
const DOTTED_PREFIX: &str = "dp.pt.";

const OTHER: u8 = 0;
const TOKEN: u8 = 1;
const COLON: u8 = 2;
const EQUALS: u8 = 3;
/// Must be escaped in JSON.
const ESCAPE: u8 = 4;
const QUESTION: u8 = 5;

/// What each byte is to the scan; one load a byte is what keeps it cheap.
#[expect(clippy::indexing_slicing, reason = "a byte is within 256, and this runs in the compiler")]
static CLASSES: [u8; 256] = {
    let mut classes = [OTHER; 256];
    let mut byte = 0_u8;
    loop {
        classes[byte as usize] = match byte {
            b':' => COLON,
            b'=' => EQUALS,
            b'"' | b'\\' | 0..=31 => ESCAPE,
            b'?' => QUESTION,
            b'_' | b'-' | b'+' => TOKEN,
            _ if byte.is_ascii_alphanumeric() => TOKEN,
            _ => OTHER,
        };
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(OTHER)
}

/// Whether a text is too short for any shape, names no value, and needs no escape: most words are like that.
pub(super) fn is_harmless_word(text: &str) -> bool {
    // The shortest shape is `-----BEGIN`; a value needs a name and a sign before it.
    text.len() < 10 && text.bytes().all(|byte| matches!(class(byte), OTHER | TOKEN))
}

/// What one pass over a text tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    pub(super) has_secret: bool,
    pub(super) needs_escape: bool,
    pub(super) has_question_mark: bool,
}

/// Looks for secrets and for what JSON must escape. Up to the first secret only.
pub(super) fn scan(redactor: &Redactor, text: &str) -> Scan {
    let mut scan = Scan::default();
    scan.has_secret = next_secret(redactor, text, 0, &mut scan).is_some();
    scan
}

/// What stands in place of a secret.
#[derive(Clone, Copy)]
pub(super) enum Instead {
    Value,
    Token,
    UserInfo,
}

pub(super) struct Secret {
    pub(super) range: Range<usize>,
    pub(super) instead: Instead,
}

/// The text without its secrets; borrowed where it has none.
pub(super) fn scrub<'a>(redactor: &Redactor, text: &'a str) -> Cow<'a, str> {
    if redactor.rules.hides_nothing() {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut copied = 0;
    while let Some(Secret { range, instead }) = next_secret(redactor, text, copied, &mut Scan::default()) {
        out.push_str(text.get(copied..range.start).unwrap_or_default());
        match instead {
            Instead::Value => out.push_str(redactor.placeholder()),
            Instead::Token => out.push_str(&redactor.rules.token_placeholder),
            Instead::UserInfo => {
                out.push_str(redactor.placeholder());
                out.push(':');
                out.push_str(redactor.placeholder());
            }
        }
        copied = range.end;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

fn next_secret(redactor: &Redactor, text: &str, from: usize, scan: &mut Scan) -> Option<Secret> {
    let bytes = text.as_bytes();
    let mut start = from;
    let mut last_run = from..from;
    loop {
        // From here to `at` is a run, perhaps an empty one.
        let run = bytes.get(start..)?;
        let len = run.iter().position(|byte| class(*byte) != TOKEN).unwrap_or(run.len());
        let at = start + len;
        if len >= 4
            && let Some(secret) = in_run(redactor, text, start..at)
        {
            return Some(secret);
        }
        if len > 0 {
            last_run = start..at;
        }
        let class = class(*bytes.get(at)?);
        start = at + 1;
        let secret = match class {
            OTHER => continue,
            COLON if bytes.get(at + 1..at + 3) == Some(b"//") => user_info(text, at + 3).or_else(|| webhook(redactor, text, at + 3)),
            COLON | EQUALS => named_value(redactor, text, last_run.clone(), at),
            ESCAPE => {
                scan.needs_escape = true;
                continue;
            }
            _ => {
                scan.has_question_mark = true;
                continue;
            }
        };
        if secret.is_some() {
            return secret;
        }
    }
}

/// A secret that begins with an unbroken run of letters, digits, `_`, `-` and `+`.
#[inline]
fn in_run(redactor: &Redactor, text: &str, run: Range<usize>) -> Option<Secret> {
    // Nearly every word is too short, or begins with a letter that none of the shapes begins with.
    let len = run.len();
    let first = *text.as_bytes().get(run.start)?;
    let may_be_one = match first {
        b'2'..=b'6' => len >= 4,
        b'b' | b'B' | b'e' | b'-' => len >= 5,
        _ => len >= 20,
    };
    if may_be_one || len >= redactor.rules.token_length { shape(redactor, text, run) } else { None }
}

fn shape(redactor: &Redactor, text: &str, run: Range<usize>) -> Option<Secret> {
    let word = text.get(run.clone())?;
    let len = word.len();
    if len >= redactor.rules.token_length {
        let padding = text.get(run.end..)?.bytes().take_while(|byte| *byte == b'=').count();
        return Some(Secret { range: run.start..run.end + padding, instead: Instead::Token });
    }
    let first = *word.as_bytes().first()?;
    if (len >= 4 && matches!(first, b'2'..=b'6'))
        && let Some(range) = card(text, run.start)
    {
        return Some(Secret { range, instead: Instead::Value });
    }
    if len < 5 {
        return None;
    }
    if len == 5 && word.eq_ignore_ascii_case("basic") || len == 6 && word.eq_ignore_ascii_case("bearer") {
        let rest = text.get(run.end..)?.strip_prefix(' ')?;
        let end = rest.find(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | ',' | ';')).unwrap_or(rest.len());
        // What is hidden in it already is not random.
        let token = rest.get(..end)?.replace(redactor.placeholder(), "");
        return looks_random(&token).then(|| Secret { range: run.end + 1..run.end + 1 + end, instead: Instead::Value });
    }
    if word.starts_with("eyJ") && len >= 10 && text.as_bytes().get(run.end) == Some(&b'.') {
        // Header, claims and signature of a JWT, with a dot between each.
        let tail = text.get(run.end..)?.bytes().take_while(|byte| class(*byte) == TOKEN || *byte == b'.').count();
        return Some(Secret { range: run.start..run.end + tail, instead: Instead::Token });
    }
    if word.starts_with("-----BEGIN") {
        let tail = text.get(run.end..)?;
        let end = tail.find("-----END").and_then(|end| Some(end + 8 + tail.get(end + 8..)?.find("-----")? + 5)).unwrap_or(tail.len());
        return Some(Secret { range: run.start..run.end + end, instead: Instead::Value });
    }
    let is_dotted = || text.get(..run.start).is_some_and(|before| before.ends_with(DOTTED_PREFIX));
    let has_prefix = len >= 20 && (KEY_PREFIXES.iter().any(|prefix| word.starts_with(prefix)) || is_dotted()) && looks_random(word);
    has_prefix.then_some(Secret { range: run, instead: Instead::Token })
}

/// Not a word of a language: long enough, and with digits or capitals in the middle.
fn looks_random(word: &str) -> bool {
    let inner = word.get(1..).unwrap_or_default();
    word.len() >= 8 && (word.len() >= 24 || inner.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() || byte == b'='))
}

/// `user:password` before the `@` of an authority that begins at `start`.
fn user_info(text: &str, start: usize) -> Option<Secret> {
    let rest = text.get(start..)?;
    let end = rest
        .find(|letter: char| letter.is_whitespace() || matches!(letter, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '\\'))
        .unwrap_or(rest.len());
    let at = rest.get(..end)?.rfind('@')?;
    let range = start..start + at;
    // An empty user-info hides nothing.
    (at > 0).then(|| Secret {
        instead: if text.get(range.clone()).is_some_and(|info| info.contains(':')) { Instead::UserInfo } else { Instead::Value },
        range,
    })
}

/// The value behind `name=`, `name: ` or `"name":` where the name is secret; `name` is the run before the sign at `sign`.
fn named_value(redactor: &Redactor, text: &str, name: Range<usize>, sign: usize) -> Option<Secret> {
    let bytes = text.as_bytes();
    let gap = bytes.get(name.end..sign)?;
    let beside = (sign.checked_sub(1).and_then(|before| bytes.get(before)), bytes.get(sign + 1));
    // `token::Kind` and `a == b` are no pairs.
    let doubled = beside.0 == bytes.get(sign) || beside.1 == bytes.get(sign);
    if doubled || name.is_empty() || gap.len() > 3 || !gap.iter().all(|byte| matches!(byte, b'"' | b'\'' | b'\\' | b' ' | b']')) {
        return None;
    }
    // `cache.key` is one name, not a `key`; and nobody reads a name of a kilobyte.
    let before = bytes.get(name.start.saturating_sub(NAME_LIMIT)..name.start)?;
    let dotted = before.iter().rev().take_while(|byte| matches!(**byte, b'.' | b'%') || class(**byte) == TOKEN).count();
    let name = name.start - dotted..name.end;
    let is_parameter = matches!(name.start.checked_sub(1).and_then(|before| bytes.get(before)), Some(b'?' | b'&'));
    let text_of_name = &*percent_decode_str(text.get(name)?).decode_utf8_lossy();
    let is_secret = redactor.is_sensitive(text_of_name)
        || (is_parameter && judged::judge(text_of_name).sensitive_parameter)
        // A map of headers as `Debug` prints it.
        || (text_of_name.contains('-') && redactor.hides_header(&text_of_name.to_ascii_lowercase()));
    if !is_secret {
        return None;
    }
    let rest = text.get(sign + 1..)?;
    // Everything behind these is the credential: a scheme and a token, or several cookies.
    let to_the_end = ["authorization", "cookie"].iter().any(|ending| ends_with_folded(text_of_name, ending));
    let is_prose = bytes.get(sign) == Some(&b':') && rest.starts_with(' ') && !to_the_end;
    let range = value(rest, redactor.placeholder(), to_the_end)?;
    if is_prose && is_phrase(rest.get(range.clone())?, rest.get(range.end..)?, redactor.is_surely_sensitive(text_of_name)) {
        return None;
    }
    Some(Secret { range: sign + 1 + range.start..sign + 1 + range.end, instead: Instead::Value })
}

/// Longer names are judged by their end.
const NAME_LIMIT: usize = 128;

pub(super) fn ends_with_folded(name: &str, ending: &str) -> bool {
    name.len().checked_sub(ending.len()).and_then(|start| name.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
}

/// `invalid token: connection refused` tells of a cause, not of a token: a plain word, and more words behind it or a name that is
/// not surely a secret's.
fn is_phrase(value: &str, after: &str, surely: bool) -> bool {
    let is_word = value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let goes_on = after.strip_prefix(' ').is_some_and(|next| next.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '('));
    is_word && (goes_on || !surely)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn clean(text: &str) -> String {
        scrub(&Redactor::new(Arc::default(), false), text).into_owned()
    }

    #[test]
    fn secrets_go_by_their_shape() {
        let long = "Ab1".repeat(22);
        let rows = [
            ("got 500 from postgres://app:hunter2@db:5432/shop", "got 500 from postgres://[Filtered]:[Filtered]@db:5432/shop"),
            ("Authorization: Bearer abc", "Authorization: [Filtered]"),
            ("sent Bearer abcdef123456 to upstream", "sent Bearer [Filtered] to upstream"),
            ("Login { user: \"me\", password: \"hunter2\", age: 3 }", "Login { user: \"me\", password: \"[Filtered]\", age: 3 }"),
            ("Login { password: Some(\"hun\\\"ter2\") }", "Login { password: [Filtered] }"),
            ("Login { password: Password(\"hunter2\"), n: 1 }", "Login { password: [Filtered], n: 1 }"),
            ("api_key: ApiKey { value: \"k-123\" }, n: 1", "api_key: [Filtered], n: 1"),
            ("token: Some(\n    \"tok-9\",\n),\nn: 1", "token: [Filtered],\nn: 1"),
            ("Authorization: ApiKey abc123", "Authorization: [Filtered]"),
            ("auth: Bearer  abc, n: 1", "auth: [Filtered], n: 1"),
            ("Cookie: a=1; session=2\nHost: x", "Cookie: [Filtered]\nHost: x"),
            ("see /callback?code=abc&state=1", "see /callback?code=[Filtered]&state=1"),
            ("password: swordfish", "password: [Filtered]"),
            ("login with password=Tr0ub4dor&3 failed", "login with password=[Filtered] failed"),
            ("password=a,b;c user=me", "password=[Filtered] user=me"),
            ("token=abc&page=2, secret=x, n=1", "token=[Filtered]&page=2, secret=[Filtered], n=1"),
            ("user[password]=x&api%5Fkey=y", "user[password]=[Filtered]&api%5Fkey=[Filtered]"),
            ("{\"x-forwarded-for\": \"203.0.113.77\", \"accept\": \"*/*\"}", "{\"x-forwarded-for\": \"[Filtered]\", \"accept\": \"*/*\"}"),
            ("token: tok9", "token: [Filtered]"),
            ("{\"api_key\":\"k-1\",\"page\":2}", "{\"api_key\":\"[Filtered]\",\"page\":2}"),
            ("{\\\"api_key\\\":\\\"k-1\\\"}", "{\\\"api_key\\\":\\\"[Filtered]\\\"}"),
            ("retry with token=abc&page=2", "retry with token=[Filtered]&page=2"),
            ("paid with 4111 1111 1111 1111 today", "paid with [Filtered] today"),
            ("paid with 4111111111111111", "paid with [Filtered]"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!", "[REDACTED_TOKEN]!"),
            ("key ghp_0123456789abcdefghij0123456789abcdef", "key [REDACTED_TOKEN]"),
            ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- left", "[Filtered] left"),
            ("-----BEGIN PRIVATE KEY-----\nMIIE, cut off", "[Filtered]"),
            ("sent Basic dXNlcjpodW50ZXIy to upstream", "sent Basic [Filtered] to upstream"),
            ("postgres://app:p@ss@w0rd@db/shop", "postgres://[Filtered]:[Filtered]@db/shop"),
            ("Login { password: \"hun\\\"ter2\", n: 1 }", "Login { password: \"[Filtered]\", n: 1 }"),
            ("secrets = [[\"x\"], [\"y\"]] end", "secrets = [Filtered] end"),
            ("auth: Digest abc123, n: 1", "auth: [Filtered], n: 1"),
            ("auth: Token abc123, n: 1", "auth: [Filtered], n: 1"),
            ("auth: basic abc123, n: 1", "auth: [Filtered], n: 1"),
            ("Authorization: OAuth oauth_token=\"abc\", oauth_nonce=\"def\"\nHost: x", "Authorization: [Filtered]\nHost: x"),
            ("sent 'Cookie: a=\"1\"; session=2' to x", "sent 'Cookie: [Filtered]' to x"),
            (
                "SELECT * FROM t WHERE token = $1 AND key = ? AND pin = 'abc'",
                "SELECT * FROM t WHERE token = $1 AND key = ? AND pin = '[Filtered]'",
            ),
            ("password=$1hunter2 password=? password=\"?\"", "password=[Filtered] password=? password=\"[Filtered]\""),
            ("tokens: {\"a\": [1]}; secrets = [\"x\", \"y\"] end", "tokens: {\"a\": [1]}; secrets = [Filtered] end"),
            (&long, "[REDACTED_TOKEN]"),
        ];

        for (given, expected) in rows {
            assert_eq!(clean(given), expected);
        }
    }

    #[test]
    fn card_numbers_of_all_issuers_go_in_any_spelling() {
        for card in [
            "4111111111111111",
            "4111-1111-1111-1111",
            "4111 1111 1111 1111",
            "4222222222222",
            "4000000000000000006",
            // A doubled five counts as one.
            "4012888888881881",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "3782 822463 10005",
            "30569309025904",
            "3530111333300000",
            "6011111111111117",
            "6200000000000005",
            "6445644564456445",
        ] {
            assert_eq!(clean(card), "[Filtered]", "{card}");
            assert_eq!(clean(&format!("paid with {card}, twice")), "paid with [Filtered], twice");
        }
        for number in
            ["4111111111111112", "1111111111111117", "411111111111", "4111--1111--1111--1111", "4111111111111111a", "41111111111111111111"]
        {
            assert_eq!(clean(number), number);
        }
    }

    #[test]
    fn keys_of_known_services_go_by_their_beginning() {
        let of = |prefix: &str| format!("{prefix}{}", "aB3dE6gH9jK2mN5p");
        for prefix in [
            "AIza",
            "AKIA",
            "ASIA",
            "dop_v1_",
            "ghp_",
            "gho_",
            "ghs_",
            "ghu_",
            "github_pat_",
            "glpat-",
            "glsa_",
            "hf_",
            "npm_",
            "NRAK-",
            "pypi-",
            "rk_live_",
            "shpat_",
            "sk-ant-",
            "sk-proj-",
            "sk_live_",
            "sk_test_",
            "sntrys_",
            "whsec_",
            "xapp-",
            "xoxb-",
        ] {
            let key = format!("{}7Q", of(prefix));
            assert_eq!(clean(&key), "[REDACTED_TOKEN]", "{key}");
            assert_eq!(clean(&format!("refused {key} there")), "refused [REDACTED_TOKEN] there");
        }
        assert_eq!(clean(&format!("refused dp.pt.{}7Q2x there", of(""))), "refused dp.pt.[REDACTED_TOKEN] there");
        // All key ids of AWS have twenty characters.
        assert_eq!(clean(&of("AKIA")), "[REDACTED_TOKEN]");
        for text in ["AKIAIOSFODNN7EXAMPL", "ghp_0123456789abcde", "npm_config_cache", "a dp.pt.short"] {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn a_token_has_at_least_sixteen_characters_whatever_is_set() {
        let rules = Redactor::new(Arc::new(super::super::Redaction::default().token_length(4)), false);

        assert_eq!(scrub(&rules, "fifteen letters: abcdefghijklmno"), "fifteen letters: abcdefghijklmno");
        assert_eq!(scrub(&rules, "sixteen letters: abcdefghijklmnop"), "sixteen letters: [REDACTED_TOKEN]");
    }

    #[test]
    fn a_placeholder_that_may_begin_a_value_hides_all_the_same() {
        for placeholder in ["", "*", "-", "x"] {
            let rules = Redactor::new(Arc::new(super::super::Redaction::default().placeholder(placeholder)), false);
            for (text, before, after) in [
                ("password=xhunter2 n=1", "password=", " n=1"),
                ("password=\"*hunter2\"", "password=\"", "\""),
                ("sent Bearer x-*bcdef123456 to upstream", "sent Bearer ", " to upstream"),
                ("https://hooks.slack.com/services/x-*T0/B0", "https://hooks.slack.com/services/", ""),
            ] {
                assert_eq!(scrub(&rules, text), format!("{before}{placeholder}{after}"));
            }
        }
    }

    #[test]
    fn ordinary_texts_stay() {
        for text in [
            "",
            "connection refused (os error 111)",
            "SELECT * FROM users WHERE id = $1",
            "app::auth::Session::load",
            "token::Kind == token::Kind::Word",
            "failed to refresh token: connection refused",
            "could not load session: timeout",
            "duplicate key: users_pkey (23505)",
            "invalid password: too short",
            "basic usage of the bearer of bad news",
            "at 1795168800412 took 12ms, order 4111111111111112",
            "https://user.example/path?a=b mail me@example.org",
            "/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.54.1/src/runtime/scheduler/multi_thread/worker.rs",
            "2026-11-20T10:00:00Z 771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1",
            "author: Jane, keyboard: qwerty, cache.key=cart:7",
        ] {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn sixty_three_stay_and_sixty_four_go() {
        assert_eq!(clean(&"a".repeat(63)), "a".repeat(63));
        assert_eq!(clean(&"a".repeat(64)), "[REDACTED_TOKEN]");
    }

    proptest! {
        #[test]
        fn scrubbing_twice_is_scrubbing_once(text in "(token|password|Cookie|x-api-key|:|=|&|,|;|\\]|\\{|\\(|%5F|\n|//|@| |\"|Bearer|[a-z]{1,9}|[0-9]{1,19}|\\\\|\\[|\\{|Some\\(){0,12}") {
            let once = clean(&text);

            prop_assert_eq!(clean(&once), once, "from {:?}", text);
        }

        #[test]
        fn any_text_is_taken(text in ".{0,300}") {
            let _ = clean(&text);
        }
    }
}
