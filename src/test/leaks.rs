//! The result of a [`LeakCheck`](super::LeakCheck).

use std::fmt;

use aho_corasick::AhoCorasick;
use serde_json::Value;

use crate::protocol::{TraceId, parse};

/// How a secret is written in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// As it is.
    Plain,
    /// `%41%42`
    Percent,
    /// Standard base64.
    Base64,
    /// Hexadecimal digits.
    Hex,
    /// `\u0041\u0042`, as JSON may escape it.
    Json,
    /// In quotes, as HTML escapes them: `&quot;…&quot;`.
    Html,
}

impl Encoding {
    pub(super) const ALL: [Self; 6] = [Self::Plain, Self::Percent, Self::Base64, Self::Hex, Self::Json, Self::Html];

    fn write(self, secret: &str) -> String {
        let each = |write: fn(u8) -> String| secret.bytes().map(write).collect();
        match self {
            Self::Plain => secret.to_owned(),
            Self::Percent => each(|byte| format!("%{byte:02X}")),
            Self::Base64 => base64(secret.as_bytes(), 0),
            Self::Hex => each(|byte| format!("{byte:02x}")),
            Self::Json => each(|byte| format!("\\u{byte:04x}")),
            Self::Html => format!("&quot;{secret}&quot;"),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Percent => "percent-encoded",
            Self::Base64 => "base64",
            Self::Hex => "hexadecimal",
            Self::Json => "escaped for JSON",
            Self::Html => "escaped for HTML",
        })
    }
}

/// A secret that a request contained.
#[derive(Clone, Debug)]
pub(super) struct Planted {
    place: String,
    encoding: Encoding,
    secret: String,
}

impl Planted {
    /// A secret of 24 random letters and digits.
    pub(super) fn new(place: String, encoding: Encoding, random: TraceId) -> Self {
        // Without the dashes and hexadecimal form of an id, which redaction may know.
        let digits = random.to_string();
        let letter = |digit: u8| if matches!(digit, b'0'..=b'4') { digit + 23 } else { digit };
        let secret = digits.bytes().take(24).map(|digit| char::from(letter(digit))).collect();
        Self { place, encoding, secret }
    }

    pub(super) fn written(&self) -> String {
        self.encoding.write(&self.secret)
    }

    /// The forms in which it might be sent, in halves: half a secret is a leak too.
    fn forms(&self) -> Vec<String> {
        let (first, second) = self.secret.split_at_checked(self.secret.len() / 2).unwrap_or((&self.secret, ""));
        let mut forms = Vec::new();
        for half in [first, second] {
            forms.extend([Encoding::Plain, Encoding::Percent, Encoding::Hex, Encoding::Json].map(|encoding| encoding.write(half)));
            forms.extend((0..3).flat_map(|shift| {
                let text = base64(half.as_bytes(), shift);
                [text.replace('+', "-").replace('/', "_"), text]
            }));
        }
        forms
    }
}

/// A secret that would have left.
#[derive(Clone, Debug)]
pub struct Leak {
    secret: String,
    field: String,
    line: Option<String>,
}

impl Leak {
    /// The request and the place in it that contained the secret, with its encoding.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The field of the payload in which it was found: `transaction: spans[0].data.note`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The file and line of your code that recorded the field, if the payload says so: `src/login.rs:12`.
    pub fn line(&self) -> Option<&str> {
        self.line.as_deref()
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} leaves in `{}`", self.secret, self.field)?;
        if let Some(line) = &self.line {
            write!(f, ", recorded at {line}")?;
        }
        Ok(())
    }
}

/// The result of a [`LeakCheck`](super::LeakCheck).
#[derive(Clone, Debug, Default)]
#[must_use = "call `assert_none`"]
pub struct Leaks {
    planted: Vec<Planted>,
    found: Vec<Leak>,
    unreached: Vec<String>,
}

impl Leaks {
    /// The secrets that would have left.
    pub fn found(&self) -> impl Iterator<Item = &Leak> {
        self.found.iter()
    }

    /// The number of secrets that were in the requests.
    pub fn secrets(&self) -> usize {
        self.planted.len()
    }

    /// Fails the test if a secret would have left, or if a request did not reach your code.
    ///
    /// # Panics
    ///
    /// With one line for each leak: the secret's place, the field it was found in, and the line of
    /// your code.
    #[track_caller]
    pub fn assert_none(&self) {
        assert!(self.found.is_empty() && self.unreached.is_empty(), "{self}");
    }

    pub(super) fn plant(&mut self, planted: Planted) {
        self.planted.push(planted);
    }

    pub(super) fn unreached(&mut self, why: String) {
        self.unreached.push(why);
    }

    /// Searches all bytes of these envelopes.
    pub(super) fn search(&mut self, envelopes: &[Vec<u8>]) {
        let forms: Vec<_> = self.planted.iter().flat_map(|planted| planted.forms().into_iter().map(move |form| (planted, form))).collect();
        let Ok(search) = AhoCorasick::builder().ascii_case_insensitive(true).build(forms.iter().map(|(_, form)| form)) else {
            self.unreached.push("there are too many secrets to search for".to_owned());
            return;
        };
        let mut found: Vec<Leak> = Vec::new();
        for envelope in envelopes {
            let secrets = |text: &[u8]| {
                let hits = search.find_overlapping_iter(text).filter_map(|hit| forms.get(hit.pattern().as_usize()));
                hits.map(|(planted, _)| format!("{}, {},", planted.place, planted.encoding)).collect::<Vec<_>>()
            };
            let mut left = secrets(envelope);
            left.sort_unstable();
            left.dedup();
            if left.is_empty() {
                continue;
            }
            let mut places = Vec::new();
            for item in parse(envelope).map(|(_, items)| items).unwrap_or_default() {
                let kind = serde_json::to_value(item.header.kind).unwrap_or_default();
                let kind = kind.as_str().unwrap_or("item").to_owned();
                if let Ok(payload) = serde_json::from_slice::<Value>(item.payload) {
                    walk(&payload, &mut Spot { path: format!("{kind}: "), line: None }, &mut |text, place| {
                        places.extend(secrets(text.as_bytes()).into_iter().map(|secret| place.leak(secret)));
                    });
                }
            }
            // A secret that no field contains is in a header or across two fields.
            let is_located = |secret: &String| places.iter().any(|leak| leak.secret == *secret);
            let rest: Vec<_> = left.iter().filter(|secret| !is_located(secret)).cloned().collect();
            found.extend(places);
            found.extend(rest.into_iter().map(|secret| Leak { secret, field: "the bytes of the envelope".to_owned(), line: None }));
        }
        found.sort_by(|one, other| (&one.field, &one.secret).cmp(&(&other.field, &other.secret)));
        found.dedup_by(|one, other| one.field == other.field && one.secret == other.secret);
        self.found = found;
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} secrets would leave", self.found.len(), self.planted.len())?;
        for leak in &self.found {
            write!(f, "\n  {leak}")?;
        }
        for why in &self.unreached {
            write!(f, "\n  {why}")?;
        }
        Ok(())
    }
}

/// A place in a payload.
#[derive(Clone)]
struct Spot {
    path: String,
    line: Option<String>,
}

impl Spot {
    fn leak(&self, secret: String) -> Leak {
        Leak { secret, field: self.path.replace(": .", ": "), line: self.line.clone() }
    }
}

/// Calls `see` with each text of a payload, and the line of the code that recorded it.
fn walk(value: &Value, spot: &mut Spot, see: &mut impl FnMut(&str, &Spot)) {
    match value {
        Value::Object(fields) => {
            let line = spot.line.clone();
            spot.line = line_of(value).or_else(|| fields.get("data").or_else(|| fields.get("attributes")).and_then(line_of)).or(line);
            for (name, value) in fields {
                let mut inner = Spot { path: format!("{}.{name}", spot.path), line: spot.line.clone() };
                see(name, &inner);
                walk(value, &mut inner, see);
            }
        }
        Value::Array(values) => {
            for (number, value) in values.iter().enumerate() {
                walk(value, &mut Spot { path: format!("{}[{number}]", spot.path), line: spot.line.clone() }, see);
            }
        }
        Value::String(text) => see(text, spot),
        other => see(&other.to_string(), spot),
    }
}

/// The file and line that an object names.
fn line_of(value: &Value) -> Option<String> {
    let field = |name: &str| {
        let field = value.get(name)?;
        // Attributes of logs have their type beside them.
        Some(field.get("value").unwrap_or(field))
    };
    let (file, line) = field("code.file.path").zip(field("code.line.number")).or_else(|| field("filename").zip(field("lineno")))?;
    Some(format!("{}:{line}", file.as_str()?))
}

/// Base64 of bytes that follow `shift` other bytes, without the digits that depend on their neighbours.
fn base64(bytes: &[u8], shift: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> =
        std::iter::repeat_n(&0, shift).chain(bytes).flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1)).collect();
    let digit = |six: &[u8]| DIGITS.get(six.iter().fold(0, |sum, bit| sum << 1 | usize::from(*bit))).copied().map(char::from);
    bits.chunks_exact(6).filter_map(digit).skip((shift * 8).div_ceil(6)).collect()
}
