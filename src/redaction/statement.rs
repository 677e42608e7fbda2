//! Finds secrets in database statements inside a text: `VALUES ('…')`, `IDENTIFIED BY '…'`, `AUTH …`.

use std::ops::Range;

use super::command;
use super::cursor::{FAR, Scan, last, near};
use super::finding::{Rule, Secret};
use super::names::Level;
use super::value::{Form, value};
use super::value_class::{self, ValueClass, is_nothing};
use super::verdict::judge;

/// The words that [`after`] knows.
pub(super) const WORDS: [&str; 23] = [
    "VALUES",
    "values",
    "BY",
    "PASSWORD",
    "AS",
    "AUTH",
    "requirepass",
    "masterauth",
    "SETUSER",
    "IN",
    "in",
    "PASS",
    "LOGIN",
    "IDENTIFY",
    "add-mask",
    "set-output",
    "save-state",
    "htpasswd",
    "add_user",
    "chpasswd",
    "contains",
    "use",
    "user",
];

/// Finds the secret after a keyword, which is the run.
pub(super) fn after(scan: &mut Scan<'_>, run: Range<usize>) -> Option<Secret> {
    let text = scan.text;
    match text.get(run.clone())? {
        "VALUES" | "values" => values(scan, run.end),
        "BY" | "PASSWORD" | "AS" => quoted(text, run.clone()).or_else(|| chosen(text, run.clone())).or_else(|| column(text, run)),
        "AUTH" => auth(text, run.end),
        "requirepass" | "masterauth" => word(text, run.end, 0),
        "SETUSER" => rule(text, run.end),
        "IN" | "in" => list(scan, run),
        "PASS" | "LOGIN" | "IDENTIFY" => login(text, run),
        "add-mask" => masked(text, run.end),
        "set-output" | "save-state" => output(text, run.end),
        "htpasswd" | "add_user" | "chpasswd" | "use" | "user" => command::word(text, run),
        "contains" => row(text, run),
        // `.netrc` and the like: `login jane password …` is a sentence already.
        _ => None,
    }
}

/// `VALUES ('…', '…')`: each literal in the list.
fn values(scan: &mut Scan<'_>, start: usize) -> Option<Secret> {
    let text = scan.text;
    let rest = text.get(start..)?;
    let open = rest.trim_start_matches(' ');
    if !open.starts_with('(') {
        return None;
    }
    let end = close(open);
    if !scan.may_read(end) {
        return Some(Secret::value(start..text.len(), Rule::Statement));
    }
    let list = start + rest.len() - open.len()..start + rest.len() - open.len() + end;
    let mut at = list.start;
    let mut found = None;
    while let Some(quote) = text.get(at..list.end).and_then(|list| list.find('\'')) {
        let begin = at + quote + 1;
        let len = text.get(begin..list.end)?.find('\'').unwrap_or(list.end - begin);
        if len > 0 && !is_nothing(text.get(begin..begin + len)?) {
            found.replace(Secret::value(begin..begin + len, Rule::Statement)).into_iter().for_each(|secret| scan.add(secret));
        }
        at = (begin + len + 1).min(list.end);
    }
    found
}

/// `token IN ('…')`: each literal in the list after a secret name.
fn list(scan: &mut Scan<'_>, run: Range<usize>) -> Option<Secret> {
    let before = scan.text.get(..run.start)?.trim_end_matches([' ', '"', '`', ']']);
    let name = before.get(before.rfind(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).map_or(0, |at| at + 1)..)?;
    if judge(name).field >= Level::IfOpaque { values(scan, run.end) } else { None }
}

/// `PASS …`, `LOGIN jane …` and `IDENTIFY …`: the last word of a line.
fn login(text: &str, run: Range<usize>) -> Option<Secret> {
    let rest = text.get(run.end..)?.strip_prefix(' ')?;
    let line = near(rest, FAR).split(['\r', '\n', '"']).next()?;
    let before = text.get(..run.start)?;
    let word = match text.get(run.clone())? {
        "PASS" if before.is_empty() || before.ends_with(['\n', '"', '>', ' ']) => line,
        "LOGIN" => line.split_once(' ')?.1,
        "IDENTIFY" => line,
        _ => return None,
    };
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let is_secret = !word.contains([' ', '/', '.']) && (has_digit || value_class::class(word) >= ValueClass::Opaque);
    let start = run.end + 1 + line.len() - word.len();
    is_secret.then(|| Secret::near(text, run.end + 1, start..start + word.len(), Rule::Statement))
}

/// GitHub's `::add-mask::…`: the rest of the line.
fn masked(text: &str, start: usize) -> Option<Secret> {
    let rest = text.get(start..)?.strip_prefix("::")?;
    let len = rest.find('\n').unwrap_or(rest.len());
    (len > 0 && !is_nothing(rest.get(..len)?)).then(|| Secret::value(start + 2..start + 2 + len, Rule::Statement))
}

/// GitHub's `::set-output name=token::…`.
fn output(text: &str, start: usize) -> Option<Secret> {
    let rest = text.get(start..)?.strip_prefix(" name=")?;
    let (name, held) = near(rest, FAR).split_once("::")?;
    let held = held.split('\n').next()?;
    let from = start + " name=".len();
    let start = from + name.len() + 2;
    let is_secret = name.len() <= 64 && value_class::is_hidden(judge(name).field, held, false, false);
    is_secret.then(|| Secret::near(text, from, start..start + held.len(), Rule::Statement))
}

/// The place of the parenthesis that ends a list. Parentheses in quotes do not count.
fn close(text: &str) -> usize {
    let mut is_quoted = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\'' => is_quoted = !is_quoted,
            b')' if !is_quoted => return at,
            _ => {}
        }
    }
    text.len()
}

/// `Failing row contains (4, jane, …)`: hides all values, because their names are not known.
fn row(text: &str, run: Range<usize>) -> Option<Secret> {
    let rest =
        text.get(run.end..)?.strip_prefix(" (").filter(|_| text.get(..run.start).is_some_and(|before| before.ends_with("Failing row ")))?;
    let start = run.end + 2;
    let line = near(rest, FAR).split('\n').next()?;
    let len = line.rfind(')').filter(|_| line.len() < near(rest, FAR).len() || line.len() == rest.len()).unwrap_or(line.len());
    (len > 0).then(|| Secret::near(text, start, start..start + len, Rule::Statement))
}

/// `IDENTIFIED BY '…'`, `PASSWORD '…'`, `SET PASSWORD FOR jane = '…'`.
fn quoted(text: &str, run: Range<usize>) -> Option<Secret> {
    let is_by = text.get(..run.start)?.ends_with("IDENTIFIED ") || text.get(..run.start)?.ends_with("_password ");
    if !is_by && text.get(run.clone())? != "PASSWORD" {
        return None;
    }
    let rest = text.get(run.end..)?;
    if !rest.starts_with(' ') {
        return None;
    }
    let quote = near(rest, 49).find(['\'', '"']).filter(|at| !rest.get(..*at).is_some_and(|gap| gap.contains(['\n', ';'])))?;
    if is_by && quote > 1 {
        return None;
    }
    let held = value(rest.get(quote..)?, Form::Value)?.range;
    let range = run.end + quote + held.start..run.end + quote + held.end;
    (!is_nothing(text.get(range.clone())?)).then(|| Secret::value(range, Rule::Statement))
}

/// Oracle: `IDENTIFIED BY …`, without quotes.
fn chosen(text: &str, run: Range<usize>) -> Option<Secret> {
    let rest =
        text.get(run.end..)?.strip_prefix(' ').filter(|_| text.get(..run.start).is_some_and(|before| before.ends_with("IDENTIFIED ")))?;
    let held = rest.get(..rest.find([' ', ';', '\n', '\'', '"']).unwrap_or(rest.len()))?;
    let is_secret = value_class::class(held) >= ValueClass::Opaque;
    is_secret.then(|| Secret::value(run.end + 1..run.end + 1 + held.len(), Rule::Statement))
}

/// `'…' AS access_token`: the literal of a column with a secret name.
fn column(text: &str, run: Range<usize>) -> Option<Secret> {
    let before = text.get(..run.start)?.strip_suffix("' ")?;
    let after = text.get(run.end..)?.strip_prefix(' ')?;
    let name = after.get(..after.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).unwrap_or(after.len()))?;
    let from = before.len() - last(before, FAR).len();
    // Or the literal begins before the text that was searched.
    let start = before.get(from..)?.rfind('\'').map(|at| from + at + 1).or_else(|| (from > 0).then_some(0))?;
    let is_secret = judge(name).field >= Level::Likely && !is_nothing(before.get(start..)?);
    is_secret.then(|| Secret::value(start..before.len(), Rule::Statement))
}

/// Redis: `AUTH password`, `AUTH user password`.
fn auth(text: &str, start: usize) -> Option<Secret> {
    let after = text.get(start..)?;
    // Redis shows what it was sent: `"AUTH" "…"`.
    let packed = || after.strip_prefix("\r\n$").and_then(|after| Some(after.split_once("\r\n")?.1));
    let rest = after.strip_prefix("\" \"").or_else(|| after.strip_prefix(' ')).or_else(packed)?;
    let is_shown = after.starts_with('"');
    let start = start + after.len() - rest.len() - 1;
    let line = if is_shown { near(rest, FAR).split('"').next()? } else { near(rest, FAR).split(['\r', '\n']).next()? };
    let mut words = line.split(' ');
    let first = words.next()?;
    let second = words.next().unwrap_or_default();
    let is_user = first == "default" || (!value_class::is_mixed(first) && value_class::is_mixed(second) && !value_class::is_common(first));
    if is_user {
        return word(text, start, first.len() + 1);
    }
    let is_secret = value_class::is_mixed(first) || (second.is_empty() && !is_nothing(first) && first.len() >= 4);
    is_secret.then(|| Secret::near(text, start + 1, start + 1..start + 1 + first.len(), Rule::Statement))
}

/// The next word, `skipped` bytes later.
fn word(text: &str, start: usize, skipped: usize) -> Option<Secret> {
    let rest = text.get(start + skipped..)?.strip_prefix(' ')?;
    let len = value(rest, Form::Value)?.range;
    let range = start + skipped + 1 + len.start..start + skipped + 1 + len.end;
    (!is_nothing(text.get(range.clone())?)).then(|| Secret::value(range, Rule::Statement))
}

/// Redis: `ACL SETUSER jane on >password`.
fn rule(text: &str, start: usize) -> Option<Secret> {
    let rest = text.get(start..)?;
    let line = near(rest, FAR).split(['\r', '\n']).next()?;
    let at = line.find(" >")? + 2;
    let len = line.get(at..)?.find(' ').unwrap_or(line.len() - at);
    (len > 0).then(|| Secret::near(text, start, start + at..start + at + len, Rule::Statement))
}
