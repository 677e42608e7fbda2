//! Secrets in sentences: `the password is …`, `api key '…'`, `your code is 123456`.

use std::ops::Range;

use super::cursor::{Scan, near};
use super::finding::{Rule, Secret};
use super::value_class::{self, ValueClass};
use super::{providers, shape};

/// Words that a secret follows in a sentence, and the form of that secret.
pub(super) const NOUNS: [(&str, Noun); 45] = [
    ("password", Noun::Password),
    ("passwd", Noun::Password),
    ("passphrase", Noun::Password),
    ("passcode", Noun::Password),
    ("pwd", Noun::Password),
    ("pass", Noun::Opaque),
    ("secret", Noun::Opaque),
    ("token", Noun::Opaque),
    ("key", Noun::Opaque),
    ("apikey", Noun::Opaque),
    ("jwt", Noun::Opaque),
    ("credential", Noun::Opaque),
    ("credentials", Noun::Opaque),
    ("otp", Noun::Digits),
    ("totp", Noun::Digits),
    ("pin", Noun::Digits),
    ("cvv", Noun::Digits),
    ("cvc", Noun::Digits),
    ("code", Noun::Code),
    ("ssn", Noun::Number),
    ("hmac", Noun::Opaque),
    ("api-key", Noun::Opaque),
    ("api_key", Noun::Opaque),
    ("number", Noun::Numbered),
    ("passwort", Noun::Password),
    ("kennwort", Noun::Password),
    ("senha", Noun::Password),
    ("clave", Noun::Password),
    ("session", Noun::Session),
    ("cookie", Noun::Session),
    ("community", Noun::Community),
    ("signature", Noun::Opaque),
    ("wachtwoord", Noun::Password),
    ("parola", Noun::Password),
    ("heslo", Noun::Password),
    ("salasana", Noun::Password),
    ("lozinka", Noun::Password),
    ("adgangskode", Noun::Password),
    ("passe", Noun::Password),
    // The ASCII letters before or after the first other letter: `contraseña`, `hasło`, `lösenord`, `código`.
    ("contrase", Noun::Password),
    ("has", Noun::Password),
    ("senord", Noun::Password),
    ("digo", Noun::Code),
    ("einmalcode", Noun::Digits),
    ("unseal", Noun::Opaque),
];

/// The endings of the words above that are listed by their first letters.
const ENDINGS: [(&str, &str); 2] = [("contrase", "ña"), ("has", "ło")];
/// The beginnings of the words above that are listed by their last letters.
const BEGINNINGS: [(&str, &str); 4] = [("passe", "mot de "), ("senord", "lö"), ("digo", "có"), ("digo", "Có")];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Noun {
    /// A chosen password: it has digits, signs or capitals.
    Password,
    /// It is long and random, or in quotes.
    Opaque,
    /// Three to eight digits.
    Digits,
    /// The same, if another word shows that the code is secret.
    Code,
    /// Nine digits.
    Number,
    /// As `Opaque`, unless it is an id.
    Session,
    /// The number of an account or a passport, if a word before says so.
    Numbered,
    /// A router's community, after `snmp-server`.
    Community,
}

/// Words before `code` that make it a secret: a status, a country and a source have codes too.
const CODES: &str = "verification login security 2fa mfa sms time one-time access authentication authorization auth confirmation reset otp signin sign-in activation \
    backup recovery passcode factor two-factor pin your ihr dein votre ton tu su seu";

/// Finds the secret after a word that names it in a sentence.
pub(super) fn after(scan: &Scan<'_>, run: Range<usize>) -> Option<Secret> {
    let text = scan.text;
    let bytes = text.as_bytes();
    // In a sentence, a blank follows, or a letter of the word that is not ASCII. Nearly every word ends here.
    if !(3..=11).contains(&run.len()) || !matches!(bytes.get(run.end), Some(b' ' | 0x80..)) {
        return None;
    }
    let word = text.get(run.clone())?;
    let (known, noun) = NOUNS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word))?;
    let before = text.get(..run.start)?;
    let ending = ENDINGS.iter().find(|(start, _)| start == known).map(|(_, ending)| *ending);
    let run = match ending {
        Some(ending) if text.get(run.end..)?.starts_with(ending) => run.start..run.end + ending.len(),
        Some(_) => return None,
        None => run,
    };
    let mut beginnings = BEGINNINGS.iter().filter(|(end, _)| end == known).map(|(_, beginning)| *beginning).peekable();
    if beginnings.peek().is_some() && !beginnings.any(|beginning| before.ends_with(beginning)) {
        return None;
    }
    // In a sentence, a blank follows the word. A path or a type has none, and `password: …` is a pair.
    if bytes.get(run.end) != Some(&b' ') {
        return None;
    }
    if *noun == Noun::Opaque && *known == "key" && is_public(before) {
        return None;
    }
    let mut start = run.end;
    if *noun == Noun::Code {
        start += kind_of_code(before, text.get(run.end..)?)?;
    }
    if text.get(run.end..)?.starts_with(" = ") {
        // A pair.
        return None;
    }
    let mut is_stated = false;
    if *noun == Noun::Numbered && !is_numbered(before) {
        return None;
    }
    if *noun == Noun::Community && !before.ends_with("snmp-server ") {
        return None;
    }
    // `the password of the database is …`, in any language.
    if *noun == Noun::Password
        && let Some(verb_end) = after_verb(text.get(start..)?, ending.is_some())
    {
        let secret = candidate(scan, *noun, start + verb_end, true);
        if secret.is_some() {
            return secret;
        }
    }
    // `password for jane is …`
    if let Some(rest) = text.get(start..)?.strip_prefix(" for ").or_else(|| text.get(start..)?.strip_prefix(" of "))
        && let Some(len) = near(rest, 41).find(' ')
        && rest.get(len..).is_some_and(|after| after.starts_with(" is "))
    {
        start = text.len() - rest.len() + len;
    }
    // A router's `secret 5 …`; `Unseal Key 1: …`.
    if let Some(rest) = text.get(start..)?.strip_prefix(' ')
        && rest.as_bytes().first().is_some_and(u8::is_ascii_digit)
        && matches!(rest.as_bytes().get(1), Some(b' ' | b':'))
    {
        start += 2;
        is_stated = true;
    }
    // Words between: `is`, `was`, `provided:`.
    for _ in 0..3 {
        let rest = text.get(start..)?;
        let fillers = [
            " is: ",
            " is ",
            " was ",
            ": ",
            " provided",
            " given",
            " =",
            " value",
            " lautet ",
            " ist ",
            " est ",
            " es ",
            " set to ",
            " to ",
            " -> ",
            " <- ",
            " from ",
            " ~ ",
            " é ",
        ];
        let Some(filler) = fillers.iter().find(|filler| rest.starts_with(**filler)) else { break };
        let ends = filler.trim_end().len();
        // `password of jane: …` is found as a pair.
        start += ends;
        is_stated = true;
        if !matches!(text.as_bytes().get(start), Some(b' ' | b':')) {
            return None;
        }
        if filler.len() == ends || !next_is_filler(text.get(start..)?) {
            break;
        }
    }
    let is_code = || *known == "token" && is_of_factor(before);
    candidate(scan, *noun, start, is_stated).or_else(|| if is_code() { candidate(scan, Noun::Digits, start, is_stated) } else { None })
}

/// `MFA token …`: a code.
fn is_of_factor(before: &str) -> bool {
    let word = before.trim_end().rsplit(' ').next().unwrap_or_default();
    super::name_words::is_listed_word("mfa 2fa otp totp sms factor", word)
}

/// The length of the words after `code` that say which code it is, or 0 if the words before say it. `None` if the code is
/// not secret.
fn kind_of_code(before: &str, rest: &str) -> Option<usize> {
    code_of(rest).or_else(|| (is_secret_code(before) || is_to_sign_in(rest)).then_some(0))
}

/// The length of a code in two groups: `123-456`, `123 456`.
fn grouped(text: &str) -> Option<usize> {
    let bytes = text.as_bytes().get(..7)?;
    let is_code =
        bytes.iter().enumerate().all(|(place, byte)| if place == 3 { matches!(byte, b'-' | b' ') } else { byte.is_ascii_digit() });
    let goes_on = text.as_bytes().get(7).is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'-');
    (is_code && !goes_on).then_some(7)
}

/// The place of the secret after the verb of a sentence that states a password.
fn after_verb(rest: &str, is_polish: bool) -> Option<usize> {
    const VERBS: [&str; 13] =
        [" is: ", " is ", " was ", " ist ", " lautet ", " est ", " es ", " é ", " è ", " jest ", " är ", " er ", ": "];
    let rest = near(rest, 256);
    let sentence = rest.get(..rest.find(['.', '\n', ',', ';', '"', '=']).unwrap_or(rest.len()))?;
    let verbs = VERBS.iter().chain(is_polish.then_some(&" to "));
    let (at, verb) = verbs.filter_map(|verb| Some((sentence.find(verb)?, *verb))).min()?;
    let word = rest.get(at + verb.len()..)?;
    let word = word.get(..word.find([' ', ',', ';', '\n']).unwrap_or(word.len()))?;
    let is_chosen = word.bytes().any(|byte| byte.is_ascii_digit()) || word.chars().skip(1).any(char::is_uppercase);
    (at <= 60 && is_chosen).then_some(at + verb.trim_end().len())
}

/// The length of the words after `code` that say which code it is, as in Romance languages: ` de vérification`.
fn code_of(rest: &str) -> Option<usize> {
    const KINDS: &str = "vérification sécurité accès connexion validation confirmation verificación seguridad acceso confirmación verificação \
        segurança acesso verifica sicurezza accesso";
    let (link, after) = [" de ", " d'", " di "].iter().find_map(|link| Some((link, rest.strip_prefix(link)?)))?;
    let kind = after.get(..after.find([' ', ':', ',', '.'])?)?;
    super::name_words::is_listed_word(KINDS, kind).then_some(link.len() + kind.len())
}

/// Whether the key is not secret: `gpg: using RSA key …`, `host key …`.
fn is_public(before: &str) -> bool {
    let word = before.trim_end().rsplit([' ', '\n', '"', '(']).next().unwrap_or_default();
    super::name_words::is_listed_word("rsa dsa ecdsa eddsa ed25519 public host gpg: pgp cache primary foreign partition routing", word)
}

/// Whether another word of the sentence comes before the secret.
fn next_is_filler(rest: &str) -> bool {
    [" provided", " given", ": ", " =", " value"].iter().any(|filler| rest.starts_with(filler))
}

/// Finds the secret that begins at `start`, after blanks and colons.
fn candidate(scan: &Scan<'_>, noun: Noun, start: usize, is_stated: bool) -> Option<Secret> {
    let text = scan.text;
    let rest = text.get(start..)?;
    let blank = rest.len() - rest.trim_start_matches([' ', ':']).len();
    if blank > 3 {
        return None;
    }
    let rest = rest.get(blank..)?;
    let first = rest.chars().next()?;
    let start = start + blank;
    if matches!(first, '\'' | '"' | '`') {
        let held = rest.get(1..)?.split(first).next()?;
        let closes = rest.get(1 + held.len()..)?.starts_with(first);
        let is_secret = closes
            && held.len() >= 3
            && !value_class::is_nothing(held)
            && match noun {
                Noun::Password => true,
                _ => value_class::class(held) >= ValueClass::Opaque && held.len() >= 6,
            };
        return is_secret.then(|| Secret::value(start + 1..start + 1 + held.len(), Rule::Sentence));
    }
    if matches!(noun, Noun::Digits | Noun::Code)
        && let Some(len) = grouped(rest)
    {
        return Some(Secret::value(start..start + len, Rule::Sentence));
    }
    let end =
        rest.find(|letter: char| letter.is_whitespace() || matches!(letter, ',' | ';' | '"' | '\'' | '`' | ')')).unwrap_or(rest.len());
    let held = rest.get(..end)?.trim_end_matches(['.', ':', '!', '?']);
    let digits = held.bytes().filter(u8::is_ascii_digit).count();
    let is_secret = match noun {
        Noun::Password => held.len() >= 5 && (is_chosen(held) || digits == held.len() && held.len() <= 8),
        Noun::Opaque if providers::key(text, start..start + end).is_some() => return None,
        Noun::Opaque | Noun::Session => {
            let is_long = held.len() >= if is_stated { 8 } else { 12 };
            let is_text = !held.contains(['(', '/', '=']) || is_base64(held);
            is_long && is_text && value_class::is_mixed(held) && digits > 0 && !(noun == Noun::Session && value_class::is_digest(held))
        }
        Noun::Community => value_class::class(held) >= ValueClass::Opaque,
        Noun::Code if held.len() >= 8 && digits > 0 && digits < held.len() => {
            value_class::class(held) >= ValueClass::Words && !held.contains(['(', '/', '='])
        }
        Noun::Digits | Noun::Code => digits == held.len() && (3..=8).contains(&digits) && (digits >= 4 || noun == Noun::Digits),
        Noun::Numbered => {
            (digits >= 3 || digits > 0 && !held.bytes().any(|byte| byte.is_ascii_lowercase()))
                && (7..=20).contains(&held.len())
                && held.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }
        Noun::Number => digits == 9 && held.len() <= 11,
    };
    let mut len = held.len();
    // `changed from … to …`
    if noun == Noun::Password
        && let Some(other) = rest.get(end..).and_then(|after| after.strip_prefix(" to "))
    {
        let word = other.get(..other.find(char::is_whitespace).unwrap_or(other.len()))?.trim_end_matches(['.', ',']);
        len = if is_chosen(word) { end + " to ".len() + word.len() } else { len };
    }
    (is_secret && !value_class::is_nothing(held)).then(|| shape::secret_in_sentence(scan, start..start + len, Rule::Sentence))
}

/// Whether a text with slashes or `=` is base64: long, of all kinds of letters, and no path.
fn is_base64(text: &str) -> bool {
    let has = |test: fn(&u8) -> bool| text.bytes().any(|byte| test(&byte));
    text.len() >= 24
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && !value_class::is_words(text)
}

/// Whether a word is a chosen password, and not a word of the sentence.
fn is_chosen(word: &str) -> bool {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    (has_digit || !value_class::is_words(word))
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !word.contains(['(', '/', '=', ':'])
        && !value_class::is_nothing(word)
}

/// `account number`, `passport number`
fn is_numbered(before: &str) -> bool {
    let word = before.trim_end().rsplit([' ', '\n', '"', ':', '(']).next().unwrap_or_default();
    super::name_words::is_listed_word("account passport card routing insurance security licence license", word)
}

/// `use code 123456 to sign in`
fn is_to_sign_in(after: &str) -> bool {
    let sentence = near(after, 60).split(['.', '\n']).next().unwrap_or_default();
    [
        " to sign in",
        " to log in",
        " to login",
        " to verify",
        " to confirm",
        " as your",
        " to continue",
        " expires in ",
        " valid for ",
        " is valid",
    ]
    .iter()
    .any(|end| sentence.contains(end))
}

fn is_secret_code(before: &str) -> bool {
    let word = before.trim_end().rsplit([' ', '\n', '"', ':', '(']).next().unwrap_or_default();
    super::name_words::is_listed_word(CODES, word)
}

/// Finds a code that comes before its word: `123456 is your login code`.
pub(super) fn code_before(text: &str, run: Range<usize>) -> Option<Secret> {
    // Google's codes begin with `G-`.
    let run = if text.get(run.clone())?.starts_with("G-") { run.start + 2..run.end } else { run };
    let word = text.get(run.clone())?;
    if !(4..=8).contains(&run.len()) || !(word.bytes().all(|byte| byte.is_ascii_digit()) || grouped(word).is_some()) {
        return None;
    }
    let rest = text.get(run.end..)?;
    if run.len() >= 6 && [" to verify", " to sign in", " to log in", " to confirm"].iter().any(|end| rest.starts_with(end)) {
        return Some(Secret::value(run, Rule::OneTimeCode));
    }
    let rest = [" is your ", " is the ", " as your ", " as the "].iter().find_map(|link| rest.strip_prefix(link))?;
    let sentence = near(rest, 60).split(['.', ',', '\n']).next()?;
    ["code", "pin", "password", "otp", "passcode", "PIN", "OTP"]
        .iter()
        .any(|word| sentence.contains(word))
        .then(|| Secret::value(run, Rule::OneTimeCode))
}
