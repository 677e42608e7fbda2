//! Finds values whose name is in another field: `name: "api_key", value: "…"`, and the same in forms and XML.

use std::ops::Range;

use super::cursor::{Scan, Step, near};
use super::finding::{Rule, Secret};
use super::names::{self, Level};
use super::value::{Extent, Form, value};
use super::verdict::judge;
use super::{reported, value_class};

/// Finds the value of a name that is itself a value, or a value that is reported beside a name.
pub(super) fn beside(scan: &Scan<'_>, name: &str, rest: &str, start: usize) -> Option<Step> {
    if names::names_a_name(name)
        && let Some(secret) = value_beside(scan, rest, start)
    {
        return Some(Step::Secret(secret));
    }
    if !names::reports_a_value(name) {
        return None;
    }
    let held = value(rest, Form::Value)?;
    if held.is_wrapped {
        return reported::argument(scan, name, start + held.range.start + 1).map(Step::Secret);
    }
    if name == "id" {
        // `Session { id: '…' }`
        let before = scan.text.get(..start)?;
        let from = (start.saturating_sub(24)..=start).find(|at| scan.text.is_char_boundary(*at))?;
        let is_of_session = before.get(from..)?.to_ascii_lowercase().contains("session {");
        let text = rest.get(held.range.clone())?;
        let is_secret = is_of_session && value_class::is_random(text) && !value_class::is_digest(text);
        return is_secret.then(|| Step::Secret(Secret::value(start + held.range.start..start + held.range.end, Rule::Name)));
    }
    if !held.is_quoted {
        return None;
    }
    reported::judged(scan, start + held.range.start..start + held.range.end).map(Step::Secret)
}

/// Finds the value beside a name that is itself a value: `name: "api_key", value: "…"`.
///
/// Parts of a multipart body and XML elements have the same form.
pub(super) fn value_beside(scan: &Scan<'_>, rest: &str, start: usize) -> Option<Secret> {
    let Extent { range, is_quoted, is_wrapped } = value(rest, Form::Value)?;
    let name = rest.get(range.clone())?;
    // `"loc": ["body", "password"]`, `"path": "/spec/adminPassword"`
    let last = || name.trim_end_matches([']', '"', '\'', '\\', ' ']).rsplit(['"', '\'', '/']).next();
    let is_list = is_wrapped && name.starts_with('[');
    let name = if is_list || name.starts_with('/') { last()? } else { name };
    let verdict = judge(name);
    let level = verdict.field.max(judge(&name.to_ascii_lowercase()).header);
    // In YAML, a name without quotes ends at the end of its line, or at a comma.
    let is_line = || rest.get(range.end..).is_some_and(|after| after.trim_start_matches('\r').starts_with(['\n', ',']));
    if name.len() > 64 || level < Level::IfRandom || !(is_quoted || is_list || is_line()) {
        return None;
    }
    if !scan.may_read(range.end) {
        return Some(Secret::value(start..scan.text.len(), Rule::Name));
    }
    let after = rest.get(range.end..)?;
    let behind = after.trim_start_matches(['"', '\'', '\\', '`']);
    let offset = range.end + after.len() - behind.len();
    let (held, at) = if let Some(body) = part_body(behind) {
        let at = offset + behind.len() - body.len();
        let end = body.find("\r\n--").or_else(|| body.find("\n--")).unwrap_or(body.len());
        (0..end, at)
    } else if let Some(open) =
        near(behind, 81).find('>').filter(|open| behind.get(..*open).is_some_and(|tag| !tag.contains('<') && !tag.contains("alue")))
    {
        // `<field name="password">…<`, `<setting name="…" type="…"><value>…<`
        let mut body = behind.get(open + 1..)?;
        while let Some(tag) = body.trim_start().strip_prefix('<') {
            body = tag.get(tag.find('>').filter(|len| *len <= 40)? + 1..)?;
        }
        (0..body.find('<')?, offset + behind.len() - body.len())
    } else {
        let (held, at) = field_value(behind)?;
        (held, offset + at)
    };
    let text = rest.get(at..)?.get(held.clone())?;
    let is_hidden =
        value_class::is_hidden(level.max(Level::IfOpaque), text, names::is_numeric(name), false) || scan.redactor.is_hidden_by_user(name);
    is_hidden.then(|| Secret::value(start + at + held.start..start + at + held.end, Rule::Name))
}

/// The body of a part of a form, after the headers that follow its name.
fn part_body(behind: &str) -> Option<&str> {
    let mut rest = behind;
    for _ in 0..2 {
        if let Some(body) = rest.strip_prefix("\r\n\r\n").or_else(|| rest.strip_prefix("\n\n")) {
            return Some(body);
        }
        let line = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).filter(|line| line.starts_with("Content-"))?;
        rest = line.get(line.find(['\r', '\n'])?..)?;
    }
    None
}

/// Returns the value among the next fields of an object, and the start of the text in which the value is.
fn field_value(behind: &str) -> Option<(Range<usize>, usize)> {
    let mut start = 0;
    for _ in 0..3 {
        let rest = behind.get(start..)?;
        let gap = rest.len() - rest.trim_start_matches([',', ' ', '\n', '\r', '\t', '"', '\'', '\\', '{', ']']).len();
        let field = rest.get(gap..)?;
        let len = field.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).unwrap_or(field.len());
        let sign = field.get(len..)?.find([':', '=']).filter(|at| *at <= 4)?;
        let held = value(field.get(len + sign + 1..)?, Form::Value)?;
        let at = start + gap + len + sign + 1;
        if gap > 40 || len == 0 {
            return None;
        }
        if names::names_a_value(field.get(..len)?) {
            return Some((held.range, at));
        }
        // Another field between them.
        if !held.is_quoted {
            return None;
        }
        start = at + held.range.end;
    }
    None
}
