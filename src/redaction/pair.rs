//! Names and their values in a text: `name=value`, `"name": "value"`, `("name", "value")`, `<name>value</name>`.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::cursor::{Scan, Step, is_run};
use super::finding::{Rule, Secret};
use super::names::{self, Level};
use super::shape::with_private_key;
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
    let gap = bytes.get(run.end..sign)?;
    if run.is_empty() || gap.len() > 4 || !gap.iter().all(|byte| matches!(byte, b'"' | b'\'' | b'\\' | b' ' | b']' | b')' | b'`')) {
        return None;
    }
    let is_sign = |at: usize| bytes.get(at).is_some_and(|byte| matches!(byte, b':' | b'='));
    // `token::Kind` and `a == b` are not pairs; `:=` and `=>` are.
    let sign_end = match bytes.get(sign..sign + 2) {
        Some(b"=>" | b":=") => sign + 2,
        // `arn:aws:secretsmanager:…`: names with colons between them.
        Some([b':', next]) if *next != b' ' && run.end == sign && run.start > 0 && bytes.get(run.start - 1) == Some(&b':') => return None,
        _ if is_sign(sign + 1) || sign.checked_sub(1).is_some_and(is_sign) => return None,
        _ => sign + 1,
    };
    let name = whole_name(text, run);
    let before = name.start.checked_sub(1).and_then(|before| bytes.get(before));
    let is_parameter = bytes.get(sign) == Some(&b'=') && matches!(before, Some(b'?' | b'&' | b'#' | b';'));
    let decoded = decoded(text.get(name.clone())?);
    let rest = text.get(sign_end..)?;
    let level = level(scan, &decoded, is_parameter, text, name.start);
    if level == Level::Harmless {
        return if names::names_a_name(&decoded) { value_beside(scan, rest, sign_end).map(Step::Secret) } else { None };
    }
    let form = form(&decoded, is_parameter);
    let Extent { range, is_quoted, is_wrapped } = value(rest, form)?;
    if !scan.may_read(range.end) {
        return Some(Step::Secret(Secret::value(sign_end..text.len(), Rule::Name)));
    }
    let held = rest.get(range.clone())?;
    let is_prose = bytes.get(sign) == Some(&b':') && rest.starts_with(' ') && !is_quoted && form == Form::Value;
    if is_prose && is_phrase(held, rest.get(range.end..)?, level) {
        return None;
    }
    let own = scan.redactor.is_hidden_by_user(&decoded);
    if !own && !is_secret(level, &decoded, held, is_wrapped) {
        return if names::names_a_name(&decoded) { value_beside(scan, rest, sign_end).map(Step::Secret) } else { None };
    }
    let range = sign_end + range.start..sign_end + range.end;
    Some(Step::Secret(Secret::value(with_private_key(text, range), Rule::Name)))
}

/// Whether a value under this name is secret.
pub(super) fn is_secret(level: Level, name: &str, held: &str, is_wrapped: bool) -> bool {
    if is_wrapped {
        return is_wrapped_secret(level, name, held);
    }
    value_class::is_hidden(level, held, names::is_numeric(name), names::is_plural(name))
}

/// Whether one of the values in a list, a map or a type is secret: `Some("…")`, but not `Some(true)`.
fn is_wrapped_secret(level: Level, name: &str, held: &str) -> bool {
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
    inner.split(['"', '\'', ',', '(', ')', '[', ']', '{', '}']).any(|part| {
        let after = inner.get(end + part.len()..).unwrap_or_default().trim_start_matches(['"', '\'']);
        end += part.len() + 1;
        let part = part.trim();
        // The name of a field in a map is not a value.
        let is_name = part.ends_with(':') || after.trim_start().starts_with(':');
        !part.is_empty() && !is_name && value_class::is_hidden(level, part, names::is_numeric(name), names::is_plural(name))
    })
}

/// The name in front of a sign: `cache.key` is one name, not a `key`.
///
/// The limit keeps long names cheap.
fn whole_name(text: &str, run: &Range<usize>) -> Range<usize> {
    let bytes = text.as_bytes();
    let before = bytes.get(run.start.saturating_sub(NAME_LIMIT)..run.start).unwrap_or_default();
    let dotted = before.iter().rev().take_while(|byte| matches!(**byte, b'.' | b'%') || is_run(**byte)).count();
    // `%3Ftoken=`: the name begins behind the sign that was encoded.
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
    }
    if name.contains('-') && !name.starts_with('-') {
        // A map of headers in `Debug` output.
        let lower = name.to_ascii_lowercase();
        let verdict = judge(&lower);
        level = level.max(verdict.header);
        if scan.redactor.hides_person(&lower, verdict) || scan.redactor.rules.withholds(&lower) {
            level = Level::Sure;
        }
    }
    if level < Level::IfOpaque && ["key", "code", "phrase", "number"].iter().any(|last| name.eq_ignore_ascii_case(last)) {
        // `api key: …`, `verification code: …`.
        let before = text.get(start.saturating_sub(24)..start).and_then(|before| before.strip_suffix(' '));
        if let Some(word) = before.and_then(|before| before.rsplit(|letter: char| !(letter.is_alphanumeric() || letter == '-')).next()) {
            level = level.max(judge(&[word, " ", name].concat()).field);
        }
    }
    level
}

/// What the value of a name looks like.
fn form(name: &str, is_parameter: bool) -> Form {
    let lower = name.to_ascii_lowercase();
    if is_parameter {
        Form::Parameter
    } else if ["authorization", "cookie"].iter().any(|ending| lower.ends_with(ending)) {
        Form::Credential
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
    let next = after.strip_prefix(' ').unwrap_or_default();
    let goes_on = next.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '(');
    let is_common = value_class::is_common(&word.to_ascii_lowercase());
    (is_common && (goes_on || after.is_empty())) || is_word && (is_common || level < Level::Sure && goes_on || level < Level::Likely)
}

fn decoded(name: &str) -> Cow<'_, str> {
    if name.contains('%') { percent_decode_str(name).decode_utf8_lossy() } else { Cow::Borrowed(name) }
}

/// Finds the value beside a name that is itself a value: `name: "api_key", value: "…"`.
///
/// The same form has a part of a multipart body, and an element of XML.
fn value_beside(scan: &Scan<'_>, rest: &str, start: usize) -> Option<Secret> {
    let Extent { range, is_quoted, .. } = value(rest, Form::Value)?;
    let name = rest.get(range.clone())?;
    let verdict = judge(name);
    let level = verdict.field.max(judge(&name.to_ascii_lowercase()).header);
    if !is_quoted || name.len() > 64 || level < Level::IfRandom {
        return None;
    }
    if !scan.may_read(range.end) {
        return Some(Secret::value(start..scan.text.len(), Rule::Name));
    }
    let after = rest.get(range.end..)?;
    let behind = after.trim_start_matches(['"', '\'', '\\', '`']);
    let offset = range.end + after.len() - behind.len();
    let (held, at) = if let Some(body) = behind.strip_prefix("\r\n\r\n").or_else(|| behind.strip_prefix("\n\n")) {
        let at = offset + behind.len() - body.len();
        let end = body.find("\r\n--").or_else(|| body.find("\n--")).unwrap_or(body.len());
        (0..end, at)
    } else if let Some(body) = behind.strip_prefix('>') {
        (0..body.find('<')?, offset + 1)
    } else {
        let gap = behind.len() - behind.trim_start_matches([',', ' ', '\n', '\r', '\t', '"', '\'', '\\', '{']).len();
        let field = behind.get(gap..)?;
        let len = field.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(field.len());
        if gap > 40 || !names::names_a_value(field.get(..len)?) {
            return None;
        }
        let sign = field.get(len..)?.find([':', '=']).filter(|at| *at <= 4)?;
        let held = value(field.get(len + sign + 1..)?, Form::Value)?.range;
        (held, offset + gap + len + sign + 1)
    };
    let text = rest.get(at..)?.get(held.clone())?;
    let is_hidden =
        value_class::is_hidden(level.max(Level::IfOpaque), text, names::is_numeric(name), false) || scan.redactor.is_hidden_by_user(name);
    is_hidden.then(|| Secret::value(start + at + held.start..start + at + held.end, Rule::Name))
}

/// Finds the second of two quoted texts, of which the first is a secret name: `("api_key", "…")`.
///
/// `quote` is where the first one ends.
pub(super) fn quoted_pair(scan: &Scan<'_>, run: &Range<usize>, quote: usize) -> Option<Secret> {
    let text = scan.text;
    let rest = text.get(quote + 1..)?;
    // Nearly every quote ends here.
    if !rest.starts_with(',') || run.end > quote || quote - run.end > 1 {
        return None;
    }
    let name = whole_name(text, run);
    let before = text.get(..name.start)?.trim_end_matches('\\');
    let outside = before.strip_suffix('"')?;
    let name = text.get(name)?;
    let level = judge(name).field.max(judge(&name.to_ascii_lowercase()).header);
    let is_own = scan.redactor.is_hidden_by_user(name);
    if level < Level::IfRandom && !is_own {
        return None;
    }
    let blank = rest.len() - rest.get(1..)?.trim_start().len();
    let held = value(rest.get(blank..)?, Form::Value)?;
    if !scan.may_read(held.range.end) {
        return Some(Secret::value(quote + 1..text.len(), Rule::Name));
    }
    if !held.is_quoted {
        return None;
    }
    let range = blank + held.range.start..blank + held.range.end;
    let secret = rest.get(range.clone())?;
    // In a list of names, the next one is not a value.
    let is_pair = outside.trim_end_matches('\\').ends_with('(') || name.starts_with('-');
    let is_hidden = match value_class::class(secret) {
        ValueClass::Words if !is_pair => false,
        _ => is_own || value_class::is_hidden(level, secret, names::is_numeric(name), false),
    };
    is_hidden.then(|| Secret::value(quote + 1 + range.start..quote + 1 + range.end, Rule::Name))
}

/// Finds the text of an element with a secret name: `<password>…</password>`.
pub(super) fn element(scan: &Scan<'_>, _: &Range<usize>, close: usize) -> Option<Secret> {
    let text = scan.text;
    let rest = text.get(close + 1..)?;
    let end = rest.find('<').filter(|end| *end > 0 && *end <= 4096)?;
    if !rest.get(end..)?.starts_with("</") {
        return None;
    }
    let from = (close.saturating_sub(NAME_LIMIT)..=close).find(|at| text.is_char_boundary(*at))?;
    let open = from + text.get(from..close)?.rfind('<')?;
    let tag = text.get(open + 1..close)?;
    let name = tag.split([' ', '\n', '\t']).next()?;
    let name = name.rsplit(':').next()?;
    let held = rest.get(..end)?;
    let level = judge(name).field;
    let is_hidden = value_class::is_hidden(level, held, names::is_numeric(name), false) || scan.redactor.is_hidden_by_user(name);
    is_hidden.then(|| Secret::value(close + 1..close + 1 + end, Rule::Name))
}
