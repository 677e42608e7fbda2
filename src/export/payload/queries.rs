//! Queries of a database: their text without values, which were slow, and which were asked again and again.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use super::fields::understand;
use crate::record::{FieldValue, Parent, Record, SpanName};

/// So many of the same in a row, which take so long together, are one query too few: Sentry's own detector counts the same.
const REPEATED: usize = 5;
const REPEATED_FOR: Duration = Duration::from_millis(50);

/// Whether an attribute is the text of a query.
pub(super) fn is_query_text(name: &str) -> bool {
    matches!(name, "db.statement" | "db.query.text" | "db.query.summary")
}

/// A query without the values in it: texts and numbers become `?`, lists of them one. Comments stay out, names in double quotes and
/// backticks stay in. What was written with placeholders stays as it is.
pub(in crate::export) fn without_values(query: &str) -> Cow<'_, str> {
    let is_plain = !query.bytes().any(|byte| matches!(byte, b'\'' | b'0'..=b'9')) && !query.contains("--") && !query.contains("/*");
    if is_plain {
        return Cow::Borrowed(query.trim());
    }
    let mut out = String::with_capacity(query.len());
    let mut rest = query.trim();
    while let Some(letter) = rest.chars().next() {
        let taken = match letter {
            '\'' => value(&mut out, quoted(rest, '\'')),
            '"' | '`' => copied(&mut out, rest, quoted(rest, letter)),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '$' if dollar_quoted(rest).is_some() => value(&mut out, dollar_quoted(rest).unwrap_or(1)),
            // A placeholder: `$1`, `?1`, `:name`, `@p1`.
            '$' | '?' | ':' | '@' => copied(&mut out, rest, 1 + word(rest.get(1..).unwrap_or_default())),
            '0'..='9' => value(&mut out, number(rest)),
            letter if letter.is_alphabetic() || letter == '_' => {
                let len = word(rest);
                // `E'…'`, `X'…'`, `N'…'`: the letter belongs to the value.
                if len == 1 && rest.get(1..2) == Some("'") { 1 } else { copied(&mut out, rest, len) }
            }
            letter => copied(&mut out, rest, letter.len_utf8()),
        };
        rest = rest.get(taken.max(1)..).unwrap_or_default();
    }
    Cow::Owned(folded(out))
}

fn value(out: &mut String, len: usize) -> usize {
    out.push('?');
    len
}

fn copied(out: &mut String, rest: &str, len: usize) -> usize {
    out.push_str(rest.get(..len).unwrap_or(rest));
    len
}

/// Up to the closing quote; two in a row stand for one, a backslash for what follows.
fn quoted(rest: &str, quote: char) -> usize {
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if quote == '\'' => drop(letters.next()),
            _ if letter != quote => {}
            _ if letters.peek().is_some_and(|(_, next)| *next == quote) => drop(letters.next()),
            _ => return at + letter.len_utf8(),
        }
    }
    rest.len()
}

/// `$$…$$` and `$tag$…$tag$` of `PostgreSQL`.
fn dollar_quoted(rest: &str) -> Option<usize> {
    let end = rest.get(1..)?.find('$')? + 2;
    let tag = rest.get(..end)?;
    let is_tag =
        tag.get(1..end - 1)?.chars().all(|letter| letter.is_alphanumeric() || letter == '_') && !tag.as_bytes().get(1)?.is_ascii_digit();
    let close = rest.get(end..)?.find(tag);
    is_tag.then(|| close.map_or(rest.len(), |at| end + at + tag.len()))
}

fn word(rest: &str) -> usize {
    rest.find(|letter: char| !(letter.is_alphanumeric() || letter == '_')).unwrap_or(rest.len())
}

fn number(rest: &str) -> usize {
    rest.find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | '.'))).unwrap_or(rest.len())
}

/// `IN (?, ?, ?)` as `IN (?)`: lists of any length are the same query.
fn folded(mut query: String) -> String {
    query.truncate(query.trim_end().len());
    for (list, one) in [("?, ?", "?"), ("?,?", "?")] {
        while query.contains(list) {
            query = query.replace(list, one);
        }
    }
    query
}

/// What the queries of a transaction have in common.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Repeated {
    pub(super) query: String,
    pub(super) count: usize,
    pub(super) nanos: u64,
}

/// The query that was asked again and again under one span, one after the other ("N+1"): the most frequent, if there is one.
pub(super) fn repeated(record: &Record) -> Option<Repeated> {
    // Fewer spans cannot hold it.
    if record.spans.len() < REPEATED {
        return None;
    }
    let mut rows: HashMap<(Parent, String), Row> = HashMap::new();
    for (index, span) in record.spans.iter().enumerate().filter(|(_, span)| span.end.is_known()) {
        let Some(query) = query(record, index) else { continue };
        let row = rows.entry((span.parent, query)).or_default();
        // What runs side by side was asked at once: that is no loop.
        if span.start < row.last_end {
            continue;
        }
        row.count += 1;
        row.nanos += span.end.nanos_since(span.start);
        row.last_end = span.end;
    }
    let is_one = |row: &Row| row.count >= REPEATED && u128::from(row.nanos) > REPEATED_FOR.as_nanos();
    let worst = rows.into_iter().filter(|(_, row)| is_one(row)).max_by_key(|(_, row)| (row.count, row.nanos));
    worst.map(|((_, query), row)| Repeated { query, count: row.count, nanos: row.nanos })
}

#[derive(Default)]
struct Row {
    count: usize,
    nanos: u64,
    last_end: crate::record::Moment,
}

/// The text of the query that a span is, if it is one.
fn query(record: &Record, index: usize) -> Option<String> {
    let span = record.spans.get(index)?;
    let (metadata, own) = match span.name {
        SpanName::Callsite(metadata) => (Some(metadata), None),
        SpanName::Own(own) => (None, record.own_spans.get(own as usize)),
    };
    if let Some(own) = own {
        return own.op.starts_with("db").then(|| without_values(&record.str(own.description)).into_owned());
    }
    let understood = understand(metadata, record.span_fields(index));
    let op = understood.op.as_deref().filter(|op| op.starts_with("db"))?;
    let text = understood.attributes.iter().find_map(|(name, value)| match value {
        FieldValue::Text(text) if is_query_text(name) && !text.is_empty() => Some(*text),
        _ => None,
    });
    let text = text.or(understood.name.as_deref()).or_else(|| metadata.map(tracing::Metadata::name)).unwrap_or(op);
    Some(without_values(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_and_the_rest_stays() {
        let rows = [
            ("SELECT * FROM users WHERE id = $1", "SELECT * FROM users WHERE id = $1"),
            ("SELECT * FROM users WHERE id = 42", "SELECT * FROM users WHERE id = ?"),
            ("SELECT 1.5e3, 0xff, -7 FROM t2", "SELECT ?, -? FROM t2"),
            ("WHERE name = 'O''Brien' AND \"Col 1\" = 'x'", "WHERE name = ? AND \"Col 1\" = ?"),
            ("WHERE a = 'it\\'s' AND b = 2", "WHERE a = ? AND b = ?"),
            ("WHERE id IN (1, 2,3, 4)", "WHERE id IN (?)"),
            ("WHERE id IN ($1, $2)", "WHERE id IN ($1, $2)"),
            ("SELECT $$secret$$, $tag$it's$tag$, E'x', N'y', X'00'", "SELECT ?"),
            ("SELECT a -- password 'hunter2'\nFROM t /* id 7 */ WHERE b = ?1", "SELECT a \nFROM t  WHERE b = ?1"),
            ("WHERE `a b` = :name AND c = @p1 AND unclosed = 'secret", "WHERE `a b` = :name AND c = @p1 AND unclosed = ?"),
            ("SELECT 'größe', größe2 FROM straße", "SELECT ?, größe2 FROM straße"),
        ];

        for (given, expected) in rows {
            assert_eq!(without_values(given), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_and_no_quoted_value_stays(text in ".{0,80}", value in "[a-z]{12}") {
            let _ = without_values(&text);
            let query = format!("SELECT a FROM b WHERE c = '{value}' AND d = 1");
            proptest::prop_assert!(!without_values(&query).contains(&value));
        }
    }
}
