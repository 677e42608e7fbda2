//! Finds secrets in tables: a row `password | …`, a column under `PASSWORD`, and the rows of `COPY`.

use std::ops::Range;

use super::cursor::Scan;
use super::finding::{Rule, Secret};
use super::names::{self, Level};
use super::value_class::{self, ValueClass};
use super::verdict::judge;

/// The maximum number of rows that are read below a head.
const ROWS: usize = 100;
/// The maximum length of a line of a table, in bytes.
const LINE: usize = 4096;
/// The maximum length of a list of columns before and after a column, in bytes.
const LIST: usize = 1024;

/// Finds the cells of the column or row that has the run as its name.
pub(super) fn cells(scan: &mut Scan<'_>, run: &Range<usize>) {
    let text = scan.text;
    let bytes = text.as_bytes();
    let before = run.start.checked_sub(1).and_then(|at| bytes.get(at));
    let after = bytes.get(run.end);
    let separator = if before == Some(&b'\t') || after == Some(&b'\t') {
        '\t'
    } else if text.get(run.end..).is_some_and(|rest| rest.trim_start_matches(' ').starts_with('|')) {
        '|'
    } else {
        if before.is_some_and(|byte| matches!(byte, b' ' | b',' | b'(')) && matches!(after, Some(b')' | b',')) {
            copied(scan, run);
        }
        match [b',', b';'].into_iter().find(|sign| [before, after].contains(&Some(sign))) {
            Some(sign) if matches!(after, Some(b'\n' | b',' | b';')) => char::from(sign),
            _ => return,
        }
    };
    let Some(name) = text.get(run.clone()) else { return };
    if judge(name).field < Level::Likely {
        return;
    }
    let before = scan.behind(run.start, LINE);
    let start = run.start - before.rfind('\n').map_or(before.len(), |at| before.len() - at - 1);
    let Some(line) = scan.ahead(start, 2 * LINE).lines().next().filter(|line| scan.may_read(line.len())) else { return };
    let column = line.get(..run.start - start).unwrap_or_default().matches(separator).count();
    let cell = line.split(separator).nth(column).unwrap_or_default();
    if cell.trim() != name {
        return;
    }
    if matches!(separator, ',' | ';') {
        // A head has names only, and no blanks.
        if line.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') || byte == separator as u8) {
            below(scan, start + line.len(), column, separator, line.matches(separator).count(), name);
        }
        return;
    }
    let is_first = line.split(separator).take(column).all(|cell| cell.trim().is_empty());
    let own = start..start + line.len();
    // In Netscape's format for cookie files, the last cell is the value, and the cell before it the name.
    let is_cookie = separator == '\t' && column >= 4 && line.matches(separator).count() == column + 1;
    if is_first || is_cookie {
        // `password | …`: the next cell must not be another name.
        let beside = line.split(separator).nth(column + 1).unwrap_or_default().trim();
        if value_class::class(beside) >= ValueClass::Opaque || beside == scan.redactor.placeholder() {
            add(scan, &own, column + 1, separator, |_| true);
            return;
        }
    }
    below(scan, own.end, column, separator, line.matches(separator).count(), name);
}

/// Adds the cells of a column, in the rows below the head.
fn below(scan: &mut Scan<'_>, end: usize, column: usize, separator: char, signs: usize, name: &str) {
    let mut at = end + 1;
    for _ in 0..ROWS {
        let Some(line) = scan.ahead(at, 2 * LINE).split('\n').next() else { return };
        if line.matches(separator).count() != signs || !scan.may_read(line.len()) {
            return;
        }
        let is_numeric = names::is_numeric(name);
        add(scan, &(at..at + line.len()), column, separator, |held| value_class::is_hidden(Level::Sure, held, is_numeric, false));
        at += line.len() + 1;
    }
}

/// Adds a cell of a line, if it is secret.
fn add(scan: &mut Scan<'_>, line: &Range<usize>, column: usize, separator: char, is_secret: impl Fn(&str) -> bool) {
    let Some(row) = scan.text.get(line.clone()) else { return };
    let before = row.split(separator).take(column).map(|cell| cell.len() + 1).sum::<usize>();
    let Some(cell) = row.split(separator).nth(column) else { return };
    let held = cell.trim();
    // The line between head and rows.
    if held.is_empty() || held.bytes().all(|byte| matches!(byte, b'-' | b':' | b'=')) || !is_secret(held) {
        return;
    }
    let offset = line.start + before + cell.len() - cell.trim_start().len();
    scan.add(Secret::value(offset..offset + held.len(), Rule::Name));
}

/// `COPY users (id, password) FROM stdin;`, and the rows after it.
fn copied(scan: &mut Scan<'_>, run: &Range<usize>) {
    let text = scan.text;
    let Some(close) = scan.ahead(run.end, LIST).find(") FROM stdin;\n") else { return };
    let before = scan.behind(run.start, LIST);
    let Some(open) = before.rfind('(') else { return };
    let list = run.start - before.len() + open + 1..run.end + close;
    let Some(columns) = text.get(list.clone()) else { return };
    let column = text.get(list.start..run.start).unwrap_or_default().matches(',').count();
    let signs = columns.matches(',').count();
    let Some(name) = text.get(run.clone()) else { return };
    if judge(name).field >= Level::Likely {
        below(scan, list.end + ") FROM stdin;".len(), column, '\t', signs, name);
    }
}
