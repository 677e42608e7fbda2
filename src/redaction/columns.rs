//! Finds values in a row that a database reports with its columns: `Key (tenant, token)=(4, …) already exists`.

use super::cursor::{FAR, Scan, last, near};
use super::finding::{Rule, Secret};
use super::names;
use super::value_class;
use super::verdict::judge;

/// The maximum length of the list of names, in bytes.
const NAMES: usize = 256;

/// Adds the values of columns with a secret name. `open` is the parenthesis before the values.
pub(super) fn values(scan: &mut Scan<'_>, open: usize) {
    for secret in found(scan, open).unwrap_or_default() {
        scan.add(secret);
    }
}

fn found(scan: &Scan<'_>, open: usize) -> Option<Vec<Secret>> {
    let text = scan.text;
    let before = last(text.get(..open)?.strip_suffix(")=")?, NAMES);
    let names: Vec<_> = before.rsplit_once('(')?.1.split(", ").map(|name| name.trim_matches('"')).collect();
    let is_hidden = |name: &str, value: &str| {
        scan.redactor.is_hidden_by_user(name)
            || value_class::is_hidden(judge(name).field, value, names::is_numeric(name), names::is_plural(name))
    };
    let rest = text.get(open + 1..)?;
    let line = near(rest, FAR).split('\n').next()?;
    if !scan.may_read(line.len()) {
        return Some(vec![Secret::value(open + 1..text.len(), Rule::Statement)]);
    }
    let held = line.get(..line.rfind(')').unwrap_or(line.len()))?;
    let values: Vec<_> = held.split(", ").collect();
    if values.len() != names.len() {
        // A value contains commas, so it is not known which value belongs to which column.
        let is_any_hidden = names.iter().any(|name| is_hidden(name, held));
        return is_any_hidden.then(|| vec![Secret::near(text, open + 1, open + 1..open + 1 + held.len(), Rule::Statement)]);
    }
    let mut at = open + 1;
    let mut secrets = Vec::new();
    for (name, value) in names.iter().zip(&values) {
        if is_hidden(name, value) {
            secrets.push(Secret::near(text, open + 1, at..at + value.len(), Rule::Statement));
        }
        at += value.len() + 2;
    }
    Some(secrets)
}
