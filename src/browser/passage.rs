//! Checks a replay while it is streamed: it may be too large to keep in memory.

use super::envelope::{ITEMS_LIMIT, ItemHead, ItemKind, LINE_LIMIT};
use super::refusal::Refusal;

/// Where the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    EnvelopeHeader,
    ItemHeader,
    /// With the bytes of the payload that are still to come.
    Payload(usize),
    /// Behind a payload.
    Separator,
}

/// Reads an envelope in chunks, and refuses all items but those of a replay.
#[derive(Debug)]
pub(super) struct Passage {
    position: Position,
    line: Vec<u8>,
    items: usize,
}

impl Passage {
    pub(super) const fn new() -> Self {
        Self { position: Position::EnvelopeHeader, line: Vec::new(), items: 0 }
    }

    pub(super) fn push(&mut self, mut chunk: &[u8]) -> Result<(), Refusal> {
        while let Some((first, rest)) = chunk.split_first() {
            match self.position {
                Position::Payload(left) => {
                    let (taken, rest) = chunk.split_at(left.min(chunk.len()));
                    chunk = rest;
                    self.position = if taken.len() == left { Position::Separator } else { Position::Payload(left - taken.len()) };
                }
                Position::Separator if *first == b'\n' => (self.position, chunk) = (Position::ItemHeader, rest),
                Position::Separator => return Err(Refusal::Malformed("expected an envelope")),
                Position::EnvelopeHeader | Position::ItemHeader => {
                    let end = chunk.iter().position(|byte| *byte == b'\n');
                    let (part, rest) = chunk.split_at(end.unwrap_or(chunk.len()));
                    self.line.extend_from_slice(part);
                    if self.line.len() > LINE_LIMIT {
                        return Err(Refusal::Malformed("expected an envelope"));
                    }
                    chunk = rest.split_first().map_or(&[], |(_, behind)| behind);
                    if end.is_some() {
                        self.end_of_line()?;
                    }
                }
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self) -> Result<(), Refusal> {
        let line = std::mem::take(&mut self.line);
        if self.position == Position::EnvelopeHeader {
            self.position = Position::ItemHeader;
            return Ok(());
        }
        // An envelope may end with empty lines.
        if line.is_empty() && self.items > 0 {
            return Ok(());
        }
        let ItemHead { kind, length } = ItemHead::read(&line)?;
        self.items += 1;
        match (kind, length) {
            (ItemKind::Replay, Some(length)) if self.items <= ITEMS_LIMIT => {
                self.position = if length == 0 { Position::Separator } else { Position::Payload(length) };
                Ok(())
            }
            // Only replays may be this large, and a replay must not contain other items.
            _ => Err(Refusal::TooLarge),
        }
    }

    /// Checks that the envelope is complete.
    pub(super) fn finish(&self) -> Result<(), Refusal> {
        match self.position {
            Position::Separator => Ok(()),
            Position::ItemHeader if self.line.is_empty() => Ok(()),
            _ => Err(Refusal::Malformed("expected a whole envelope")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::envelope::split;
    use super::*;

    fn passes(envelope: &[u8], size: usize) -> Result<(), Refusal> {
        let mut passage = Passage::new();
        envelope.chunks(size).try_for_each(|chunk| passage.push(chunk))?;
        passage.finish()
    }

    fn replay(payload: &[u8], end: &str) -> Vec<u8> {
        let head = "{\"dsn\":\"d\"}\n{\"type\":\"replay_event\",\"length\":2}\n{}\n";
        let item = format!("{{\"type\":\"replay_recording\",\"length\":{}}}\n", payload.len());
        [head.as_bytes(), item.as_bytes(), payload, end.as_bytes()].concat()
    }

    #[test]
    fn a_replay_passes_in_any_chunks() {
        for end in ["", "\n", "\n\n"] {
            for size in [1, 2, 7, 64, 10_000] {
                assert_eq!(passes(&replay(&[b'\n'; 500], end), size), Ok(()), "{end:?} {size}");
            }
        }
        assert_eq!(passes(&replay(b"", "\n"), 3), Ok(()));
    }

    #[test]
    fn other_items_do_not_pass_beside_a_replay() {
        let event = replay(b"x", "\n{\"type\":\"event\",\"length\":2}\n{}");
        let endless = replay(b"x", "\n{\"type\":\"replay_recording\"}\nxx");
        let many = replay(b"x", &"\n{\"type\":\"replay_event\",\"length\":2}\n{}".repeat(ITEMS_LIMIT));

        for envelope in [event, endless, many] {
            assert_eq!(passes(&envelope, 9), Err(Refusal::TooLarge));
        }
        assert!(matches!(passes(&replay(b"x", "y"), 9), Err(Refusal::Malformed(_))), "longer than its length");
        let whole = replay(b"xyz", "");
        for missing in 1..whole.len() - 12 {
            let part = whole.get(..whole.len() - missing).unwrap_or_default();
            assert!(passes(part, 9).is_err() || split(part).is_ok(), "{missing} bytes less");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_pass_or_are_refused_however_they_are_cut(bytes in any::<Vec<u8>>(), end in any::<Vec<u8>>(), size in 1_usize..50) {
            for envelope in [bytes.clone(), replay(&bytes, ""), [replay(b"x", "\n"), end].concat()] {
                prop_assert_eq!(passes(&envelope, size), passes(&envelope, usize::MAX));
            }
        }
    }
}
