//! Hashes of passwords, by the form in which servers store them: `$2b$12$…`, `$argon2id$…`, `{SSHA}…`.
//!
//! Unlike the digest of a file, such a hash is secret: an attacker can search for the password that fits.

use std::ops::Range;

/// Names of functions between two `$`.
const FUNCTIONS: [&str; 12] =
    ["2a", "2b", "2x", "2y", "argon2id", "argon2i", "argon2d", "scrypt", "apr1", "pbkdf2-sha256", "pbkdf2-sha512", "pbkdf2"];
/// The same with one character: MD5, SHA-256, SHA-512, scrypt and yescrypt.
const LETTERS: [&str; 5] = ["$1$", "$5$", "$6$", "$7$", "$y$"];
/// Names that begin a hash, with `$` after them: those of Django, and that of `PostgreSQL` in upper and lower case.
const BEGINNINGS: [&str; 5] = ["pbkdf2_sha256", "pbkdf2_sha1", "scrypt", "SCRAM-SHA-256", "scram-sha-256"];
/// LDAP's, in braces.
const BRACED: [&str; 6] = ["SSHA", "SSHA256", "SSHA512", "SHA", "SMD5", "CRYPT"];
/// A hash has at least this many characters after the name of its function.
const LEAST: usize = 24;

/// Returns the hash that begins at a run, or before it.
#[inline]
pub(super) fn password(text: &str, run: &Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let after = bytes.get(run.end).copied();
    let before = bytes.get(run.start.wrapping_sub(1)).copied();
    // Nearly every run ends here.
    let may_be_one = matches!(after, Some(b'$' | b'}')) || before == Some(b'$');
    if may_be_one { hash(text, run, before, after) } else { None }
}

#[cold]
fn hash(text: &str, run: &Range<usize>, before: Option<u8>, after: Option<u8>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let word = text.get(run.clone())?;
    let start = match (before, after) {
        (Some(b'$'), Some(b'$')) if FUNCTIONS.contains(&word) => run.start - 1,
        (Some(b'{'), Some(b'}')) if BRACED.iter().any(|known| known.eq_ignore_ascii_case(word)) => run.start - 1,
        (_, Some(b'$')) if BEGINNINGS.contains(&word) => run.start,
        (Some(b'$'), _) => {
            let letter = run.start.checked_sub(3)?;
            // `Orders$1$Callback` is a class of Java.
            let is_free = letter.checked_sub(1).and_then(|at| bytes.get(at)).is_none_or(|byte| !byte.is_ascii_alphanumeric());
            (is_free && LETTERS.contains(&text.get(letter..run.start)?)).then_some(letter)?
        }
        _ => return None,
    };
    let rest = bytes.get(run.end..)?;
    // Elsewhere a colon ends the hash, as in `/etc/shadow`.
    let has_colons = start == run.start;
    let is_part = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'$' | b'.' | b'/' | b'+' | b'=' | b',' | b'-' | b'_') || *byte == b':' && has_colons
    };
    let brace = usize::from(after == Some(b'}'));
    let len = brace + rest.get(brace..)?.iter().take_while(|byte| is_part(byte)).count();
    let hash = rest.get(..len)?;
    let len = len - hash.iter().rev().take_while(|byte| matches!(byte, b'.' | b',' | b':')).count();
    let is_hash = len >= LEAST && hash.iter().any(u8::is_ascii_digit) && hash.iter().any(u8::is_ascii_alphabetic);
    is_hash.then_some(start..run.end + len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first hash in a text.
    fn found(text: &str) -> Option<&str> {
        let is_run = |byte: &u8| super::super::cursor::is_run(*byte);
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let len = bytes.get(at..)?.iter().take_while(|byte| is_run(byte)).count();
            if len > 0
                && let Some(range) = password(text, &(at..at + len))
            {
                return text.get(range);
            }
            at += len.max(1);
        }
        None
    }

    #[test]
    fn hashes_of_passwords_are_found_whole() {
        let salted = "saltSALT12$aB3dE6gH9jK2mN5pQ8rT1uV4wX7y/.";
        for hash in [
            format!("$2b$12${}", "aB3dE6gH9jK2mN5pQ8rT1uV4wX7y/.aB3dE6gH9jK2mN5pQ8rT1u"),
            format!("$argon2id$v=19$m=65536,t=3,p=4${salted}"),
            format!("$6${salted}"),
            format!("$y$j9T${salted}"),
            format!("$apr1${salted}"),
            format!("pbkdf2_sha256$260000${salted}="),
            format!("SCRAM-SHA-256$4096:{salted}=:aB3d="),
            "{SSHA}aB3dE6gH9jK2mN5pQ8rT1uV4wX7y".to_owned(),
        ] {
            for text in [hash.clone(), format!("hash: \"{hash}\", n"), format!("stored {hash}, n"), format!("Some({hash})")] {
                assert_eq!(found(&text).map(|found| found.trim_end_matches([')', '.'])), Some(hash.trim_end_matches('.')), "{text}");
            }
        }
    }

    #[test]
    fn other_texts_with_these_signs_are_not() {
        for text in [
            "costs $12 or $2b",
            "$1 $2 $3",
            "{SHA} of it",
            "${HOME}/$USER",
            "$6$short",
            "$1$2$3",
            "echo $argon2id $scrypt",
            "scrypt$PATH",
            "Orders$1$CallbackOfTheOrders2.complete",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
