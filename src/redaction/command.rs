//! Finds passwords in command lines: `--password …`, `-u user:…`, and the short options of tools that take a
//! password.

use std::ops::Range;

use super::cursor::{FAR, Scan, near};
use super::finding::{Rule, Secret};
use super::names::{self, Level};
use super::value::{Form, value};
use super::value_class::{self, ValueClass, is_nothing};
use super::verdict::judge;

/// What a short option holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// A password, directly after the letter or in the next word.
    Any,
    /// A password directly after the letter. For the letter alone, the tool asks the user.
    Glued,
    /// A password in the next word.
    Next,
    /// `user:password`
    Pair,
    /// `user%password`
    Percent,
}

/// Options, and the tools that take a password with them. The tool comes before the option.
const OPTIONS: [(char, Holds, &[&str]); 13] = [
    ('p', Holds::Glued, &["mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb", "mariadb-dump"]),
    ('p', Holds::Any, &["sshpass", "mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "7z", "htpasswd"]),
    (
        'p',
        Holds::Next,
        &["docker login", "podman login", "helm registry login", "buildah login", "az login", "oc login", "cf login", "heroku login"],
    ),
    (
        'p',
        Holds::Next,
        &["cqlsh", "twine upload", "influx", "nmcli", "lftp", "svn", "hg", "beeline", "rabbitmqadmin", "rdesktop", "psexec"],
    ),
    ('P', Holds::Any, &["sqlcmd", "bcp", "zip", "unzip", "ipmitool", "mosquitto_pub", "mosquitto_sub"]),
    ('a', Holds::Next, &["redis-cli", "valkey-cli", "keydb-cli"]),
    ('w', Holds::Any, &["ldapsearch", "ldapmodify", "ldapadd", "ldapwhoami", "ldapdelete", "ldappasswd"]),
    ('s', Holds::Next, &["ldappasswd"]),
    ('u', Holds::Pair, &["curl", "http ", "wget", "xh ", "elasticdump", "lftp"]),
    ('U', Holds::Percent, &["smbclient", "rpcclient", "net ", "smbmap"]),
    ('U', Holds::Pair, &["curl"]),
    ('k', Holds::Next, &["openssl enc", "openssl aes-256-cbc"]),
    ('c', Holds::Next, &["snmpwalk", "snmpget", "snmpset", "snmpbulkwalk", "snmptrap"]),
];

/// The maximum distance between a tool and its option, in bytes.
const TOOL_LIMIT: usize = 512;

/// Finds the secret of an option that is the run.
pub(super) fn option(scan: &mut Scan<'_>, run: Range<usize>) -> Option<Secret> {
    let text = scan.text;
    let bytes = text.as_bytes();
    let is_start = run.start == 0 || matches!(bytes.get(run.start - 1), Some(b' ' | b'\n' | b'\t' | b'"' | b'\'' | b'`' | b'[' | b','));
    if !is_start {
        return None;
    }
    let word = text.get(run.clone())?;
    if let Some(name) = word.strip_prefix("--") {
        return long(scan, name, run.end);
    }
    let letter = word.chars().nth(1)?;
    if word.starts_with("-pass")
        && bytes.get(run.end) == Some(&b' ')
        && let Some(secret) = source(text, run.end + 1)
    {
        return Some(secret);
    }
    // PuTTY's: `-pw …`.
    if (word.len() >= 5 || word == "-pw")
        && word.bytes().skip(1).all(|byte| byte.is_ascii_alphabetic())
        && judge(word).field == Level::Sure
        && let Some(secret) = long(scan, word.get(1..)?, run.end)
    {
        // Java's tools and those of Windows: `-storepass …`, `-Password …`.
        return Some(secret);
    }
    if !matches!(letter, 'p' | 'P' | 'a' | 'w' | 'u' | 'U' | 's' | 'k' | 'c') {
        return None;
    }
    let before = text.get((run.start.saturating_sub(TOOL_LIMIT)..run.start).find(|at| text.is_char_boundary(*at))?..run.start)?;
    let before = before.rsplit(['|', ';', '\n']).next()?;
    let (_, holds, _) = OPTIONS.iter().find(|(known, _, tools)| *known == letter && tools.iter().any(|tool| has_tool(before, tool)))?;
    let is_alone = word.len() == 2;
    let is_quoted = is_alone && matches!(bytes.get(run.end), Some(b'"' | b'\''));
    let start = match holds {
        // `-p'…'`
        Holds::Glued | Holds::Any | Holds::Pair if is_quoted && text.get(run.end + 1..)?.starts_with(|next: char| next != ',') => run.end,
        Holds::Glued | Holds::Any | Holds::Pair if !is_alone => run.start + 2,
        Holds::Glued => return None,
        _ if is_alone => run.end + 1,
        _ => return None,
    };
    // In a list of arguments: `'-a', '…'`.
    let in_list =
        ["', '", "\", \"", "','", "\",\""].iter().find(|gap| is_alone && text.get(run.end..).is_some_and(|after| after.starts_with(**gap)));
    let start = in_list.map_or(start, |gap| run.end + gap.len() - 1);
    let rest = text.get(start..)?;
    // The next word is an option or missing, and not a value.
    if rest.starts_with(['-', ' ']) {
        return None;
    }
    let held = value(rest, Form::Value)?.range;
    let given = rest.get(held.clone())?;
    let offset = match holds {
        Holds::Pair => given.find([':', ','])? + 1,
        Holds::Percent => given.find('%')? + 1,
        _ => 0,
    };
    let secret = given.get(offset..)?;
    (!is_nothing(secret)).then(|| Secret::value(start + held.start + offset..start + held.end, Rule::Command))
}

/// Whether a command contains a tool as a separate word.
fn has_tool(before: &str, tool: &str) -> bool {
    before.match_indices(tool).any(|(at, _)| {
        let is_free = |letter: Option<char>| letter.is_none_or(|letter| !(letter.is_alphanumeric() || letter == '-' || letter == '_'));
        is_free(before.get(..at).and_then(|text| text.chars().next_back()))
            && (tool.ends_with(' ') || is_free(before.get(at + tool.len()..).and_then(|text| text.chars().next())))
    })
}

/// `--password …`: the value is the next word.
fn long(scan: &Scan<'_>, name: &str, end: usize) -> Option<Secret> {
    let text = scan.text;
    if matches!(name, "user" | "proxy-user") && text.get(end..)?.starts_with(' ') {
        // curl's `--user jane:…`
        let rest = text.get(end + 1..)?;
        let held = value(rest, Form::Value)?.range;
        let (user, password) = rest.get(held.clone())?.split_once(':')?;
        let is_secret = !is_nothing(password) && !password.is_empty() && !user.contains('/');
        return is_secret.then(|| Secret::value(end + 1 + held.start + user.len() + 1..end + 1 + held.end, Rule::Command));
    }
    let level = judge(name).field;
    let is_own = scan.redactor.is_hidden_by_user(name);
    let rest = text.get(end..)?.strip_prefix(' ').filter(|_| level >= Level::IfRandom || is_own)?;
    // The next option, or a file from which the tool reads.
    if rest.starts_with(['-', '<']) && !rest.starts_with("-----BEGIN") {
        return None;
    }
    let held = value(rest, Form::Value)?;
    if !scan.may_read(held.range.end) {
        return Some(Secret::value(end + 1..text.len(), Rule::Command));
    }
    let given = rest.get(held.range.clone())?;
    // Docker's `--secret id=npm`
    if given.starts_with("id=") {
        return None;
    }
    let is_hidden = is_own || value_class::is_hidden(level, given, names::is_numeric(name), false);
    is_hidden.then(|| Secret::value(end + 1 + held.range.start..end + 1 + held.range.end, Rule::Command))
}

/// Finds the value after the name of a variable: `ENV DB_PASSWORD …`, `setx API_KEY "…"`.
///
/// In a sentence, a word follows such a name, so only opaque values are hidden.
pub(super) fn variable(scan: &Scan<'_>, run: Range<usize>) -> Option<Secret> {
    let text = scan.text;
    let rest = text.get(run.end..)?.strip_prefix(' ')?;
    let word = near(rest, FAR).split([' ', '\n']).next()?;
    // Nearly every word ends here.
    if word.len() < 6 || !word.bytes().any(|byte| byte.is_ascii_digit()) || word.contains(['=', '(']) {
        return None;
    }
    let name = text.get(run.clone()).filter(|name| !name.starts_with('-'))?;
    let level = judge(name).field;
    let held = value(rest, Form::Value).filter(|_| level >= Level::Likely)?.range;
    let given = rest.get(held.clone())?;
    let is_secret = given.len() >= 6 && value_class::class(given) >= ValueClass::Opaque && !value_class::is_digest(given);
    is_secret.then(|| Secret::value(run.end + 1 + held.start..run.end + 1 + held.end, Rule::Command))
}

/// Finds the word of a command that is a password because of its position: `htpasswd -b FILE USER PASSWORD`.
pub(super) fn word(text: &str, run: Range<usize>) -> Option<Secret> {
    let skipped = match text.get(run.clone())? {
        "htpasswd" if text.get(run.end..)?.starts_with(" -") => 3,
        "add_user" | "change_password" if text.get(..run.start)?.ends_with("rabbitmqctl ") => 1,
        "wpa_passphrase" => 1,
        "user" if ["net ", "ftp> "].iter().any(|before| text.get(..run.start).is_some_and(|text| text.ends_with(before))) => 1,
        // `net use Z: \\files\share …`
        "use" if text.get(..run.start)?.ends_with("net ") => {
            let mut words = near(text.get(run.end..)?, FAR).split(' ').skip(1);
            words.position(|word| word.starts_with("\\\\"))? + 1
        }
        "ConvertTo-SecureString" => 0,
        "chpasswd" => return piped(text, run.start),
        _ => return None,
    };
    let line = text.get(run.end..)?.strip_prefix(' ')?;
    let line = near(line, FAR).split(['\n', '|', ';', '"']).next()?;
    let held = line.split(' ').nth(skipped).filter(|held| !matches!(*held, "" | "*") && !held.starts_with('/') && !is_nothing(held))?;
    let start = run.end + 1 + line.split(' ').take(skipped).map(|word| word.len() + 1).sum::<usize>();
    let bare = held.trim_matches('\'');
    let start = start + held.find(bare)?;
    Some(Secret::near(text, run.end + 1, start..start + bare.len(), Rule::Command))
}

/// `echo "jane:…" | chpasswd`
fn piped(text: &str, start: usize) -> Option<Secret> {
    let before = text.get(..start)?.strip_suffix("| ")?.trim_end_matches([' ', '"', '\'']);
    let colon = before.rfind(':')?;
    let held = before.get(colon + 1..)?;
    (!held.is_empty() && !held.contains(' ')).then(|| Secret::value(colon + 1..before.len(), Rule::Command))
}

/// OpenSSL's sources of passwords: `pass:…`.
fn source(text: &str, start: usize) -> Option<Secret> {
    let rest = text.get(start..)?.strip_prefix("pass:")?;
    let held = value(rest, Form::Value)?.range;
    (held.start == 0).then(|| Secret::value(start + 5..start + 5 + held.end, Rule::Command))
}
