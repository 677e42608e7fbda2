//! Finds names and their values in a text: `name=value`, `"name": "value"`, `name: …, value: …`.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::beside;
use super::cursor::{Reading, Scan, Step, is_run};
use super::finding::{Rule, Secret};
use super::names::{self, Level};
use super::shape::{secret_in_sentence, with_private_key};
use super::value::{Extent, Form, value};
use super::value_class::{self, ValueClass};
use super::verdict::judge;

/// Only the last bytes of a longer name are judged.
const NAME_LIMIT: usize = 128;

/// Finds the value after `name=`, `name: ` or `"name":` if it is secret.
///
/// `run` is the one before the sign at `sign`.
pub(super) fn named_value(scan: &Scan<'_>, run: &Range<usize>, sign: usize) -> Option<Step> {
    let text = scan.text;
    let bytes = text.as_bytes();
    let is_beyond_ascii = sign.checked_sub(1).and_then(|at| bytes.get(at)).is_some_and(|byte| !byte.is_ascii());
    let behind_letters = sign..sign;
    let run = if is_beyond_ascii { &behind_letters } else { run };
    let gap = bytes.get(run.end..sign)?;
    if (run.is_empty() && !is_beyond_ascii)
        || (gap.len() > 4 && !(gap.len() <= 48 && gap.iter().all(|byte| *byte == b' ')))
        || !gap.iter().all(|byte| matches!(byte, b'"' | b'\'' | b'\\' | b' ' | b']' | b')' | b'`'))
    {
        return escaped_name(scan, sign);
    }
    // The token of a device: `…:APA91b…`.
    if gap.is_empty() && text.get(sign + 1..).is_some_and(|after| after.starts_with("APA91b")) {
        let after = text.get(sign + 1..)?;
        let len =
            after.find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '+' | '/'))).unwrap_or(after.len());
        return Some(Step::Secret(Secret::token(run.start..sign + 1 + len, Rule::Key)));
    }
    let is_sign = |at: usize| bytes.get(at).is_some_and(|byte| matches!(byte, b':' | b'='));
    if matches!(text.get(run.clone()), Some("u0022" | "x22" | "quot")) {
        return escaped_name(scan, sign);
    }
    // `token::Kind` and `a == b` are not pairs; `:=` and `=>` are.
    let sign_end = match bytes.get(sign..sign + 2) {
        Some(b"=>" | b":=") => sign + 2,
        // LDIF: a value in base64.
        Some(b"::") if bytes.get(sign + 2) == Some(&b' ') => sign + 2,
        // `arn:aws:secretsmanager:…`: names with colons between them.
        Some([b':', next]) if *next != b' ' && run.end == sign && run.start > 0 && bytes.get(run.start - 1) == Some(&b':') => return None,
        // `=:name` is a place in a statement.
        _ if is_sign(sign + 1) && bytes.get(sign..sign + 2) != Some(b"=:") || sign.checked_sub(1).is_some_and(is_sign) => return None,
        _ => sign + 1,
    };
    let name = whole_name(text, run);
    let sign_before = name.start.checked_sub(1).and_then(|before| bytes.get(before));
    let is_parameter = bytes.get(sign) == Some(&b'=') && matches!(sign_before, Some(b'?' | b'&' | b'#' | b';'));
    let decoded = decoded(text.get(name.clone())?);
    let rest = text.get(sign_end..)?;
    let before = text.get(..name.start)?;
    // `${TOKEN:?missing}` and Go's `--- PASS: TestLogin` are no pairs.
    if is_place(&decoded, rest) || before.ends_with("--- ") || (before.ends_with("${") && !rest.starts_with('-')) {
        return None;
    }
    let own = level(scan, &decoded, is_parameter, text, name.start);
    let level = if own == Level::Harmless { level_around(text, &name, gap, is_beyond_ascii) } else { own };
    if level == Level::Harmless {
        if is_public_value(&decoded, text, name.start) {
            return value(rest, Form::Value).map(|held| Step::Skip(sign_end + held.range.end));
        }
        return beside::beside(scan, &decoded, rest, sign_end);
    }
    // A key of PuTTY: its lines follow their number.
    if decoded == "Private-Lines" {
        let line = rest.find('\n')? + 1;
        let len = rest.get(line..)?.find("\nPrivate-MAC").unwrap_or(rest.len() - line);
        return Some(Step::Secret(Secret::value(sign_end + line..sign_end + line + len, Rule::PrivateKey)));
    }
    let form = form(&decoded, is_parameter);
    let Extent { mut range, is_quoted, mut is_wrapped } = value(rest, form)?;
    if !scan.may_read(range.end) {
        return Some(Step::Secret(Secret::value(sign_end..text.len(), Rule::Name)));
    }
    // In `token: String = "…"`, the type of the value follows the name.
    if !is_quoted
        && let Some(after) = rest.get(range.end..).and_then(|after| after.strip_prefix(" = "))
        && let Some(typed) = value(after, form)
    {
        let start = rest.len() - after.len();
        range = start + typed.range.start..start + typed.range.end;
        is_wrapped = typed.is_wrapped;
    }
    // Terraform shows a change: `"old" -> "new"`.
    if is_quoted && let Some(after) = rest.get(range.end..).and_then(|after| after.strip_prefix("\" -> \"")) {
        range.end = rest.len() - after.len() + after.find('"')?;
    }
    let held = rest.get(range.clone())?;
    // `Authorization: Bearer ${TOKEN}`, `Set-Cookie: session=; Max-Age=0`
    if form == Form::Credential && says_nothing(held) {
        return None;
    }
    if !is_quoted && held.ends_with(':') && rest.get(range.end..)?.starts_with(' ') {
        // The next name.
        return None;
    }
    // PHP: `["secret":protected]=>`
    if held.starts_with("protected]=>") || held.starts_with("private]=>") {
        return None;
    }
    // Terraform: `aws_access_key.deploy: Creating...`
    if decoded.contains('.') && bytes.get(sign) == Some(&b':') && is_progress(held) {
        return None;
    }
    let is_prose = bytes.get(sign) == Some(&b':') && rest.starts_with(' ') && !is_quoted && form == Form::Value;
    if is_prose && is_phrase(held, rest.get(range.end..)?, level) {
        return None;
    }
    // `session:list` and `token:refresh` are names in a namespace.
    if bytes.get(sign) == Some(&b':') && range.start == 0 && !is_quoted && level < Level::Sure && value_class::is_common(held) {
        return None;
    }
    let own = scan.redactor.is_hidden_by_user(&decoded);
    if !own && !is_secret(level, &decoded, held, is_wrapped) {
        return if names::names_a_name(&decoded) { beside::value_beside(scan, rest, sign_end).map(Step::Secret) } else { None };
    }
    // `acme/auth-proxy:v7.4.0`: an image and its version.
    if before.ends_with('/') && bytes.get(sign) == Some(&b':') && value_class::class(held) < ValueClass::Opaque {
        return None;
    }
    let range = with_private_key(text, sign_end + range.start..sign_end + range.end);
    let secret = if is_prose { secret_in_sentence(scan, range, Rule::Name) } else { Secret::value(range, Rule::Name) };
    Some(Step::Secret(secret))
}

/// Whether a long and random value is public: the id of a key or an answer, the modulus of a JSON Web Key.
fn is_public_value(name: &str, text: &str, at: usize) -> bool {
    match name.len() {
        1 => matches!(name, "n" | "x" | "y") && is_in_web_key(text, at),
        3..=11 => ["kid", "x5t", "etag", "x-amz-id-2", "x-amz-cf-id"].iter().any(|known| name.eq_ignore_ascii_case(known)),
        _ => false,
    }
}

/// The level of a pair, from the text around its name.
fn level_around(text: &str, name: &Range<usize>, gap: &[u8], is_beyond_ascii: bool) -> Level {
    let before = text.get(..name.start).unwrap_or_default();
    let word = text.get(name.clone()).unwrap_or_default();
    // `passwd[root]=…`, `["secret":protected]=>`
    if gap.contains(&b']') {
        let from = (name.start.saturating_sub(64)..=name.start).find(|at| text.is_char_boundary(*at)).unwrap_or(name.start);
        let around = text.get(from..name.start).unwrap_or_default();
        let split = |part: &str| {
            part.rsplit(|letter: char| !(letter.is_alphanumeric() || letter == '_')).find(|part| !part.is_empty()).map(str::to_owned)
        };
        return split(around).map_or(Level::Harmless, |name| judge(&name).field);
    }
    if word == "Private-Lines" {
        return Level::Sure;
    }
    // Windows: `/p:…`; SQLite: `PRAGMA key='…'`; PostgreSQL: `$1 = '…'`.
    if word.eq_ignore_ascii_case("p") && before.ends_with(" /") {
        return Level::Sure;
    }
    let ends = |text: &str, end: &str| {
        text.len().checked_sub(end.len()).and_then(|at| text.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    if word.len() <= 5 && ends(word, "key") && ends(before, "PRAGMA ") {
        return Level::Sure;
    }
    if before.ends_with('$') && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return bound(before, word);
    }
    // A JSON Web Key: `{"kty":"oct","k":"…"}`.
    if matches!(word, "d" | "k" | "p" | "q" | "dp" | "dq" | "qi") && before.ends_with(['"', '\\']) && is_in_web_key(text, name.start) {
        return Level::Likely;
    }
    // `Пароль от сервера: …`
    if is_beyond_ascii {
        let line = before.rsplit(['\n', '.', ',', ';']).next().unwrap_or_default();
        if line.len() <= 120 && line.split(' ').any(|word| !word.is_ascii() && judge(word).field == Level::Sure) {
            return Level::Likely;
        }
    }
    Level::Harmless
}

/// Whether a field belongs to a JSON Web Key: the type of the key is near.
fn is_in_web_key(text: &str, at: usize) -> bool {
    const NEAR: usize = 600;
    let from = at.saturating_sub(NEAR);
    text.as_bytes().get(from..(at + NEAR).min(text.len())).is_some_and(|near| near.windows(4).any(|four| four == b"\"kty"))
}

/// The level of the name that a numbered placeholder belongs to: `password=$1`.
fn bound(before: &str, number: &str) -> Level {
    let from = (before.len().saturating_sub(4096)..=before.len()).find(|at| before.is_char_boundary(*at)).unwrap_or_default();
    let before = before.get(from..).unwrap_or_default();
    let place = format!("${number}");
    before.match_indices(&place).take(8).fold(Level::Harmless, |level, (at, _)| {
        let name = before.get(..at).unwrap_or_default().trim_end_matches([' ', '=']);
        let name = name.rsplit(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).next().unwrap_or_default();
        level.max(judge(name).field)
    })
}

/// Finds the value after a full-width sign, as in Chinese and Japanese: `密码：…`.
pub(super) fn wide(scan: &Scan<'_>, run: &Range<usize>, sign: usize) -> Option<Step> {
    let rest = scan.text.get(sign..)?.strip_prefix(['：', '＝'])?;
    let behind_letters = sign..sign;
    let name = whole_name(scan.text, if run.end == sign { run } else { &behind_letters });
    let decoded = scan.text.get(name)?;
    let level = judge(decoded).field;
    let start = scan.text.len() - rest.len();
    let Extent { range, is_wrapped, .. } = value(rest, Form::Value).filter(|_| level > Level::Harmless)?;
    is_secret(level, decoded, rest.get(range.clone())?, is_wrapped)
        .then(|| Step::Secret(Secret::value(start + range.start..start + range.end, Rule::Name)))
}

/// Quotes as HTML and JavaScript write them.
const ESCAPED_QUOTES: [&str; 7] = ["&quot;", "&#34;", "&#39;", "&apos;", "&#x27;", "\\u0022", "\\x22"];

/// Finds the value of a name in escaped quotes: `&quot;name&quot;:&quot;value&quot;`.
fn escaped_name(scan: &Scan<'_>, sign: usize) -> Option<Step> {
    let text = scan.text;
    // Nearly every sign ends here.
    if !matches!(text.as_bytes().get(sign.checked_sub(1)?)?, b';' | b'2') {
        return None;
    }
    let before = text.get(..sign)?;
    let (quote, before) = ESCAPED_QUOTES.iter().find_map(|quote| Some((*quote, before.strip_suffix(quote)?)))?;
    let from = (before.len().saturating_sub(NAME_LIMIT)..=before.len()).find(|at| before.is_char_boundary(*at))?;
    let name = before.get(from..)?.rsplit(quote).next()?;
    let rest = text.get(sign + 1..)?;
    let rest = rest.trim_start_matches(' ');
    let held = rest.strip_prefix(quote)?;
    let start = text.len() - held.len();
    // A text may be cut.
    let len = held.find(quote).unwrap_or(held.len());
    let level = judge(name).field;
    let is_hidden = scan.may_read(len) && value_class::is_hidden(level, held.get(..len)?, names::is_numeric(name), names::is_plural(name));
    (is_hidden || scan.redactor.is_hidden_by_user(name)).then(|| Step::Secret(Secret::value(start..start + len, Rule::Name)))
}

/// Whether a scheme is followed by a placeholder, or a cookie is deleted.
fn says_nothing(held: &str) -> bool {
    let is_cleared = held.contains(';') && held.split(';').next().is_some_and(|first| first.ends_with('='));
    is_cleared || held.split_once(' ').is_some_and(|(_, given)| value_class::is_nothing(given.trim_end_matches(['"', '\''])))
}

/// Whether a value is one word of a sentence: a capital, followed by small letters.
fn is_progress(held: &str) -> bool {
    let word = held.trim_end_matches('.');
    let mut letters = word.bytes();
    word.len() >= 5 && letters.next().is_some_and(|first| first.is_ascii_uppercase()) && letters.all(|letter| letter.is_ascii_lowercase())
}

/// Whether the name is that of a file, and a line's number follows: `session.js:12:9`.
fn is_place(name: &str, rest: &str) -> bool {
    rest.starts_with(|first: char| first.is_ascii_digit())
        && name.rsplit_once('.').is_some_and(|(_, extension)| {
            const EXTENSIONS: &str =
                "js mjs cjs ts tsx jsx vue py rs go java kt scala rb php cs c cc cpp h hpp swift ex exs erl sql sh yml yaml";
            super::name_words::is_listed_word(EXTENSIONS, extension)
        })
}

/// Whether a value under this name is secret.
pub(super) fn is_secret(level: Level, name: &str, held: &str, is_wrapped: bool) -> bool {
    if is_wrapped {
        return is_wrapped_secret(level, name, held);
    }
    // `security code: 123`: the word before made it sure.
    value_class::is_hidden(level, held, level == Level::Sure || names::is_numeric(name), names::is_plural(name))
}

/// Whether one of the values in a list, a map or a type is secret: `Some("…")`, but not `Some(true)`.
fn is_wrapped_secret(level: Level, name: &str, held: &str) -> bool {
    if (held.starts_with("{{") || matches!(held, "(sensitive value)" | "(known after apply)")) && value_class::is_nothing(held) {
        return false;
    }
    // `Some(None)`, `Secret([REDACTED …])`
    let mut peeled = held;
    for _ in 0..4 {
        if value_class::is_nothing(peeled) && !peeled.starts_with(['(', '{']) {
            return false;
        }
        let path = peeled.find(['(', '[', '{']).unwrap_or(peeled.len());
        let Some(inside) = peeled.get(path + 1..).and_then(|rest| rest.strip_suffix([')', ']', '}'])) else { break };
        peeled = inside.trim();
    }
    if peeled.is_empty() {
        return false;
    }
    let inner = held.trim_start_matches(|letter: char| letter.is_alphanumeric() || matches!(letter, '_' | ':' | ' '));
    let mut end = 0;
    let mut field = "";
    inner.split(['"', '\'', ',', '(', ')', '[', ']', '{', '}']).any(|part| {
        let after = inner.get(end + part.len()..).unwrap_or_default().trim_start_matches(['"', '\'']);
        end += part.len() + 1;
        let part = part.trim();
        // The name of a field in a map is not a value.
        let is_name = part.ends_with(':') || after.trim_start().starts_with(':');
        if is_name {
            field = part;
        }
        // `"session": {"ttl": 3600}`
        let level = |field: &str| if field.is_empty() { level } else { judge(&[name, "_", field].concat()).field.min(level) };
        if part.is_empty() || is_name || part == ":" {
            return false;
        }
        let part = part.trim_start_matches([':', ' ']);
        let level = level(std::mem::take(&mut field).trim_end_matches(':'));
        value_class::is_hidden(level, part, names::is_numeric(name), names::is_plural(name))
    })
}

/// The name in front of a sign: `cache.key` is one name, not a `key`.
///
/// The limit keeps long names cheap.
pub(super) fn whole_name(text: &str, run: &Range<usize>) -> Range<usize> {
    let bytes = text.as_bytes();
    let before = bytes.get(run.start.saturating_sub(NAME_LIMIT)..run.start).unwrap_or_default();
    let dotted = before.iter().rev().take_while(|byte| matches!(**byte, b'.' | b'%' | 0x80..) || is_run(**byte)).count();
    // In `%3Ftoken=`, the name begins after the encoded sign.
    let mut start = run.start - dotted;
    let name = text.get(start..run.end).unwrap_or_default();
    if !name.contains('%') {
        return start..run.end;
    }
    for sign in ["%3F", "%3f", "%26", "%23", "%3D", "%3d", "%22", "%20"] {
        if let Some(at) = name.rfind(sign) {
            start = start.max(run.start - dotted + at + sign.len());
        }
    }
    start..run.end
}

/// The level of a name at its place in a text.
fn level(scan: &Scan<'_>, name: &str, is_parameter: bool, text: &str, start: usize) -> Level {
    let verdict = judge(name);
    let mut level = verdict.field;
    if scan.redactor.is_hidden_by_user(name) {
        return Level::Sure;
    }
    if is_parameter {
        level = level.max(verdict.parameter);
    } else if scan.reading == Reading::Body {
        // In JSON the word of a `code` says what kind something has.
        level = level.max(verdict.parameter.min(Level::IfOpaque));
    }
    if name.contains('-') && !name.starts_with('-') {
        // A map of headers in `Debug` output.
        let lower = name.to_ascii_lowercase();
        let verdict = judge(&lower);
        level = level.max(verdict.header);
        if scan.redactor.hides_person(verdict) || scan.redactor.rules.withholds(&lower) {
            level = Level::Sure;
        }
    }
    if level == Level::Likely
        && let Some((at, _)) = name.rmatch_indices('.').nth(1)
        && let Some(end) = name.get(at + 1..)
    {
        // `module.auth.aws_role.deploy` is not about a login.
        level = level.min(judge(end).field);
    }
    if name == "passe" && text.get(..start).is_some_and(|before| before.to_ascii_lowercase().ends_with("mot de ")) {
        return Level::Sure;
    }
    let is_equal = text.as_bytes().get(start + name.len()) == Some(&b'=');
    if level < Level::IfOpaque
        && !is_equal
        && ["key", "code", "codes", "phrase", "number"].iter().any(|last| name.eq_ignore_ascii_case(last))
    {
        // `api key: …`, `verification code: …`.
        let before = text.get(start.saturating_sub(24)..start).and_then(|before| before.strip_suffix(' '));
        if let Some(word) = before.and_then(|before| before.rsplit(|letter: char| !(letter.is_alphanumeric() || letter == '-')).next()) {
            level = level.max(judge(&[word, " ", name].concat()).field);
            if word.eq_ignore_ascii_case("your") && name.eq_ignore_ascii_case("code") {
                level = level.max(Level::Likely);
            }
        }
    }
    level
}

/// The form that the value of a name has.
fn form(name: &str, is_parameter: bool) -> Form {
    let lower = name.to_ascii_lowercase();
    if is_parameter {
        Form::Parameter
    } else if ["authorization", "cookie"].iter().any(|ending| lower.ends_with(ending)) {
        Form::Credential
    } else if lower.ends_with("codes") {
        Form::List
    } else if ["phrase", "mnemonic", "seed"].iter().any(|ending| lower.ends_with(ending)) {
        Form::Phrase
    } else {
        Form::Value
    }
}

/// Whether a value is prose: `invalid token: connection refused` names a cause, not a token.
fn is_phrase(held: &str, after: &str, level: Level) -> bool {
    let word = held.trim_end_matches(['.', ',', ';', ')', ':']);
    let is_word = word.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'\'' | b'-'));
    let next = after.strip_prefix(", ").or_else(|| after.strip_prefix(' ')).unwrap_or_default();
    let goes_on = next.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '(');
    let is_common = value_class::is_common(&word.to_ascii_lowercase());
    (is_common && (goes_on || after.is_empty())) || is_word && (is_common || level < Level::Sure && goes_on || level < Level::Likely)
}

fn decoded(name: &str) -> Cow<'_, str> {
    if name.contains('%') { percent_decode_str(name).decode_utf8_lossy() } else { Cow::Borrowed(name) }
}
