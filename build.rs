//! Tells the crate which compiler builds it, for the context `runtime` of what is sent, and whether it can take profiles.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("--version").output().ok().and_then(|output| String::from_utf8(output.stdout).ok());
    // "rustc 1.88.0 (6b00bc388 2025-06-23)"
    if let Some(version) = said.as_deref().and_then(|line| line.split_whitespace().nth(1)) {
        println!("cargo::rustc-env=TOWER_SENTRY_RUSTC_VERSION={version}");
    }
    // The targets of `pprof` in Cargo.toml.
    let is = |name: &str, known: [&str; 2]| env::var(name).is_ok_and(|value| known.contains(&value.as_str()));
    let can_profile = is("CARGO_CFG_TARGET_OS", ["linux", "macos"])
        && is("CARGO_CFG_TARGET_ARCH", ["x86_64", "aarch64"])
        // There, the number of a thread is a pointer, which `pprof` cannot convert.
        && env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|value| value != "musl");
    if env::var_os("CARGO_FEATURE_PROFILING").is_some() && can_profile {
        println!("cargo::rustc-cfg=profiles");
    }
}
