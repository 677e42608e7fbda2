//! The functions of a profile.

use std::collections::HashMap;
use std::time::Instant;

use super::in_app::FrameSettings;
use super::symbols::SYMBOLS;
use super::workspace;
use crate::protocol::Frame;

/// At most this many addresses of a profile are resolved. Calls at other addresses are left out.
const ADDRESSES_LIMIT: usize = 5_000;

/// The stacks of a profile, each once, and the functions in them.
#[derive(Debug, Default)]
pub(crate) struct ProfileCalls {
    pub(crate) frames: Vec<Frame>,
    /// Places in `frames`, innermost call first.
    pub(crate) stacks: Vec<Vec<usize>>,
    /// For each sample, the place of its stack.
    pub(crate) of_samples: Vec<usize>,
}

/// Resolves the addresses of stacks, innermost call first. An inlined call has its own frame.
pub(crate) fn resolve_calls(stacks: &[&[usize]], settings: &FrameSettings) -> ProfileCalls {
    let mut calls = ProfileCalls::default();
    let (mut known, mut distinct) = (HashMap::new(), Vec::new());
    for stack in stacks.iter().copied() {
        let place = *known.entry(stack).or_insert_with(|| {
            distinct.push(stack);
            distinct.len() - 1
        });
        calls.of_samples.push(place);
    }
    let mut addresses: Vec<usize> = Vec::new();
    let mut places = HashMap::new();
    for address in distinct.iter().flat_map(|stack| stack.iter().copied()) {
        if addresses.len() < ADDRESSES_LIMIT {
            places.entry(address).or_insert_with(|| {
                addresses.push(address);
                addresses.len() - 1
            });
        }
    }
    let mut frames_of = Vec::with_capacity(addresses.len());
    for mut frames in SYMBOLS.resolve_each(&addresses, Instant::now()) {
        for frame in &mut frames {
            let is_known = frame.function.is_some() || frame.abs_path.is_some();
            frame.in_app = is_known.then(|| settings.is_in_app(frame.function.as_deref(), frame.abs_path.as_deref()));
        }
        workspace::name_files(&mut frames);
        let start = calls.frames.len();
        calls.frames.extend(frames);
        frames_of.push(start..calls.frames.len());
    }
    let frames_at = |address: &usize| frames_of.get(*places.get(address)?).cloned();
    calls.stacks = distinct.into_iter().map(|stack| stack.iter().filter_map(frames_at).flatten().collect()).collect();
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stack_and_each_address_is_there_once() {
        let (one, other): (&[usize], &[usize]) = (&[16, 32], &[48, 32]);

        let calls = resolve_calls(&[one, other, one], &FrameSettings::default());

        let addresses: Vec<_> = calls.frames.iter().map(|frame| frame.instruction_addr.as_deref().unwrap_or_default()).collect();
        assert_eq!(addresses, ["0x10", "0x20", "0x30"], "no binary is there");
        assert_eq!((calls.stacks, calls.of_samples), (vec![vec![0, 1], vec![2, 1]], vec![0, 1, 0]));
        assert!(calls.frames.iter().all(|frame| frame.in_app.is_none()), "whose they are, a server finds out");
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let stacks: Vec<Vec<usize>> = (0..100).map(|stack| (1..=100).map(|depth| stack * 100 + depth).collect()).collect();

        let stacks: Vec<_> = stacks.iter().map(Vec::as_slice).collect();
        let calls = resolve_calls(&stacks, &FrameSettings::default());

        assert_eq!((calls.frames.len(), calls.of_samples.len()), (ADDRESSES_LIMIT, 100));
        assert_eq!(calls.stacks.iter().map(Vec::len).sum::<usize>(), ADDRESSES_LIMIT);
    }
}
