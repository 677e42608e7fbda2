//! Finds `user:password@` in addresses, with a scheme or without.

use std::ops::Range;

use super::cursor::Scan;
use super::finding::{Replacement, Rule, Secret};
use super::value_class::{self, ValueClass, is_nothing};
use super::webhook::webhook;

/// Finds the secret in a URL whose authority begins at `start`.
pub(super) fn url(scan: &Scan<'_>, start: usize) -> Option<Secret> {
    user_info(scan.text, start).or_else(|| webhook(scan.text, start))
}

/// Finds `user:password` before the `@` of an authority that begins at `start`.
pub(super) fn user_info(text: &str, start: usize) -> Option<Secret> {
    let rest = window(text, start)?;
    let end =
        rest.find(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '`' | '<' | '>' | '\\')).unwrap_or(rest.len());
    let mut whole = rest.get(..end)?;
    // In `<user>:<password>@host`, a placeholder in angle brackets ended the text above.
    if end == 0 || rest.get(end..)?.starts_with('<') {
        let at = rest.find('@')?;
        let host_end = rest.get(..at)?.find(char::is_whitespace);
        whole = rest.get(..at + 1).filter(|_| host_end.is_none() && at <= 256)?;
    }
    let authority = whole.find(['/', '?', '#']).unwrap_or(whole.len());
    let at = whole.get(..authority)?.rfind('@').or_else(|| at_behind_sign(whole, authority))?;
    let info = whole.get(..at)?;
    secret_info(text, start, info)
}

/// The part of the text that may contain a user and a password: at most 1 KiB.
fn window(text: &str, start: usize) -> Option<&str> {
    const LIMIT: usize = 1024;
    let end = (start..=text.len().min(start.saturating_add(LIMIT))).rev().find(|at| text.is_char_boundary(*at))?;
    text.get(start..end)
}

/// Finds the `@` after a `/`, `?` or `#` that is part of the password: the text before the sign is not a port.
fn at_behind_sign(whole: &str, authority: usize) -> Option<usize> {
    let (_, port) = whole.get(..authority)?.rsplit_once(':')?;
    if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty() {
        return None;
    }
    let at = whole.rfind('@')?;
    let host = whole.get(at + 1..)?;
    let host = host.split(['/', '?', '#']).next()?;
    (!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'_' | b'[' | b']')))
        .then_some(at)
}

/// User names that are not secret: every installation of a service has them.
const COMMON_USERS: [&str; 8] = ["git", "hg", "svn", "root", "anonymous", "ec2-user", "ubuntu", "admin"];

fn secret_info(text: &str, start: usize, info: &str) -> Option<Secret> {
    // An empty user-info contains no secret.
    if info.is_empty() {
        return None;
    }
    let range = start..start + info.len();
    let Some((user, password)) = info.split_once(':') else {
        // In the URL of a web server, a user without a password is a token.
        let is_web = ["http://", "https://", "ws://", "wss://"]
            .iter()
            .any(|scheme| text.get(..start).is_some_and(|before| before.ends_with(scheme)));
        let is_name = COMMON_USERS.contains(&info) || (!is_web && value_class::is_words(info));
        return (!is_name && !is_nothing(info)).then(|| Secret::value(range, Rule::UserInfo));
    };
    let is_empty = |part: &str| part.is_empty() || is_nothing(part);
    let stands_for_one = is_nothing(password) && !password.is_empty() && is_sign(password);
    let is_none = stands_for_one || is_empty(user) && is_empty(password);
    (!is_none).then_some(Secret { range, replacement: Replacement::UserInfo, rule: Rule::UserInfo })
}

/// Whether the text of a placeholder is a sign, such as `***`, and not a word.
fn is_sign(password: &str) -> bool {
    password.bytes().any(|byte| !byte.is_ascii_alphanumeric())
}

/// Finds `user:password` in `//user:password@host`, without a scheme.
pub(super) fn bare(text: &str, start: usize) -> Option<Secret> {
    let rest = window(text, start)?;
    let end = rest.find(|letter: char| letter.is_whitespace() || matches!(letter, '/' | '"' | '\'')).unwrap_or(rest.len());
    rest.get(..end)?.split_once('@')?.0.contains(':').then(|| user_info(text, start)).flatten()
}

/// Labels before an address of e-mail: `user:jane@example.org` has no password.
const LABELS: [&str; 18] = [
    "email", "mail", "user", "to", "from", "cc", "bcc", "contact", "by", "author", "owner", "mailto", "username", "login", "sip", "sips",
    "acct", "xmpp",
];

/// Finds the password in `user:password@host`, without a scheme and slashes.
///
/// `at` is the place of the `@`.
pub(super) fn without_scheme(text: &str, at: usize) -> Option<Secret> {
    const LIMIT: usize = 192;
    let bytes = text.as_bytes();
    let before = bytes.get(at.saturating_sub(LIMIT)..at)?;
    let len = before
        .iter()
        .rev()
        .take_while(|byte| {
            byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b'=' | b'(' | b'{' | b',' | b'\\')
        })
        .count();
    let start = at - len;
    let info = text.get(start..at)?;
    if info.contains("://") || info.starts_with("//") || info.starts_with("%2F") {
        return None;
    }
    let host = text.get(at + 1..)?;
    // `jdbc:oracle:thin:scott/tiger@host`
    if let Some(place) = info.find("thin:") {
        let login = info.get(place + 5..)?;
        let slash = login.find('/')?;
        return Some(Secret::value(start + place + 5 + slash + 1..at, Rule::UserInfo));
    }
    // `sqlplus scott/tiger@db`
    if let Some((user, password)) = info.split_once('/') {
        const TOOLS: [&str; 6] = ["sqlplus ", "sqlldr ", "expdp ", "impdp ", "exp ", "rman target "];
        let is_login = TOOLS.iter().any(|tool| text.get(..start).is_some_and(|before| before.trim_end_matches("-s ").ends_with(tool)));
        return is_login.then(|| Secret::value(start + user.len() + 1..at, Rule::UserInfo)).filter(|_| !is_nothing(password));
    }
    let (user, password) = info.split_once(':')?;
    let is_user = !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    let is_label = LABELS.iter().any(|label| user.eq_ignore_ascii_case(label));
    let name = host.find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_'))).unwrap_or(host.len());
    let behind = host.get(name..)?;
    let is_connection = behind.starts_with('/')
        || behind.strip_prefix(':').is_some_and(|port| port.starts_with(|first: char| first.is_ascii_digit()))
        || behind.starts_with('(');
    let is_host = name > 0
        && (host.starts_with(|first: char| first.is_ascii_alphabetic()) || host.get(..name)?.split('.').count() == 4)
        && !host.starts_with("sha256");
    let is_opaque = password.bytes().any(|byte| byte.is_ascii_digit()) && password.bytes().any(|byte| byte.is_ascii_alphabetic());
    if !is_user
        || is_label
        || !is_host
        || password.is_empty()
        || is_nothing(password)
        || !(is_connection || (is_opaque && (host.get(..name)?.contains('.') || host.get(..name)? == "localhost")))
    {
        return None;
    }
    let start = start + user.len() + 1;
    Some(Secret::value(start..at, Rule::UserInfo))
}

/// Finds the password in a line of `.pgpass`: `host:5432:database:user:password`.
///
/// `colon` is the colon after the port, which is the run.
pub(super) fn password_file(text: &str, run: &Range<usize>, colon: usize) -> Option<Secret> {
    let port = text.get(run.clone())?;
    // Nearly every colon ends here.
    if run.end != colon || !(4..=5).contains(&port.len()) || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if !text.get(..run.start)?.ends_with(':') {
        return None;
    }
    let rest = text.get(colon + 1..)?;
    let line = rest.get(..rest.find(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'')).unwrap_or(rest.len()))?;
    let mut parts = line.splitn(3, ':');
    let (database, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let is_name = |part: &str| part == "*" || part.starts_with(|first: char| first.is_ascii_alphabetic());
    let is_secret = is_name(database) && is_name(user) && value_class::class(password) >= ValueClass::Opaque;
    let start = colon + 1 + database.len() + 1 + user.len() + 1;
    is_secret.then(|| Secret::value(start..start + password.len(), Rule::UserInfo))
}
