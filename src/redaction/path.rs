//! Finds segments of paths that are tokens: after words such as `reset`, or by their form.

use std::ops::Range;

use super::cursor::{Scan, near};
use super::finding::{Rule, Secret};
use super::name_words::{is_listed_word, words};
use super::value_class;

/// Words that a token follows.
const WORDS: &str = "reset confirm verify invite invites invitation invitations token tokens secret secrets share shares activate activation magic magic-link magiclink \
    unsubscribe password passwords reset-password password-reset resetpassword verify-email confirm-email auth sso callback hook hooks webhook webhooks build_hooks \
    login signin verification confirmation otp session sessions key keys apikey unlock join s bot integration accept approve recover recovery download-token device";

/// Words that a token follows even if they are a part of a segment: `accept-invite`, `verify_email`, `sharedLinks`.
const PARTS: &str = "reset forgot confirm verify invite invitation token secret share shared magic activate activation unsubscribe verification \
    confirmation unlock recover recovery signup";

/// After these words, even an id is a token.
const SURE: &str = "reset reset-password password-reset resetpassword token secret magic magic-link magiclink confirm activate unsubscribe verify-email confirm-email webhook hook";

/// Finds the token after a word of a path, at the slash that ends the word.
///
/// `run` is the word.
pub(super) fn segment(scan: &Scan<'_>, run: &Range<usize>, slash: usize) -> Option<Secret> {
    let text = scan.text;
    if run.end != slash || run.len() > 32 || run.is_empty() || text.as_bytes().get(run.start.wrapping_sub(1)) != Some(&b'/') {
        return None;
    }
    let rest = text.get(slash + 1..)?;
    // A placeholder may be followed by a rest of the token.
    let mark = if rest.starts_with('[') { near(rest, 64).find(']').map_or(0, |close| close + 1) } else { 0 };
    let slash = slash + mark;
    let rest = rest.get(mark..)?;
    let end =
        rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '~' | '='))).unwrap_or(rest.len());
    let segment = rest.get(..end)?.trim_end_matches('.');
    if (4..=8).contains(&segment.len())
        && segment.bytes().all(|byte| byte.is_ascii_digit())
        && text.get(run.clone()).is_some_and(|word| is_listed_word("otp totp passcode 2fa mfa pin", word))
    {
        return Some(Secret::value(slash + 1..slash + 1 + segment.len(), Rule::OneTimeCode));
    }
    // Nearly every segment ends here.
    if segment.len() < 10 || !segment.bytes().any(|byte| byte.is_ascii_digit()) {
        // `/reset/MQ/…`: an id or a time comes before the token.
        let later = if rest.as_bytes().get(end) == Some(&b'/') { later_segment(text, slash + 1 + end) } else { None };
        let is_announced = |word: &str| is_listed_word(SURE, word) || is_listed_word("verify verification invite invitation", word);
        return later.filter(|_| text.get(run.clone()).is_some_and(is_announced));
    }
    let word = text.get(run.clone()).filter(|word| is_listed_word(WORDS, word) || words(word).any(|part| is_listed_word(PARTS, part)))?;
    let mut len = segment.len();
    // Webhooks of Rocket.Chat have a token in two segments.
    if matches!(word, "hooks" | "hook" | "webhook" | "webhooks")
        && let Some(next) = rest.get(len..).and_then(|after| after.strip_prefix('/'))
    {
        let next = next.get(..next.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(next.len()))?;
        len += if next.len() >= 16 && value_class::is_mixed(next) { 1 + next.len() } else { 0 };
    }
    // The token of a device has the length of a digest.
    if word == "device" && !(segment.len() == 64 && value_class::is_digest(segment)) {
        return None;
    }
    is_token_after(word, segment).then(|| Secret::value(slash + 1..slash + 1 + len, Rule::Path))
}

/// The token among the next segments of a path.
fn later_segment(text: &str, start: usize) -> Option<Secret> {
    let mut at = start;
    for _ in 0..3 {
        let rest = text.get(at..)?.strip_prefix('/')?;
        let len = rest
            .find(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '~' | '=' | '+')))
            .unwrap_or(rest.len());
        let segment = rest.get(..len)?;
        if segment.len() >= 16 && segment.bytes().any(|byte| byte.is_ascii_digit()) && value_class::is_mixed(segment) {
            // Base64 has slashes in it.
            let more = rest.get(len..)?.strip_prefix('/').filter(|_| segment.bytes().any(|byte| byte.is_ascii_uppercase()));
            let more = more.map_or(0, |next| {
                let next = next.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(next.len());
                if next >= 16 { next + 1 } else { 0 }
            });
            return Some(Secret::value(at + 1..at + 1 + len + more, Rule::Path));
        }
        at += 1 + len;
    }
    None
}

/// `private-…` in an address of a calendar, and Cloudinary's `s--…--`.
pub(super) fn marked(text: &str, slash: usize) -> Option<Secret> {
    let rest = text.get(slash + 1..)?;
    // Nearly every segment ends here.
    let held = rest.strip_prefix("private-").or_else(|| rest.strip_prefix("s--"))?;
    let len = held.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-' || letter == '_')).unwrap_or(held.len());
    let held = held.get(..len)?;
    let start = slash + 1 + rest.find(held)?;
    let bare = held.trim_end_matches('-');
    let is_secret = bare.bytes().any(|byte| byte.is_ascii_digit()) && (bare.len() >= 16 || rest.starts_with("s--") && held.ends_with("--"));
    is_secret.then(|| Secret::value(start..start + bare.len(), Rule::Path))
}

/// Whether a segment is a token, after this word.
fn is_token_after(word: &str, segment: &str) -> bool {
    let is_id = value_class::is_digest(segment);
    if is_id && segment.len() == 36 {
        return is_listed_word(SURE, word);
    }
    segment.len() >= 10 && segment.bytes().any(|byte| byte.is_ascii_digit()) && value_class::is_mixed(segment) && !has_extension(segment)
}

/// Whether a segment is a file: `app.3f9c.js`.
fn has_extension(segment: &str) -> bool {
    segment.rsplit_once('.').is_some_and(|(_, extension)| {
        (1..=5).contains(&extension.len())
            && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && extension.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

/// Whether a segment is a token by its form: long, with capitals, small letters and digits, unlike slugs, ids and digests.
pub(super) fn is_token(segment: &str) -> bool {
    let has = |test: fn(&u8) -> bool| segment.bytes().any(|byte| test(&byte));
    segment.len() >= 32
        && !segment.contains('.')
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && value_class::is_mixed(segment)
        && !value_class::is_digest(segment)
}
