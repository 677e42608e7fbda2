//! Secrets that are random per run, and the search for them in every byte that left, in every form in which they might leave.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use aho_corasick::AhoCorasick;
use tower_sentry::protocol::TraceId;

use crate::support::Relay;

/// The secrets of one test, each with the place it was put.
#[derive(Clone, Default)]
pub struct Canaries(Arc<Mutex<Vec<Canary>>>);

#[derive(Clone)]
struct Canary {
    place: String,
    secret: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Redaction must hide it.
    Secret,
    /// It is not even recorded.
    Withheld,
    /// The address that a request comes from.
    Peer,
    /// It may leave, and shows that the search finds what is there.
    Harmless,
}

impl Canaries {
    /// A secret that redaction must hide.
    pub fn secret(&self, place: impl Into<String>) -> String {
        self.plant(Kind::Secret, place, format!("canary{}", TraceId::new()))
    }

    /// A secret that is not even recorded.
    pub fn withheld(&self, place: impl Into<String>) -> String {
        self.plant(Kind::Withheld, place, format!("canary{}", TraceId::new()))
    }

    /// A text that may leave.
    pub fn harmless(&self, place: impl Into<String>) -> String {
        self.plant(Kind::Harmless, place, format!("canary{}", TraceId::new()))
    }

    /// A text of a given form, such as a card number.
    pub fn plant(&self, kind: Kind, place: impl Into<String>, secret: String) -> String {
        self.0.lock().unwrap().push(Canary { place: place.into(), secret: secret.clone(), kind });
        secret
    }

    /// Writes the secrets of a kind to a file, for another process to search its own texts for.
    pub fn save(&self, kind: Kind, file: &mut impl std::io::Write) {
        for canary in self.0.lock().unwrap().iter().filter(|canary| canary.kind == kind) {
            writeln!(file, "{}\t{}", canary.secret, canary.place).unwrap();
        }
    }

    /// Reads what another process saved.
    pub fn load(kind: Kind, text: &str) -> Self {
        let canaries = Self::default();
        for (secret, place) in text.lines().filter_map(|line| line.split_once('\t')) {
            canaries.plant(kind, place, secret.to_owned());
        }
        canaries
    }

    /// The places of all secrets of a kind.
    pub fn planted(&self, kind: Kind) -> BTreeSet<String> {
        self.0.lock().unwrap().iter().filter(|canary| canary.kind == kind).map(|canary| canary.place.clone()).collect()
    }

    /// The places of those secrets of a kind that are in these bytes.
    pub fn found(&self, kind: Kind, haystacks: &[Vec<u8>]) -> BTreeSet<String> {
        let canaries = self.0.lock().unwrap().iter().filter(|canary| canary.kind == kind).cloned().collect::<Vec<_>>();
        let forms =
            canaries.iter().flat_map(|canary| forms(&canary.secret).into_iter().map(move |form| (canary, form))).collect::<Vec<_>>();
        let search = AhoCorasick::builder().ascii_case_insensitive(true).build(forms.iter().map(|(_, form)| form)).unwrap();
        let found = haystacks.iter().flat_map(|bytes| search.find_overlapping_iter(bytes).map(|hit| hit.pattern().as_usize()));
        found.map(|form| forms[form].0.place.clone()).collect()
    }
}

/// The forms in which a secret might leave, in halves where it is long enough: what is cut in two leaks as well.
fn forms(secret: &str) -> Vec<String> {
    let random = secret.get(secret.len().saturating_sub(32)..).unwrap();
    let (first, second) = random.split_at(random.len() / if random.len() < 32 { 1 } else { 2 });
    let each = |write: fn(u8) -> String| first.bytes().map(write).collect::<String>();
    let mut forms = vec![
        first.to_owned(),
        second.to_owned(),
        each(|byte| format!("{byte:02x}")),
        each(|byte| format!("%{byte:02x}")),
        each(|byte| format!("\\u{byte:04x}")),
    ];
    forms.extend((0..3).flat_map(|shift| {
        let text = base64(random.as_bytes(), shift);
        [text.replace('+', "-").replace('/', "_"), text]
    }));
    forms.retain(|form| !form.is_empty());
    forms
}

/// Base64 of some bytes that stand behind `shift` others, without the digits at both ends that depend on what is around.
pub fn base64(bytes: &[u8], shift: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits =
        std::iter::repeat_n(&0, shift).chain(bytes).flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1)).collect::<Vec<_>>();
    let digits = bits.chunks_exact(6).map(|six| char::from(DIGITS[six.iter().fold(0, |sum, bit| sum << 1 | usize::from(*bit))]));
    digits.skip((shift * 8).div_ceil(6)).collect()
}

/// Stands before a relay and keeps every byte that goes there: heads as well as bodies.
pub struct Wire {
    dsn: String,
    /// One for each connection.
    bytes: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Wire {
    pub fn before(relay: &Relay) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let dsn = relay.dsn();
        let (key, rest) = dsn.split_once('@').unwrap();
        let (address, project) = rest.split_once('/').unwrap();
        let wire = Self { dsn: format!("{key}@{}/{project}", listener.local_addr().unwrap()), bytes: Arc::default() };
        let (address, bytes) = (address.to_owned(), Arc::clone(&wire.bytes));
        std::thread::spawn(move || {
            for (place, from) in listener.incoming().map_while(Result::ok).enumerate() {
                let to = TcpStream::connect(&address).unwrap();
                bytes.lock().unwrap().push(Vec::new());
                let bytes = Arc::clone(&bytes);
                pass(from.try_clone().unwrap(), to.try_clone().unwrap(), move |sent| bytes.lock().unwrap()[place].extend_from_slice(sent));
                pass(to, from, |_| {});
            }
        });
        wire
    }

    pub fn dsn(&self) -> &str {
        &self.dsn
    }

    pub fn bytes(&self) -> Vec<Vec<u8>> {
        self.bytes.lock().unwrap().clone()
    }
}

/// Passes bytes on, which are kept first.
fn pass(mut from: TcpStream, mut to: TcpStream, keep: impl Fn(&[u8]) + Send + 'static) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            keep(&buffer[..len]);
            if to.write_all(&buffer[..len]).is_err() {
                break;
            }
        }
        // One end has gone already where this fails.
        let _ = to.shutdown(Shutdown::Write);
    });
}

#[test]
fn a_secret_is_found_in_each_form_and_another_is_not() {
    let canaries = Canaries::default();
    let secret = canaries.harmless("here");
    let with = |write: fn(u8) -> String| secret.bytes().map(write).collect::<String>();
    let encoded = |before: &str| base64(format!("{before}{secret}:tail").as_bytes(), 0);
    let cut = &secret[..secret.len() - 10];
    let rows = [
        format!("a text with {secret} in it"),
        secret.to_ascii_uppercase(),
        cut.to_owned(),
        secret[20..].to_owned(),
        with(|byte| format!("{byte:02X}")),
        with(|byte| format!("%{byte:02X}")),
        with(|byte| format!("\\u{byte:04x}")),
        encoded(""),
        encoded("u"),
        encoded("us"),
        encoded("use").replace('+', "-").replace('/', "_"),
    ];

    for row in rows {
        assert!(!canaries.found(Kind::Harmless, &[row.clone().into_bytes()]).is_empty(), "{row}");
    }
    let other = Canaries::default().secret("there");
    assert!(canaries.found(Kind::Harmless, &[other.into_bytes()]).is_empty());
}
