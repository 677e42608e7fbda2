//! Texts as people and programs write them, from two files: command lines, files of settings, output of
//! debuggers in many languages, traces, statements, addresses and sentences.
//!
//! `«pw»` stands for a secret and `‹hex40›` for a harmless text; what is between the signs says of which
//! kind, and how long. A line is one text, with `\n`, `\r` and `\t` for white space.

use super::case::{Case, prose};
use super::random::Random;

/// Each text that holds a secret, once.
pub fn secrets(random: &mut Random) -> Vec<Case> {
    cases(include_str!("written.txt"), random)
}

/// Each text that holds none, once.
pub fn harmless(random: &mut Random) -> Vec<Case> {
    cases(include_str!("written_harmless.txt"), random)
}

fn cases(file: &'static str, random: &mut Random) -> Vec<Case> {
    let mut kind = "";
    let mut cases = Vec::new();
    for line in file.lines() {
        match line.strip_prefix("# ") {
            Some(name) => kind = name,
            None => cases.push(Case { kind, ..case(line, random) }),
        }
    }
    cases
}

fn case(line: &str, random: &mut Random) -> Case {
    let line = line.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t");
    let (mut text, mut words, mut secrets) = (String::new(), String::new(), Vec::new());
    let mut rest = line.as_str();
    while let Some(open) = rest.find(['«', '‹']) {
        let (before, after) = rest.split_at(open);
        let (kind, behind) = after.split_once(['»', '›']).unwrap();
        let kind = kind.trim_start_matches(['«', '‹']);
        let made = make(kind, random);
        text.extend([before, &made]);
        words.extend([before, " "]);
        if after.starts_with('«') {
            secrets.push(made);
        } else {
            words.push_str(&made);
        }
        rest = behind;
    }
    text.push_str(rest);
    words.push_str(rest);
    if secrets.is_empty() {
        let case = prose(random, text.clone(), "");
        return case.keeps(text);
    }
    let case = prose(random, text, "");
    let case = secrets.into_iter().fold(case, Case::hides);
    words.split(|letter: char| !letter.is_alphanumeric()).filter(|word| word.len() >= 4).fold(case, Case::keeps)
}

/// A text of a kind: `hex40`, `pw`.
fn make(kind: &str, random: &mut Random) -> String {
    let name = kind.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let len = kind[name.len()..].parse().unwrap_or(0);
    match name.trim_end_matches('_') {
        "akia" => format!("AKIA{}", random.upper(16)),
        "alnum" => random.alnum(len),
        "b64" => random.base64(len),
        "base" => random.base36(kind.rsplit_once('_').unwrap().1.parse().unwrap()),
        "base36" => random.base36(len),
        "card" => random.card(),
        "cardg" => {
            let card = random.card();
            let groups: Vec<_> = card.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
            groups.join(" ")
        }
        "digits" => format!("7{}", random.digits(len - 1)),
        "hex" => random.hex(len),
        "iban" => random.iban(),
        "jwt" => format!("eyJhbGciOiJIUzI1NiJ9.eyJ{}.{}", random.base64url(40), random.base64url(43)),
        "phrase" => format!("{} {} {}", random.word(), random.word(), random.word()),
        "plain" => random.plain_password(),
        "pw" => random.password(),
        "ssn" => random.ssn(),
        "upper" => random.upper(len),
        "uuid" => random.uuid(),
        "words" => (0..len).map(|_| random.word()).collect::<Vec<_>>().join(" "),
        other => panic!("no text of the kind {other}"),
    }
}
