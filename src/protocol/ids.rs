//! Ids of events, traces and spans: lower-case hex without dashes.
//!
//! Only an event id may be all zero; see [`EventId::nil`].

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::hash::BuildHasher as _;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The id of an event or a transaction.
///
/// It is a random UUID (version 4), written as 32 hex digits. A capture returns the nil id while
/// monitoring is off.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct EventId([u8; 16]);

impl EventId {
    /// Creates a random id.
    pub fn new() -> Self {
        let (high, low) = random_pair();
        // Version 4, variant 1 (RFC 9562).
        Self(join(high & !0xf000 | 0x4000, low & !(0b11 << 62) | 0b10 << 62).to_be_bytes())
    }

    /// The id that means "nothing was sent".
    pub const fn nil() -> Self {
        Self([0; 16])
    }

    /// The id as a number.
    pub(crate) const fn to_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// Whether this is [`nil`](Self::nil).
    pub const fn is_nil(&self) -> bool {
        u128::from_be_bytes(self.0) == 0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(hex(&self.0, &mut [0; 32]))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({self})")
    }
}

impl FromStr for EventId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let has_dashes = text.len() == 36 && text.bytes().enumerate().all(|(at, byte)| (byte == b'-') == matches!(at, 8 | 13 | 18 | 23));
        let digits = if has_dashes { Cow::Owned(text.replace('-', "")) } else { Cow::Borrowed(text) };
        parse_hex(&digits, 32).map(|id| Self(id.to_be_bytes())).ok_or(InvalidId("event id"))
    }
}

/// The id of a trace: 16 random bytes, written as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(u128);

impl TraceId {
    /// Creates a random id.
    pub fn new() -> Self {
        let (high, low) = random_pair();
        Self(join(high, low).max(1))
    }

    /// The id as a number.
    ///
    /// It is the same in all services of a trace.
    pub const fn to_u128(self) -> u128 {
        self.0
    }
}

impl Default for TraceId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(hex(&self.0.to_be_bytes(), &mut [0; 32]))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

impl FromStr for TraceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse_hex(text, 32) {
            Some(id) if id != 0 => Ok(Self(id)),
            _ => Err(InvalidId("trace id")),
        }
    }
}

/// The id of a span: 8 random bytes, written as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(u64);

impl SpanId {
    /// Creates a random id.
    pub fn new() -> Self {
        Self(random().max(1))
    }

    /// The id as a number.
    #[cfg(feature = "otlp")]
    pub(crate) const fn to_u64(self) -> u64 {
        self.0
    }
}

impl Default for SpanId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(hex(&self.0.to_be_bytes(), &mut [0; 16]))
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}

impl FromStr for SpanId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse_hex(text, 16).and_then(|id| u64::try_from(id).ok()) {
            Some(id) if id != 0 => Ok(Self(id)),
            _ => Err(InvalidId("span id")),
        }
    }
}

/// The text is not an id.
///
/// Its length is wrong, it is not hex, or it is all zero and not the id of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId(&'static str);

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a usable {}: expected hex digits, not all zero", self.0)
    }
}

impl std::error::Error for InvalidId {}

macro_rules! serde_as_text {
    ($($id:ident: $digits:literal),*) => {$(
        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_hex(&mut [0; $digits]))
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}
serde_as_text!(EventId: 32, TraceId: 32, SpanId: 16);

impl EventId {
    pub(crate) fn as_hex(self, buffer: &mut [u8; 32]) -> &str {
        hex(&self.0, buffer)
    }
}

impl TraceId {
    pub(crate) fn as_hex(self, buffer: &mut [u8; 32]) -> &str {
        hex(&self.0.to_be_bytes(), buffer)
    }
}

impl SpanId {
    pub(crate) fn as_hex(self, buffer: &mut [u8; 16]) -> &str {
        hex(&self.0.to_be_bytes(), buffer)
    }
}

/// Writes `bytes` as hex without `fmt`, because a transaction contains three ids per span.
#[expect(clippy::indexing_slicing, reason = "all of a byte's values, and this runs in the compiler")]
fn hex<'a>(bytes: &[u8], buffer: &'a mut [u8]) -> &'a str {
    const PAIRS: [[u8; 2]; 256] = {
        let digits = b"0123456789abcdef";
        let mut pairs = [[0; 2]; 256];
        let mut byte = 0;
        while byte < 256 {
            pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
            byte += 1;
        }
        pairs
    };
    for (pair, byte) in buffer.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = PAIRS.get(usize::from(*byte)).copied().unwrap_or_default();
    }
    std::str::from_utf8(buffer).unwrap_or_default()
}

/// Parses exactly `digits` hex digits. `from_str_radix` alone would accept a sign.
fn parse_hex(text: &str, digits: usize) -> Option<u128> {
    if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

fn join(high: u64, low: u64) -> u128 {
    (u128::from(high) << 64) | u128::from(low)
}

/// Returns 128 random bits from two 64-bit generators, so that ids of different processes do not
/// collide.
///
/// One generator has only 2^64 states, so two processes could produce the same sequence.
fn random_pair() -> (u64, u64) {
    draw(|(first, second)| (first.u64(..), second.u64(..)))
}

/// Returns 64 random bits: span ids must be unique only within their trace.
fn random() -> u64 {
    draw(|(first, _)| first.u64(..))
}

/// Seeds the calling thread of a forked child anew: otherwise it would draw the same ids as its parent.
pub(crate) fn reseed() {
    let _ = GENERATORS.try_with(|pair| *pair.borrow_mut() = (seeded(), seeded()));
}

thread_local! {
    static GENERATORS: RefCell<(fastrand::Rng, fastrand::Rng)> = RefCell::new((seeded(), seeded()));
}

fn draw<R>(draw: impl Fn(&mut (fastrand::Rng, fastrand::Rng)) -> R) -> R {
    GENERATORS
        .try_with(|pair| draw(&mut pair.borrow_mut()))
        // The thread is being torn down and its generators are gone.
        .unwrap_or_else(|_| draw(&mut (seeded(), seeded())))
}

/// Seeds from the standard library's hasher.
///
/// Its keys come from the operating system's entropy and differ at each call. In a forked child they are
/// the same as in its parent, so the process id and the time are part of the seed.
fn seeded() -> fastrand::Rng {
    let seed = (std::process::id(), std::time::SystemTime::now());
    fastrand::Rng::with_seed(std::hash::RandomState::new().hash_one(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_as_written() {
        let (event, trace, span) = (EventId::new(), TraceId::new(), SpanId::new());

        assert_eq!(event.to_string().parse(), Ok(event));
        assert_eq!(trace.to_string().parse(), Ok(trace));
        assert_eq!(span.to_string().parse(), Ok(span));
        assert_eq!(serde_json::to_string(&span).ok(), Some(format!("\"{span}\"")));
        assert_eq!(serde_json::to_string(&event).ok(), Some(format!("\"{event}\"")));
    }

    #[test]
    fn zero_and_odd_lengths_are_no_ids() {
        for text in ["", "0", "+771a43a4192642f0b136d5159a50170", "00000000000000000000000000000000", "g71a43a4192642f0b136d5159a501700"] {
            assert!(text.parse::<TraceId>().is_err(), "{text}");
        }
        assert!("0000000000000000".parse::<SpanId>().is_err());
        assert!("{4c79f60c-1121-4eb3-8604-f4ae0781bfb2}".parse::<EventId>().is_err());
        assert!("4c79f60c11-21-4eb3-8604-f4ae0781bfb2".parse::<EventId>().is_err());
        assert_eq!(
            "4c79f60c-1121-4eb3-8604-f4ae0781bfb2".parse::<EventId>().map(|id| id.to_string()).as_deref(),
            Ok("4c79f60c11214eb38604f4ae0781bfb2")
        );
    }

    #[test]
    fn threads_draw_different_ids() {
        let draw = || (0..1000).map(|_| TraceId::new()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();

        let mut all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect();
        all.sort_unstable();
        all.dedup();

        assert_eq!(all.len(), 4000);
    }

    #[test]
    fn event_ids_are_version_four() {
        for _ in 0..100 {
            let text = EventId::new().to_string();

            assert_eq!(text.as_bytes().get(12), Some(&b'4'), "{text}");
            assert!(matches!(text.as_bytes().get(16), Some(b'8' | b'9' | b'a' | b'b')), "{text}");
        }
    }
}
