//! Classifies a value without its name: no secret at all, words, opaque or random.

use std::collections::HashSet;

use super::names::Level;
use crate::fork::Lazy;

/// The class of a value, whatever its name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ValueClass {
    /// It shows that there is no secret: `None`, `true`, `<password>`, `$1`, `***`, `expired`.
    Nothing,
    /// A number with this many digits.
    Number(usize),
    /// Words and small numbers: `orders-db`, `2026-11-20`, `user:17:profile`.
    Words,
    /// Anything else.
    Opaque,
    /// Long, with letters and digits mixed at random.
    Random,
}

/// Whether a value under a name of this level is hidden.
///
/// `is_numeric` means that the name is one of numbers, such as `pin`.
pub(super) fn is_hidden(level: Level, value: &str, is_numeric: bool, is_plural: bool) -> bool {
    level > Level::Harmless
        && is_hidden_class(level, class(value), is_numeric, is_plural)
        && !(level == Level::IfRandom && is_cache_key(value))
}

/// Whether a value consists of words with an id after or between them: `Linux-cargo-9f86d081…`, `shop:cart:0b7f7a0e-…`.
fn is_cache_key(value: &str) -> bool {
    let is_behind_words = value.rsplit_once('-').is_some_and(|(words, digest)| words.contains('-') && is_digest(digest) && is_words(words));
    let is_word = |part: &str| is_words(part) && part.bytes().any(|byte| byte.is_ascii_alphabetic());
    is_behind_words
        || value
            .split_once([':', '/'])
            .is_some_and(|(first, rest)| is_word(first) && rest.split([':', '/']).all(|part| is_words(part) || is_digest(part)))
}

/// Whether a value of a class is hidden under a name of this level.
pub(super) fn is_hidden_class(level: Level, class: ValueClass, is_numeric: bool, is_plural: bool) -> bool {
    match (class, level) {
        (ValueClass::Nothing, _) | (_, Level::Harmless) => false,
        (ValueClass::Random, _) => true,
        (_, Level::IfRandom) => false,
        (ValueClass::Opaque, _) => true,
        // A number alone: `pin=4711`, but `session=3`, `tokens=1200`.
        (ValueClass::Number(digits), level) => digits >= 3 && level >= Level::Likely && (is_numeric || (digits >= 4 && !is_plural)),
        (ValueClass::Words, level) => level >= Level::Likely,
    }
}

/// Words that describe a value and are not secret: states, methods, providers, types.
static PLAIN: Lazy<HashSet<&str>> = Lazy::new(|| include_str!("plain_words.txt").lines().flat_map(str::split_whitespace).collect());

/// Words that sentences consist of.
static COMMON: Lazy<HashSet<&str>> = Lazy::new(|| include_str!("common_words.txt").lines().flat_map(str::split_whitespace).collect());

/// Whether a lower-case word is one that sentences consist of.
pub(super) fn is_common(word: &str) -> bool {
    COMMON.contains(word) || PLAIN.contains(word)
}

/// Returns the class of a value.
pub(super) fn class(value: &str) -> ValueClass {
    let value = value.trim();
    // The most frequent secret: letters and digits in a mixture that no word and no placeholder has.
    if value.len() >= 16 && value.bytes().all(|byte| byte.is_ascii_alphanumeric()) && is_mixed(value) {
        return ValueClass::Random;
    }
    if is_nothing(value) {
        return ValueClass::Nothing;
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    if digits == value.len() {
        return ValueClass::Number(digits);
    }
    if is_words(value) {
        return ValueClass::Words;
    }
    if is_random(value) { ValueClass::Random } else { ValueClass::Opaque }
}

/// Whether a value shows that there is no secret, or only where the secret comes from.
pub(super) fn is_nothing(value: &str) -> bool {
    if value.is_empty() {
        return true;
    }
    let bare = value.trim_end_matches(['.', ',', ';', '!']);
    let lower = bare.to_ascii_lowercase();
    is_mask(bare)
        || is_placeholder(value)
        || is_file(bare)
        || is_named_digest(value)
        || PLAIN.contains(lower.as_str())
        || is_type(bare)
        || is_sentence(&lower)
}

/// `***`, `xxxx`, `[REDACTED]`, `<hidden>`, `(none)`: the whole value is a placeholder.
fn is_mask(value: &str) -> bool {
    let mut letters = value.chars();
    let first = letters.next().unwrap_or(' ');
    // `***-**-6789`, `sk-****abcd`: the end is shown on purpose.
    let stars = value.chars().filter(|letter| matches!(letter, '*' | '•')).count();
    if stars >= 3 && value.chars().filter(|letter| letter.is_alphanumeric()).count() <= 6 {
        return true;
    }
    let is_repeated = value.chars().count() >= 3
        && matches!(first, '*' | 'x' | 'X' | '.' | '•' | '#' | '-' | '_' | '?')
        && letters.all(|letter| letter == first);
    is_repeated || is_bracketed_word(value)
}

fn is_bracketed_word(value: &str) -> bool {
    let stripped = |open: char, close: char| value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    if let Some(word) = stripped('(', ')').or_else(|| stripped('{', '}')) {
        // Other text in parentheses may be the value itself: `Key (token)=(…)`.
        return word.is_empty()
            || matches!(word, "sensitive value" | "known after apply" | "sensitive")
            || PLAIN.contains(word.to_ascii_lowercase().as_str());
    }
    let inner = stripped('[', ']').or_else(|| stripped('<', '>'));
    // Rust's `Secret` says `[REDACTED alloc::string::String]`.
    inner.is_some_and(|word| {
        let word = word.trim_start_matches("REDACTED ").trim_start_matches("redacted ");
        !word.is_empty()
            && word.len() <= 40
            && word.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b' ' | b':'))
    })
}

/// A place for a value: `?`, `$1`, `:name`, `%s`, `${NAME}`, `{{ name }}`, `$NAME`, `process.env.NAME`.
fn is_placeholder(value: &str) -> bool {
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'-' | b' '));
    let is_capital = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let is_short_number = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if matches!(value, "_" | "?" | "%s" | "%d" | "%v" | "%q" | "{}" | "{:?}" | "|" | ">" | "|-" | ">-" | "\\") {
        return true;
    }
    let stripped = |open: &str, close: &str| value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    value.strip_prefix('$').is_some_and(|rest| is_short_number(rest) || is_capital(rest))
        || value.strip_prefix('?').is_some_and(is_short_number)
        || value.strip_prefix(':').is_some_and(|rest| is_name(rest) || is_short_number(rest))
        || value.strip_prefix("@p").is_some_and(is_short_number)
        // SQL Server, Ruby
        || value.strip_prefix('@').is_some_and(|rest| rest.len() >= 2 && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        || stripped("${", "}").is_some_and(|inner| inner.len() <= 64 && !inner.contains(":-"))
        || stripped("$(", ")").is_some()
        || value.starts_with("cat /")
        || stripped("{{", "}}").is_some_and(|inner| inner.len() <= 80)
        || value.strip_prefix('!').is_some_and(|tag| tag.len() >= 3 && is_name(tag))
        || value.starts_with("ENC[")
        || value.starts_with("@Microsoft.KeyVault(")
        || stripped("#{", "}").is_some()
        || ["YOUR_", "YOUR-", "your_", "your-", "MY_", "my_"].iter().any(|start| value.strip_prefix(start).is_some_and(is_name))
        || stripped("%(", ")s").is_some_and(is_name)
        || stripped("%", "%").is_some_and(is_capital)
        || is_call(value)
        || [
            "process.env.",
            "ENV[",
            "os.environ",
            "env.",
            "env(",
            "secrets.",
            "vault:",
            "var.",
            "data.",
            "local.",
            "module.",
            "random_password.",
            "options.",
            "settings.",
            "config.",
            "props.",
            "req.",
            "request.",
            "self.",
            "this.",
        ]
        .iter()
        .any(|start| value.starts_with(start))
}

/// The path of a file that contains the value: `/run/secrets/db`.
fn is_file(value: &str) -> bool {
    value.strip_prefix('/').is_some_and(|path| {
        let part = |part: &str| is_words(part) && part.bytes().any(|byte| byte.is_ascii_alphabetic());
        path.len() >= 3 && path.trim_end_matches('/').split('/').all(part)
    })
}

/// `sha256:…`: the digest of something public.
fn is_named_digest(value: &str) -> bool {
    value.strip_prefix("sha256:").is_some_and(|digest| digest.len() == 64 && is_digest(digest))
}

/// A call in a program: `hash(password)`, `require('auth')`.
pub(super) fn is_call(value: &str) -> bool {
    let inner = |text: &str| {
        let is_path = text.starts_with("\"/") || text.starts_with("'/");
        text.bytes()
            .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'\'' | b'"' | b',' | b':') || is_path && byte != b' ')
    };
    value.trim_end_matches(['?', ';']).split_once('(').is_some_and(|(name, rest)| {
        (name.starts_with(|first: char| first.is_ascii_lowercase()) || name.contains('.'))
            && inner(name)
            && rest.strip_suffix(')').is_some_and(inner)
    })
}

/// A type's name: `String`, `&str`, `Option<Token>`, `Vec<u8>`.
fn is_type(value: &str) -> bool {
    const TYPES: [&str; 22] = [
        "String",
        "str",
        "&str",
        "&String",
        "Token",
        "&Token",
        "Session",
        "&Session",
        "Password",
        "&Password",
        "Secret",
        "Key",
        "&Key",
        "Credentials",
        "u8",
        "u32",
        "u64",
        "i64",
        "&[u8]",
        "Bytes",
        "SecretString",
        "Cookie",
    ];
    TYPES.contains(&value)
        || ["Option<", "Vec<", "Secret<", "Arc<", "Box<", "Cow<", "HashMap<", "Result<", "&mut "]
            .iter()
            .any(|start| value.starts_with(start))
}

/// Whether several words are a sentence about the value: `must not be empty`.
fn is_sentence(lower: &str) -> bool {
    let (mut all, mut common) = (0, 0);
    for word in lower.split_ascii_whitespace() {
        let word = word.trim_matches(|letter: char| letter.is_ascii_punctuation());
        if word.bytes().any(|byte| !byte.is_ascii_alphabetic() && byte != b'\'' && byte != b'-') {
            return false;
        }
        all += 1;
        common += usize::from(COMMON.contains(word) || PLAIN.contains(word));
    }
    (2..=40).contains(&all) && common * 2 >= all && common >= 2
}

/// Whether a value is words and small numbers, separated by signs: what a person writes to name something.
pub(super) fn is_words(value: &str) -> bool {
    let (mut parts, mut mixed, mut total) = (0_usize, 0_usize, 0_usize);
    for part in value.split(|letter: char| {
        matches!(letter, '-' | '_' | '.' | ':' | '/' | ' ' | ',' | '+' | ';' | '@' | '=' | '(' | ')' | '?' | '&' | '%' | '|' | '*')
    }) {
        if part.is_empty() {
            continue;
        }
        if !part.chars().all(char::is_alphanumeric) {
            return false;
        }
        parts += 1;
        total += part.len();
        if is_word(part) {
            continue;
        }
        mixed += part.len();
    }
    parts > 0 && (mixed == 0 || mixed * 4 <= total) && !is_number_chain(value, parts)
}

/// Digits in groups, as of a card or a telephone, are not words.
fn is_number_chain(value: &str, parts: usize) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    parts > 1 && digits >= 12 && !value.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// A word, a small number, or a word with a small number: `orders`, `2026`, `v2`, `eu1`, `sha256`.
fn is_word(part: &str) -> bool {
    let letters = part.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let digits = part.len() - letters.len();
    if letters.is_empty() {
        return digits <= 10;
    }
    if letters.bytes().any(|byte| byte.is_ascii_digit()) {
        // `1234px`, `24h`, `20T10`, `3x`, `S3`.
        let after = letters.trim_start_matches(|letter: char| letter.is_ascii_digit());
        return part.len() <= 6 && after.bytes().all(|byte| byte.is_ascii_alphabetic());
    }
    // With digits it must be a known kind of word: a person's password is often a word with a number.
    (digits == 0 || letters.len() <= 3 && digits <= 2 || matches!(letters, "sha" | "utf" | "argon") && digits <= 3)
        && is_cased(letters)
        && letters.len() <= 24
}

/// Whether the case of the letters is that of words: `words`, `Words`, `WORDS`, `camelCase`.
pub(super) fn is_cased(letters: &str) -> bool {
    let changes = letters
        .as_bytes()
        .windows(2)
        .filter(|pair| pair.first().is_some_and(u8::is_ascii_lowercase) && pair.last().is_some_and(u8::is_ascii_uppercase))
        .count();
    let capitals = letters.bytes().filter(u8::is_ascii_uppercase).count();
    // Words have several letters: `parseResponse`, but not `QmMx`.
    let is_choppy = capitals >= 3 && letters.len() < 4 * capitals;
    capitals == 0
        || capitals == letters.len()
        || !is_choppy && changes * 5 <= letters.len() && (capitals <= changes + 1 || capitals * 4 <= letters.len())
}

/// Whether a value is long, and has letters and digits mixed at random.
pub(super) fn is_random(value: &str) -> bool {
    value.len() >= 16 && is_mixed(value)
}

/// Whether a value has letters and digits, or capitals, mixed at random.
pub(super) fn is_mixed(value: &str) -> bool {
    if value.contains(char::is_whitespace) || is_words(value) {
        return false;
    }
    let bytes = value.as_bytes();
    let has = |test: fn(&u8) -> bool| bytes.iter().any(test);
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    (digits > 0 && has(u8::is_ascii_alphabetic)) || (has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase))
}

/// Whether a text is the hexadecimal form of an id, a commit or a digest, or a UUID.
pub(super) fn is_digest(value: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match value.len() {
        24 | 32 | 40 | 56 | 64 | 96 | 128 => is_hex(value),
        36 => value
            .bytes()
            .enumerate()
            .all(|(place, byte)| if matches!(place, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() }),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
