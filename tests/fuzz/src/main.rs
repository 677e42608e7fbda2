//! One program for all targets; the variable `FUZZ_TARGET` chooses one.

#![no_main]

use std::sync::LazyLock;

use tower_sentry::fuzzing::TARGETS;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("expected FUZZ_TARGET to be one of {names:?}, found '{name}'"))
        .1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
