//! Finds secrets that begin with a run of letters and digits: keys of providers, JWTs, long tokens, private keys.

use std::ops::Range;

use super::cursor::{FAR, Reading, Scan, Step, is_run, near};
use super::finding::{Rule, Secret};
use super::hashed;
use super::providers;
use super::value_class;

/// Finds a key, a token or a scheme at a run.
pub(super) fn of_run(scan: &Scan<'_>, run: Range<usize>) -> Option<Step> {
    let text = scan.text;
    let word = text.get(run.clone())?;
    let len = word.len();
    if let Some(end) = providers::key(text, run.clone()) {
        return Some(Step::Secret(Secret::token(run.start..end, Rule::Key)));
    }
    if let Some(range) = hashed::password(text, &run) {
        return Some(Step::Secret(Secret::token(range, Rule::Key)));
    }
    if len >= 10 && word.starts_with("eyJ") {
        let rest = text.get(run.start..)?;
        let token = rest.find(|letter: char| !(is_token(letter) || letter == '.')).unwrap_or(rest.len());
        let token = rest.get(..token)?.trim_end_matches('.');
        // A JWT is a header, claims and a signature with dots between them.
        if token.contains('.') || token.len() >= 40 {
            return Some(Step::Secret(Secret::token(run.start..run.start + token.len(), Rule::Key)));
        }
    }
    if matches!(len, 4 | 5 | 6 | 8 | 9)
        && matches!(word.as_bytes().first().map(u8::to_ascii_lowercase), Some(b'b' | b'n' | b'a' | b'd' | b'g' | b't' | b'h'))
        && matches!(text.as_bytes().get(run.end), Some(b' ' | b'%' | b','))
        && let Some(secret) = scheme(text, word, run.clone())
    {
        return Some(Step::Secret(secret));
    }
    if len >= 20 && word.starts_with("AAAA") && follows_key_type(text, run.start) {
        return Some(Step::Skip(base64_end(text, run.start)));
    }
    // The integrity of a script, whose base64 has slashes in it.
    if word.starts_with("sha") && ["sha256-", "sha384-", "sha512-"].iter().any(|known| word.starts_with(known)) {
        return Some(Step::Skip(base64_end(text, run.start)));
    }
    if scan.reading == Reading::Identifier || len < 16 {
        return None;
    }
    long_token(scan, run)
}

/// A value that a sentence names, as in `Failed to authenticate with key: …`. A long token gets the
/// placeholder for tokens, with or without a name.
pub(super) fn secret_in_sentence(scan: &Scan<'_>, range: Range<usize>, rule: Rule) -> Secret {
    let held = scan.text.get(range.clone()).unwrap_or_default();
    let is_long = held.len() >= scan.redactor.rules.token_length && held.bytes().all(|byte| is_run(byte) || matches!(byte, b'/' | b'='));
    if is_long { Secret::token(range, rule) } else { Secret::value(range, rule) }
}

const fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')
}

/// Finds a token of at least `token_length` characters, unless it is made of words or is a digest.
fn long_token(scan: &Scan<'_>, run: Range<usize>) -> Option<Step> {
    let text = scan.text;
    let limit = scan.redactor.rules.token_length;
    let is_base64 = |byte: u8| is_run(byte) || byte == b'/';
    let bytes = text.as_bytes();
    // Base64 has slashes in it; a path has words.
    let mut end = run.end;
    if bytes.get(end) == Some(&b'/') {
        end = run.start + bytes.get(run.start..)?.iter().take_while(|byte| is_base64(**byte)).count();
        if end - run.start < limit || !is_base64_text(text.get(run.start..end)?) {
            end = run.end;
        }
    }
    let word = text.get(run.start..end)?;
    if word.len() < limit {
        return None;
    }
    let padded = end + bytes.get(end..)?.iter().take_while(|byte| **byte == b'=').count();
    if is_made_of_words(word) || is_trace(word) || is_digest(text, run.start, word) || (scan.reading == Reading::Name && is_hex(word)) {
        return Some(Step::Skip(padded));
    }
    Some(Step::Secret(Secret::token(run.start..padded, Rule::LongToken)))
}

/// Whether a text with slashes is base64 and not a path: no part of it is a word or an id.
fn is_base64_text(text: &str) -> bool {
    if text.split('/').any(value_class::is_digest) {
        return false;
    }
    let parts = || text.split('/').filter(|part| part.len() >= 6);
    let words = parts().filter(|part| value_class::is_words(part)).map(str::len).sum::<usize>();
    parts().next().is_some() && words * 4 <= text.len()
}

/// Whether a long run is not a token: words with `-` or `_` between them, one repeated letter, or no digits.
fn is_made_of_words(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let first = word.as_bytes().first();
    word.bytes().all(|byte| Some(&byte) == first)
        || (digits == 0 && !word.contains('/'))
        || (word.contains(['-', '_']) && value_class::is_words(word))
}

/// Whether a long run consists of trace ids: `b3` has the ids of the trace, the span and its parent, and a flag.
fn is_trace(word: &str) -> bool {
    let is_hex = |part: &str, lengths: &[usize]| lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut parts = word.split('-');
    parts.next().is_some_and(|trace| is_hex(trace, &[16, 32]))
        && parts.next().is_some_and(|span| is_hex(span, &[16]))
        && parts.all(|part| part.len() == 1 || is_hex(part, &[16]))
}

/// Whether a long run is a digest beside its word: `sha256 …`, `digest: …`, `commit …`, `sha384-…`.
fn is_digest(text: &str, start: usize, word: &str) -> bool {
    const WORDS: [&str; 18] = [
        "sha",
        "md5",
        "digest",
        "checksum",
        "hash",
        "commit",
        "etag",
        "integrity",
        "fingerprint",
        "revision",
        "blake",
        "layer",
        "manifest",
        "keccak",
        "container",
        "sandbox",
        "image",
        "sha",
    ];
    // A build after a version: `shop@1.0.0+…`.
    let after_plus = word.rsplit_once('+').filter(|(version, _)| version.len() <= 12).map(|(_, build)| build);
    if after_plus.is_some_and(is_hex) {
        return true;
    }
    // A key of a cache: `Linux-cargo-…`.
    let is_behind_words =
        |words: &str| words.split('-').count() > 1 && words.split('-').all(|part| part.len() >= 3 && value_class::is_words(part));
    if word.rsplit_once('-').is_some_and(|(words, digest)| is_hex(digest) && is_behind_words(words)) {
        return true;
    }
    // A block or a transaction of a ledger.
    let digits = word.strip_prefix("0x").filter(|digits| digits.len() == 64 && is_hex(digits));
    if digits.is_some() && follows_ledger_word(text, start) {
        return true;
    }
    if !is_hex(word) {
        return false;
    }
    // In a path, a digest is the id of a resource.
    if text.get(..start).is_some_and(|before| before.ends_with('/')) {
        return true;
    }
    let from = (start.saturating_sub(24)..=start).find(|at| text.is_char_boundary(*at)).unwrap_or(start);
    let before = text.get(from..start).unwrap_or_default().to_ascii_lowercase();
    let near = before.rsplit(['\n', ',', ';']).next().unwrap_or_default();
    // `checksum mismatch: expected …, got …`
    let is_other = near.trim() == "got" || near.trim() == "found" || near.trim() == "actual";
    let is_compared = before.trim_end().ends_with("expected") || before.trim_end().ends_with("want");
    is_other && follows_digest(text, start) || is_compared && follows_word(text, start) || WORDS.iter().any(|known| near.contains(known))
}

/// `tx 0x…`, `blockhash 0x…`
fn follows_ledger_word(text: &str, start: usize) -> bool {
    let before = text.get(..start).unwrap_or_default().trim_end_matches([' ', ':', '=', '"']);
    let word = before.rsplit(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default();
    super::name_words::is_listed_word("tx txn txhash transaction block blockhash hash root topic parent stateroot", word)
}

/// Whether another digest stands shortly before.
fn follows_digest(text: &str, start: usize) -> bool {
    let before = text.get(..start).unwrap_or_default();
    let runs = before.rsplit(|letter: char| !letter.is_ascii_alphanumeric()).filter(|run| !run.is_empty());
    runs.take(3).any(is_hex)
}

/// Whether a word that compares digests comes before, in the same line.
fn follows_word(text: &str, start: usize) -> bool {
    let from = (start.saturating_sub(80)..=start).find(|at| text.is_char_boundary(*at)).unwrap_or(start);
    let line = text.get(from..start).unwrap_or_default().rsplit('\n').next().unwrap_or_default().to_ascii_lowercase();
    ["checksum", "digest", "hash", "sha", "integrity", "etag"].iter().any(|known| line.contains(known))
}

fn is_hex(word: &str) -> bool {
    word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the type of a public key comes before it: `ssh-ed25519 AAAA…`.
fn follows_key_type(text: &str, start: usize) -> bool {
    let before = text.get(..start).unwrap_or_default().trim_end_matches(' ');
    ["ssh-ed25519", "ssh-rsa", "ssh-dss", "nistp256", "nistp384", "nistp521", "@openssh.com"].iter().any(|known| before.ends_with(known))
}

fn base64_end(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    start + rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')).count()
}

/// Skips the contents of `data:image/png;base64,…`.
pub(super) fn data_url(text: &str, run: &Range<usize>, colon: usize) -> Option<Step> {
    if run.end != colon || text.get(run.clone())? != "data" {
        return None;
    }
    let rest = text.get(colon + 1..)?;
    if !["image/", "font/", "audio/", "video/", "application/font", "application/x-font"].iter().any(|kind| rest.starts_with(kind)) {
        return None;
    }
    let comma = rest.get(..64.min(rest.len())).unwrap_or(rest).find(',')?;
    Some(Step::Skip(base64_end(text, colon + 2 + comma)))
}

/// Finds the credentials after `Bearer` and other schemes.
fn scheme(text: &str, word: &str, run: Range<usize>) -> Option<Secret> {
    const SCHEMES: [&str; 9] = ["basic", "bearer", "negotiate", "ntlm", "apikey", "geniekey", "token", "hawk", "digest"];
    if !SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        return None;
    }
    let rest = text.get(run.end..)?;
    // In these schemes, a parameter contains the value that is computed from the secret.
    let parameter = match word.len() {
        4 if word.eq_ignore_ascii_case("hawk") => Some("mac=\""),
        6 if word.eq_ignore_ascii_case("digest") => Some("response=\""),
        _ => None,
    };
    if let Some(parameter) = parameter {
        let line = near(rest, FAR).split('\n').next()?;
        let start = line.find(parameter)? + parameter.len();
        let len = line.get(start..)?.find('"').unwrap_or(line.len() - start);
        return Some(Secret::near(text, run.end, run.end + start..run.end + start + len, Rule::Scheme));
    }
    let blank = if rest.starts_with("%20") {
        3
    } else if rest.starts_with(", ") {
        2
    } else {
        usize::from(rest.starts_with(' '))
    };
    let rest = rest.get(blank..).filter(|_| blank > 0)?;
    let end = rest
        .find(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '`' | ',' | ';' | ')' | '\\' | '<' | '>'))
        .unwrap_or(rest.len());
    let token = rest.get(..end)?.trim_end_matches(['.', ':', '!']);
    let end = token.len();
    // `[Filtered]` is a placeholder of the token, unless other text follows it.
    let stands_for_one =
        token.starts_with(['$', '{']) || token.starts_with('[') && token.find(']').is_none_or(|end| end + 1 == token.len());
    // `Bearer realm=…`, `type=Bearer scope=…`: the next pair.
    let is_pair = token.trim_end_matches('=').contains('=');
    if token.contains("-----BEGIN") || stands_for_one || is_pair {
        return None;
    }
    let is_secret = match word.len() {
        // `token` and the like also begin sentences.
        5 if word.eq_ignore_ascii_case("token") => value_class::is_random(token),
        _ => {
            token.len() >= 6 && value_class::is_mixed(token)
                || value_class::is_random(token)
                || token.len() >= 24 && !value_class::is_words(token)
        }
    };
    let start = run.end + blank;
    is_secret.then(|| Secret::value(start..start + end, Rule::Scheme))
}

/// Finds the block that begins with dashes: a private key is hidden, a certificate is skipped.
pub(super) fn dashes(text: &str, run: Range<usize>) -> Option<Step> {
    let block = private_key(text, run.start)?;
    Some(match block {
        (end, true) => Step::Secret(Secret::value(run.start..end, Rule::PrivateKey)),
        (end, false) => Step::Skip(end),
    })
}

/// Returns the end of the block in armour that begins at `start`, and whether it is a private key.
pub(super) fn private_key(text: &str, start: usize) -> Option<(usize, bool)> {
    let rest = text.get(start..)?;
    let label = rest.strip_prefix("-----BEGIN ").or_else(|| rest.strip_prefix("---- BEGIN "))?;
    let label = label.get(..label.find("---").unwrap_or(label.len()).min(64)).unwrap_or_default();
    let is_private = label.contains("PRIVATE") || label.contains("SECRET") || label.contains("ENCRYPTED");
    let end = rest.find("-----END").and_then(|end| Some(end + 8 + rest.get(end + 8..)?.find("-----")? + 5));
    let end = match end {
        Some(end) => end,
        // A sentence about such a block: `expected -----BEGIN PRIVATE KEY----- but …`.
        None if is_sentence(rest) => 11 + label.len(),
        // The end is missing, so the whole rest is the key.
        None if is_private => rest.len(),
        None => 11 + label.len(),
    };
    Some((start + end, is_private && end > 11 + label.len()))
}

/// Whether words, and no line of a key, follow the line that begins a block.
fn is_sentence(block: &str) -> bool {
    let rest = block.trim_start_matches('-').split_once("-----").map_or("", |(_, rest)| rest);
    let Some(rest) = rest.trim_start_matches(['"', '\'', '`', ',']).strip_prefix(' ') else { return false };
    let word = rest.split([' ', ',', '.', '\n']).next().unwrap_or_default();
    value_class::is_common(word) && !near(rest, FAR).split(char::is_whitespace).any(|word| word.len() >= 24)
}

/// Extends a value to the end of the private key in it.
pub(super) fn with_private_key(text: &str, range: Range<usize>) -> Range<usize> {
    let Some(begin) = text.get(range.clone()).and_then(|value| value.find("-----BEGIN")) else { return range };
    match private_key(text, range.start + begin) {
        Some((end, true)) => range.start..end.max(range.end),
        _ => range,
    }
}
