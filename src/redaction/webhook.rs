//! URLs that are credentials themselves, by the table in `webhooks.tsv`.

use super::cursor::near;
use super::finding::{Rule, Secret};
use crate::fork::Lazy;

/// A host and a path; what follows is secret, because the URL is enough to post.
struct Row {
    host: &'static str,
    path: &'static str,
    /// Whether the secret is only one segment. In a URL of Telegram, a method follows it.
    is_segment: bool,
}

static ROWS: Lazy<Vec<Row>> = Lazy::new(|| {
    let lines = include_str!("webhooks.tsv").lines().filter(|line| !line.starts_with('#'));
    let rows = lines.filter_map(|line| {
        let mut cells = line.split('\t');
        Some(Row { host: cells.next()?, path: cells.next()?, is_segment: cells.next()? == "segment" })
    });
    rows.filter(|row| !row.path.is_empty()).collect()
});

/// Finds the secret part of a webhook URL whose authority begins at `start`.
pub(super) fn webhook(text: &str, start: usize) -> Option<Secret> {
    let rest = text.get(start..)?;
    let end = rest.bytes().take(96).position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':')))?;
    let authority = rest.get(..end)?;
    let path = rest.get(end..)?.starts_with('/').then_some(end)?;
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    let is_host = |known: &str| {
        let above = host.len().checked_sub(known.len()).and_then(|at| host.split_at_checked(at));
        above.is_some_and(|(above, tail)| tail.eq_ignore_ascii_case(known) && (above.is_empty() || above.ends_with('.')))
    };
    // The first letter of the path rules out nearly every row.
    let letter = rest.as_bytes().get(path + 1);
    let may_match = |row: &&Row| matches!(row.path.as_bytes().get(1), Some(b'*') | None) || row.path.as_bytes().get(1) == letter;
    let (row, begin) = ROWS
        .iter()
        .filter(may_match)
        .filter(|row| is_host(row.host))
        .find_map(|row| Some((row, path + behind(rest.get(path..)?, row.path)?)))?;
    let secret = rest.get(begin..)?;
    let ends = |letter: char| {
        letter.is_whitespace() || matches!(letter, '"' | '\'' | '`' | '?' | '#' | '<' | '>' | ')' | ']' | '}' | ',' | ';' | '\\')
    };
    // A placeholder may be followed by a rest of the secret.
    let mark = if secret.starts_with('[') { near(secret, 64).find(']').map_or(0, |close| close + 1) } else { 0 };
    let behind = secret.get(mark..)?;
    let end = behind.find(|letter| ends(letter) || (row.is_segment && letter == '/')).unwrap_or(behind.len());
    let end = if end > 0 { mark + end } else { 0 };
    // A short word without digits belongs to a page about webhooks.
    let is_secret = secret.get(..end)?.bytes().any(|byte| byte.is_ascii_digit()) || end >= 16;
    (end > 0 && is_secret).then(|| Secret::value(start + begin..start + begin + end, Rule::Webhook))
}

/// The length of a path's beginning that matches a pattern.
fn behind(path: &str, pattern: &str) -> Option<usize> {
    let Some((first, rest)) = pattern.split_once('*') else { return path.starts_with(pattern).then_some(pattern.len()) };
    let after = path.strip_prefix(first)?;
    let segment = after.find('/')?;
    Some(first.len() + segment + behind(after.get(segment..)?, rest)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Redactor;
    use super::super::scan::scrub;

    fn clean(text: &str) -> String {
        scrub(&Redactor::new(Arc::default(), false), text).into_owned()
    }

    #[test]
    fn webhook_urls_lose_their_secret_part() {
        let rows = [
            ("POST https://hooks.slack.com/services/T000/B000/XXXX", "POST https://hooks.slack.com/services/[Filtered]"),
            ("https://api.telegram.org/bot1234:AAHdq-x_y/sendMessage", "https://api.telegram.org/bot[Filtered]/sendMessage"),
            ("(https://discord.com/api/webhooks/12/abc?wait=1)", "(https://discord.com/api/webhooks/[Filtered]?wait=1)"),
            ("https://discord.com/api/v10/webhooks/12/abc", "https://discord.com/api/v10/webhooks/[Filtered]"),
            ("https://acme.webhook.office.com/webhookb2/a1@b/c", "https://acme.webhook.office.com/webhookb2/[Filtered]"),
            ("https://hooks.slack.com:443/services/T000/B000", "https://hooks.slack.com:443/services/[Filtered]"),
            ("https://hooks.slack.com/workflows/T000/A0/1/x", "https://hooks.slack.com/workflows/[Filtered]"),
            ("https://discordapp.com/api/webhooks/12/abc", "https://discordapp.com/api/webhooks/[Filtered]"),
            ("https://maker.ifttt.com/trigger/alarm/with/key/a1b2", "https://maker.ifttt.com/trigger/alarm/with/key/[Filtered]"),
            ("https://nothooks.slack.com/services/T000", "https://nothooks.slack.com/services/T000"),
            ("https://discord.com/channels/1/2", "https://discord.com/channels/1/2"),
        ];

        for (given, expected) in rows {
            assert_eq!(clean(given), expected);
            assert_eq!(clean(expected), expected, "once is enough");
        }
    }
}
