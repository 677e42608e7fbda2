//! The words of a name: `user_token`, `userToken`, `user-token` and `USER TOKEN` have the same two.

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// Returns a name in lower case without separators, as the user's rules are stored.
pub(super) fn squash(name: &str) -> String {
    name.chars().filter(|letter| !is_separator(*letter)).flat_map(char::to_lowercase).collect()
}

/// Returns the part of a name that is judged, because a client may send a name of many kilobytes.
pub(super) fn cut(name: &str) -> &str {
    const JUDGED: usize = 256;
    name.get(..JUDGED.min(name.len())).unwrap_or(name)
}

const fn is_separator(letter: char) -> bool {
    matches!(letter, '-' | '_' | '.' | ' ' | '[' | ']' | ':')
}

/// Whether a word is in a list of lower-case words with blanks between them.
pub(super) fn is_listed_word(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed.eq_ignore_ascii_case(word))
}

/// Words to find in a name in one pass, ignoring its separators and case.
pub(super) struct WordSet(Option<AhoCorasick>);

impl WordSet {
    pub(super) fn new(words: impl IntoIterator<Item: AsRef<[u8]>>) -> Self {
        // Fails only for gigabytes of words.
        Self(AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(words).ok())
    }

    pub(super) fn are_in(&self, name: &str) -> bool {
        let mut squashed = [0_u8; 256];
        let letters = cut(name).bytes().filter(|byte| !is_separator(char::from(*byte)));
        let mut len = 0;
        for (slot, letter) in squashed.iter_mut().zip(letters) {
            *slot = letter;
            len += 1;
        }
        // Without an automaton, every name counts as secret.
        self.0.as_ref().is_none_or(|words| words.is_match(squashed.get(..len).unwrap_or_default()))
    }
}

/// Splits a name into words. A digit does not end a word: `cvv2`, `oauth2`.
pub(super) fn words(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = cut(name);
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|letter: char| !letter.is_alphanumeric());
        if rest.is_empty() {
            return None;
        }
        let mut lower = false;
        let mut letters = rest.char_indices().peekable();
        let mut end = rest.len();
        while let Some((at, letter)) = letters.next() {
            // `SAMLResponse`: the last capital of several begins the next word.
            let mut begins = || letters.peek().is_some_and(|(_, next)| next.is_lowercase()) && at > 1;
            if !letter.is_alphanumeric() || (letter.is_uppercase() && (lower || begins())) {
                end = at;
                break;
            }
            lower = letter.is_lowercase() || letter.is_ascii_digit();
        }
        let (word, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_same_words_in_any_spelling() {
        for name in ["user_token", "userToken", "user-token", "USER TOKEN", "user.token", "user[token]"] {
            let found: Vec<String> = words(name).map(str::to_ascii_lowercase).collect();
            assert_eq!(found, ["user", "token"], "{name}");
            assert_eq!(squash(name), "usertoken", "{name}");
        }
        assert_eq!(words("SAMLResponse").collect::<Vec<_>>(), ["SAML", "Response"]);
        assert_eq!(words("cvv2").collect::<Vec<_>>(), ["cvv2"]);
        assert_eq!(words("oauth2Token").collect::<Vec<_>>(), ["oauth2", "Token"]);
    }
}
