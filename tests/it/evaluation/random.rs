//! Random words, names and secrets of a given form.

use fastrand::Rng;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";

/// A source of random texts. The same seed gives the same texts.
pub struct Random(Rng);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0.usize(..limit)
    }

    pub fn between(&mut self, least: usize, most: usize) -> usize {
        self.0.usize(least..=most)
    }

    pub fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// `count` letters of an alphabet.
    pub fn of(&mut self, alphabet: &str, count: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..count).map(|_| letters[self.below(letters.len())]).collect()
    }

    pub fn digits(&mut self, count: usize) -> String {
        self.of(DIGITS, count)
    }

    pub fn hex(&mut self, count: usize) -> String {
        self.mixed("0123456789abcdef", count)
    }

    pub fn lower(&mut self, count: usize) -> String {
        self.of(LOWER, count)
    }

    /// Capitals and digits.
    pub fn upper(&mut self, count: usize) -> String {
        self.mixed(&format!("{UPPER}{DIGITS}"), count)
    }

    /// Letters and digits.
    pub fn alnum(&mut self, count: usize) -> String {
        self.mixed(&format!("{LOWER}{UPPER}{DIGITS}"), count)
    }

    /// Lower-case letters and digits.
    pub fn base36(&mut self, count: usize) -> String {
        self.mixed(&format!("{LOWER}{DIGITS}"), count)
    }

    pub fn base64(&mut self, count: usize) -> String {
        self.mixed(&format!("{LOWER}{UPPER}{DIGITS}+/"), count)
    }

    pub fn base64url(&mut self, count: usize) -> String {
        let inner = self.mixed(&format!("{LOWER}{UPPER}{DIGITS}{DIGITS}-_"), count.saturating_sub(2));
        format!("{}{inner}{}", self.of(UPPER, 1), self.of(LOWER, 1))
    }

    /// Letters of an alphabet, at least one of them a digit and one not, as nearly every random text has.
    fn mixed(&mut self, alphabet: &str, count: usize) -> String {
        loop {
            let text = self.of(alphabet, count);
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            if count < 8 || (digits > 0 && digits < count) {
                return text;
            }
        }
    }

    pub fn uuid(&mut self) -> String {
        let hex = self.hex(32);
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    pub fn word(&mut self) -> &'static str {
        self.pick(&[
            "order",
            "invoice",
            "basket",
            "catalog",
            "shipment",
            "warehouse",
            "report",
            "summary",
            "gateway",
            "replica",
            "worker",
            "booking",
            "ticket",
            "profile",
            "payment",
            "export",
            "import",
            "digest",
            "folder",
            "garden",
            "harbor",
            "island",
            "jungle",
            "kitchen",
        ])
    }

    pub fn person(&mut self) -> &'static str {
        self.pick(&["jane", "carlos", "mei", "oluwaseun", "ingrid", "tom", "svc_backup", "reporting", "deploy", "anna"])
    }

    pub fn host(&mut self) -> String {
        let word = self.word();
        match self.below(5) {
            0 => format!("{word}.internal"),
            1 => format!("{word}-db.example.com"),
            2 => format!("10.{}.{}.{}", self.below(256), self.below(256), self.between(1, 254)),
            3 => "localhost".to_owned(),
            _ => format!("{word}.eu-west-1.example.net"),
        }
    }

    /// A password as people and generators make them, without quotes, white space or `@`.
    pub fn password(&mut self) -> String {
        let (word, other) = (self.word(), self.word());
        let (capital, number) = (capitalized(other), self.between(10, 9999));
        match self.below(9) {
            0 => format!("{capital}{number}!"),
            1 => format!("{word}-{other}-{number}"),
            2 => self.alnum(12),
            3 => format!("Tr0ub4dor&{number}"),
            4 => format!("{word}{number}"),
            5 => format!("p{}#{}", number, self.alnum(6)),
            6 => format!("{capital}${word}%{number}"),
            7 => format!("hunter{number}"),
            _ => format!("{}{}", self.lower(4), self.alnum(9)),
        }
    }

    /// A password of letters and digits only, which no syntax can cut.
    pub fn plain_password(&mut self) -> String {
        let word = self.word();
        match self.below(3) {
            0 => format!("{word}{}", self.between(10, 99999)),
            1 => self.alnum(14),
            _ => format!("{}{}", capitalized(word), self.alnum(5)),
        }
    }

    /// A secret as services issue them: random, without a prefix.
    pub fn token(&mut self) -> String {
        match self.below(5) {
            0 => self.hex(32),
            1 => self.alnum(24),
            2 => self.base64url(43),
            3 => self.alnum(40),
            _ => self.hex(40),
        }
    }

    /// A card number of an issuer, valid by Luhn.
    pub fn card(&mut self) -> String {
        let (prefix, len) = [
            ("4", 16),
            ("51", 16),
            ("55", 16),
            ("2221", 16),
            ("34", 15),
            ("37", 15),
            ("6011", 16),
            ("65", 16),
            ("3528", 16),
            ("36", 14),
            ("62", 16),
        ][self.below(11)];
        let body = format!("{prefix}{}", self.digits(len - prefix.len() - 1));
        let digit = (0..10).find(|digit| luhn(&format!("{body}{digit}"))).unwrap();
        format!("{body}{digit}")
    }

    /// A number like a card's that fails Luhn.
    pub fn no_card(&mut self) -> String {
        loop {
            let number = format!("4{}", self.digits(15));
            if !luhn(&number) {
                return number;
            }
        }
    }

    /// An account number, valid by its check digits.
    pub fn iban(&mut self) -> String {
        let (country, len) = [("DE", 22), ("FR", 27), ("GB", 22), ("NL", 18), ("ES", 24), ("CH", 21)][self.below(6)];
        let bank = if matches!(country, "GB" | "NL") { self.of(UPPER, 4) } else { String::new() };
        let account = format!("{bank}{}", self.digits(len - 4 - bank.len()));
        let check = 98 - mod97(&format!("{account}{country}00"));
        format!("{country}{check:02}{account}")
    }

    pub fn ssn(&mut self) -> String {
        format!("{:03}-{:02}-{:04}", self.between(100, 665), self.between(1, 99), self.between(1, 9999))
    }
}

pub fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

pub fn luhn(number: &str) -> bool {
    let sum: u32 = number
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0') * if place % 2 == 1 { 2 } else { 1 };
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn mod97(text: &str) -> u32 {
    text.chars().fold(0, |rest, letter| {
        let value = letter.to_digit(36).unwrap();
        (rest * if value > 9 { 100 } else { 10 } + value) % 97
    })
}

/// Base64 of a text, with padding.
pub fn encoded(text: &str) -> String {
    let alphabet = format!("{UPPER}{LOWER}{DIGITS}+/");
    let alphabet = alphabet.as_bytes();
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = alphabet[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// Percent-encodes everything but letters and digits.
pub fn percent(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
