//! The lines of code around a frame, if the source files exist on this machine.

use std::fs::File;
use std::io::Read as _;

use crate::protocol::{Frame, Stacktrace};
use crate::record::without_cut_word;

/// The number of lines before the frame's line, and of lines after it.
const AROUND: usize = 5;
/// The maximum number of characters of a line. Servers keep the same number.
const LINE_LIMIT: usize = 256;
/// Larger files, in bytes, are skipped: they are generated.
const FILE_LIMIT: u64 = 1 << 20;
/// The maximum number of frames with source lines. Servers accept fifty, but a few show what happened.
const FRAMES_LIMIT: usize = 10;

/// Adds source lines to the innermost in-app frames.
pub(crate) fn add(trace: &mut Stacktrace) {
    let own = trace.frames.iter_mut().rev().filter(|frame| frame.in_app == Some(true));
    for frame in own.take(FRAMES_LIMIT) {
        let _ = around(frame);
    }
}

fn around(frame: &mut Frame) -> Option<()> {
    let place = usize::try_from(frame.lineno?).ok()?.checked_sub(1)?;
    let path = frame.abs_path.as_deref()?;
    // Checked before opening, because opening a pipe blocks until it has a writer.
    std::fs::metadata(path).ok().filter(|data| data.is_file() && data.len() <= FILE_LIMIT)?;
    let file = File::open(path).ok()?;
    let mut text = String::new();
    file.take(FILE_LIMIT).read_to_string(&mut text).ok()?;
    let lines: Vec<&str> = text.lines().collect();
    let cut = |line: &&str| match line.char_indices().nth(LINE_LIMIT) {
        Some((end, _)) => without_cut_word(line.get(..end).unwrap_or_default()).to_owned(),
        None => (*line).to_owned(),
    };
    frame.context_line = lines.get(place).map(cut);
    frame.context_line.as_ref()?;
    frame.pre_context = lines.get(place.saturating_sub(AROUND)..place)?.iter().map(cut).collect();
    frame.post_context = lines.iter().skip(place + 1).take(AROUND).map(cut).collect();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_and_those_around_it_are_read() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/event/source.rs");
        let frame = |lineno| Frame { in_app: Some(true), abs_path: Some(path.to_owned()), lineno: Some(lineno), ..Frame::default() };
        let mut trace = Stacktrace { frames: vec![frame(1), frame(10), frame(100_000)], ..Stacktrace::default() };

        add(&mut trace);

        let [first, tenth, beyond] = &*trace.frames else { panic!("three frames") };
        assert!(
            first.context_line.as_deref().is_some_and(|line| line.starts_with("//! The lines of code")) && first.pre_context.is_empty()
        );
        assert_eq!(tenth.context_line.as_deref(), Some("const AROUND: usize = 5;"));
        assert_eq!((tenth.pre_context.len(), tenth.post_context.len()), (5, 5));
        assert_eq!(beyond.context_line, None);
    }

    #[test]
    fn the_innermost_ten_of_the_applications_own_frames_have_their_lines() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/event/source.rs");
        let frame = |is_own| Frame { in_app: Some(is_own), abs_path: Some(path.to_owned()), lineno: Some(1), ..Frame::default() };
        let mut trace = Stacktrace { frames: (0..30).map(|place| frame(place % 2 == 0)).collect(), ..Stacktrace::default() };

        add(&mut trace);

        let places: Vec<_> = (0..30).filter(|place| trace.frames.get(*place).is_some_and(|frame| frame.context_line.is_some())).collect();
        assert_eq!(places, (10..30).step_by(2).collect::<Vec<_>>());
    }
}
