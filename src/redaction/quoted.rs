//! Finds names and values in quotes, calls and elements: `("name", "value")`, `name("value")`, `<name>value</name>`.

use std::ops::Range;

use super::cursor::{FAR, Scan, near, until};
use super::finding::{Rule, Secret};
use super::names::{self, Level};
use super::pair::whole_name;
use super::value::{Form, value};
use super::value_class::{self, ValueClass};
use super::verdict::judge;

/// Only the last bytes of a longer name are judged.
const NAME_LIMIT: usize = 128;

/// Finds the value after a name in quotes, or in the quotes that begin after a name.
///
/// `quote` is the place of a quote.
pub(super) fn after(scan: &Scan<'_>, run: &Range<usize>, quote: usize) -> Option<Secret> {
    match scan.text.as_bytes().get(quote + 1)? {
        b',' => pair(scan, run, quote),
        b' ' => block(scan, run, quote).or_else(|| beside(scan, run, quote)),
        _ => binary(scan, run, quote),
    }
}

/// Finds the second of two quoted texts, of which the first is a secret name: `("api_key", "…")`.
///
/// `quote` is where the first one ends.
pub(super) fn pair(scan: &Scan<'_>, run: &Range<usize>, quote: usize) -> Option<Secret> {
    let text = scan.text;
    let rest = text.get(quote + 1..)?;
    // Nearly every quote ends here.
    if !rest.starts_with(',') || run.end > quote || quote - run.end > 1 {
        return None;
    }
    let mark = char::from(*text.as_bytes().get(quote)?);
    let name = whole_name(text, run);
    let before = text.get(..name.start)?.trim_end_matches('\\');
    let outside = before.strip_suffix(mark)?;
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
    // In a list of names, the next name is not a value. A statement has such a list: `INTO t ("token", "user_id")`.
    let call = outside.trim_end_matches('\\').strip_suffix('(');
    let is_of_columns = |before: &str| {
        before
            .strip_suffix(' ')
            .is_some_and(|before| before.ends_with(|last: char| last.is_ascii_alphanumeric() || matches!(last, '"' | '`')))
    };
    let is_pair = call.is_some_and(|before| !is_of_columns(before)) || name.starts_with('-');
    let is_hidden = match value_class::class(secret) {
        ValueClass::Words if !is_pair => false,
        _ => is_own || value_class::is_hidden(level, secret, names::is_numeric(name), false),
    };
    is_hidden.then(|| Secret::value(quote + 1 + range.start..quote + 1 + range.end, Rule::Name))
}

/// Terraform: `variable "db_password" {`, and a line with its default.
fn block(scan: &Scan<'_>, run: &Range<usize>, quote: usize) -> Option<Secret> {
    let text = scan.text;
    let rest = text.get(quote + 1..)?.strip_prefix(" {")?;
    let name = text.get(run.clone()).filter(|_| run.end == quote)?;
    let level = judge(name).field;
    if level < Level::IfOpaque {
        return None;
    }
    let inner = near(rest, FAR).split('}').next()?;
    let key = inner.find("default").or_else(|| inner.find("value"))?;
    let sign = key + inner.get(key..)?.find('=')? + 1;
    let held = value(inner.get(sign..)?, Form::Value)?;
    let start = quote + 3 + sign;
    let range = start + held.range.start..start + held.range.end;
    value_class::is_hidden(level, text.get(range.clone())?, names::is_numeric(name), false).then(|| Secret::value(range, Rule::Name))
}

/// The arguments of a command: `HSET "user" "password" "…"`.
fn beside(scan: &Scan<'_>, run: &Range<usize>, quote: usize) -> Option<Secret> {
    let text = scan.text;
    let held = text.get(quote + 1..)?.strip_prefix(" \"")?;
    let name = text.get(run.clone()).filter(|_| run.end == quote && text.get(..run.start).is_some_and(|before| before.ends_with('"')))?;
    let held = held.get(..until(held, &['"'])?)?;
    let is_secret = judge(name).field == Level::Sure && value_class::class(held) >= ValueClass::Opaque;
    is_secret.then(|| Secret::near(text, quote + 3, quote + 3..quote + 3 + held.len(), Rule::Name))
}

/// Erlang: `{password,<<"…">>}`. The quote begins the value.
fn binary(scan: &Scan<'_>, run: &Range<usize>, quote: usize) -> Option<Secret> {
    let text = scan.text;
    let name = text.get(run.clone())?;
    if text.get(run.end..quote)? != ",<<" {
        return None;
    }
    let level = judge(name).field;
    let rest = text.get(quote + 1..)?;
    let held = rest.get(..until(rest, &['"'])?)?;
    value_class::is_hidden(level, held, names::is_numeric(name), false)
        .then(|| Secret::near(text, quote + 1, quote + 1..quote + 1 + held.len(), Rule::Name))
}

/// Finds the argument of a call with a secret name: `SetPassword("…")`, `Token("…")`.
///
/// The name of a function means less than that of a field, so only opaque arguments are hidden.
pub(super) fn call(scan: &Scan<'_>, run: &Range<usize>, open: usize) -> Option<Secret> {
    let text = scan.text;
    let rest = text.get(open + 1..)?;
    // Nearly every parenthesis ends here.
    let blank = rest.len() - rest.trim_start_matches(['\\', 'N']).len();
    let mark = *rest.as_bytes().get(blank)?;
    if run.end != open || run.len() < 4 {
        return None;
    }
    let name = text.get(run.clone())?;
    if name.starts_with("pgp_sym_") || name.eq_ignore_ascii_case("aes_encrypt") || name.eq_ignore_ascii_case("aes_decrypt") {
        return last_literal(text, open + 1);
    }
    if !matches!(mark, b'"' | b'\'') {
        return bare(scan, name, open + 1);
    }
    if text.as_bytes().get(open) != Some(&b'(') {
        return None;
    }
    let start = open + 1 + blank + 1;
    let given = text.get(start..)?;
    let len = until(given, &[char::from(mark), '\n'])?;
    let held = given.get(..len)?.trim_end_matches('\\');
    if name == "auth"
        && let Some(second) = given.get(len + 1..).and_then(|after| after.trim_start_matches([',', ' ']).strip_prefix(char::from(mark)))
    {
        // MongoDB's `db.auth("user", "…")`
        let start = text.len() - second.len();
        let len = until(second, &[char::from(mark), '\n'])?;
        let is_secret = value_class::class(second.get(..len)?) >= ValueClass::Opaque;
        return is_secret.then(|| Secret::near(text, start, start..start + len, Rule::Name));
    }
    if !scan.may_read(len) {
        return Some(Secret::value(start..text.len(), Rule::Name));
    }
    let is_secret = match name {
        "crypt" | "CRYPT" | "PASSWORD" => !value_class::is_nothing(held),
        "Zeroizing" => value_class::class(held) >= ValueClass::Opaque,
        _ => {
            let level = judge(name).field;
            let is_opaque = value_class::class(held) >= ValueClass::Opaque
                || level == Level::Sure && held.bytes().filter(u8::is_ascii_digit).count() >= 3;
            level >= Level::IfOpaque && held.len() >= 6 && is_opaque && !held.contains(' ')
        }
    };
    is_secret.then(|| Secret::near(text, start, start..start + held.len(), Rule::Name))
}

/// A token in brackets after its name: `token[…]`, `AccessToken{value=…}`.
fn bare(scan: &Scan<'_>, name: &str, start: usize) -> Option<Secret> {
    let rest = scan.text.get(start..)?;
    let sign = rest.find(|letter: char| !letter.is_ascii_alphabetic())?;
    let field =
        rest.get(..sign).filter(|field| rest.get(sign..).is_some_and(|after| after.starts_with('=')) && names::names_a_value(field));
    let skipped = field.map_or(0, |field| field.len() + 1);
    let held = rest.get(skipped..)?;
    let held = held.get(..until(held, &[',', ')', ']', '}', ' ', '\n', '"', '(', '=', ':'])?)?;
    // Nearly every name is that of a function, so only random values count.
    let is_secret = held.len() >= 16 && value_class::is_random(held) && !value_class::is_digest(held) && judge(name).field >= Level::Likely;
    let start = start + skipped;
    is_secret.then(|| Secret::near(scan.text, start, start..start + held.len(), Rule::Name))
}

/// The last text in quotes of a call to the database: the key.
fn last_literal(text: &str, start: usize) -> Option<Secret> {
    let rest = text.get(start..)?;
    let Some(end) = near(rest, FAR).find(')') else {
        // The last text begins beyond the limit, so the rest is hidden.
        return (rest.len() > FAR).then(|| Secret::value(start..text.len(), Rule::Statement));
    };
    let inner = rest.get(..end)?.strip_suffix('\'')?;
    let held = inner.get(inner.rfind('\'')? + 1..)?;
    let start = start + inner.len() - held.len();
    (!value_class::is_nothing(held)).then(|| Secret::value(start..start + held.len(), Rule::Statement))
}

/// Finds the text of an element with a secret name: `<password>…</password>`.
pub(super) fn element(scan: &Scan<'_>, close: usize) -> Option<Secret> {
    const RAW: &str = "<![CDATA[";
    let text = scan.text;
    let raw = if text.get(close + 1..)?.starts_with(RAW) { RAW.len() } else { 0 };
    let begin = close + 1 + raw;
    let rest = text.get(begin..)?;
    let near = near(rest, FAR);
    let end = if raw > 0 { near.find("]]>") } else { near.find('<') };
    // The element does not end near. If words follow `<password>`, it is a placeholder in the text of a manual.
    let is_open = end.is_none() && near.len() < rest.len() && !near.contains(' ');
    let end = if is_open { near.len() } else { end.filter(|end| *end > 0)? };
    if raw == 0 && !is_open && !rest.get(end..)?.starts_with("</") {
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
    if is_hidden {
        return Some(Secret::near(text, begin, begin..begin + end, Rule::Name));
    }
    next_element(held, rest.get(end..)?).map(|range| Secret::value(begin + end + range.start..begin + end + range.end, Rule::Name))
}

/// The text of the element after one that names it: `<dt>Password</dt><dd>…</dd>`, `<key>Token</key><string>…</string>`.
fn next_element(name: &str, after: &str) -> Option<Range<usize>> {
    let level = if name.len() <= 40 { judge(name.trim().trim_end_matches(':')).field } else { Level::Harmless };
    if level < Level::Likely {
        return None;
    }
    let mut rest = after;
    while let Some(tag) = rest.trim_start().strip_prefix('<') {
        rest = tag.get(tag.find('>').filter(|len| *len <= 80)? + 1..)?;
    }
    let held = rest.get(..rest.find('<')?)?;
    let start = after.len() - rest.len();
    (start <= 120 && value_class::class(held) >= ValueClass::Opaque).then(|| start..start + held.len())
}

/// Finds the text of an element in a text that was escaped: `&lt;password&gt;…&lt;/password&gt;`. The run is `gt`.
pub(super) fn escaped_element(scan: &Scan<'_>, run: &Range<usize>) -> Option<Secret> {
    let text = scan.text;
    let rest = text.get(run.start..)?.strip_prefix("gt;")?;
    let before = text.get(..run.start)?.strip_suffix('&')?;
    let from = (before.len().saturating_sub(NAME_LIMIT)..=before.len()).find(|at| before.is_char_boundary(*at))?;
    let (_, tag) = before.get(from..)?.rsplit_once("&lt;").filter(|(_, tag)| !tag.starts_with('/'))?;
    let name = tag.split([' ', '\n']).next()?.rsplit(':').next()?;
    let near = near(rest, FAR);
    let is_open = near.len() < rest.len() && !near.contains(' ');
    let held = near.get(..near.find("&lt;/").or_else(|| is_open.then_some(near.len()))?)?;
    let start = run.start + 3;
    value_class::is_hidden(judge(name).field, held, names::is_numeric(name), false)
        .then(|| Secret::near(text, start, start..start + held.len(), Rule::Name))
}
