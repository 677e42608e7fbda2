//! Shows a place in the source so that it is the same on every machine.

use std::fmt;

use super::CodeLocation;

/// Shows the place as `src/cart.rs:88:9`, the same on every machine.
impl fmt::Display for CodeLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", portable(&self.file), self.line, self.column)
    }
}

/// Returns the path without the folder of the build, with `/` between its parts.
///
/// Paths in a workspace are relative to it already. Of other paths, the folder of the crate is kept.
pub(super) fn portable(path: &str) -> String {
    let path = path.replace('\\', "/");
    // `…/registry/src/index.crates.io-1949cf8c6b5b557f/bytes-1.9.0/src/lib.rs`
    let after = |marker: &str| path.find(marker).and_then(|start| path.get(start + marker.len()..));
    if let Some(rest) = after("/registry/src/") {
        return rest.split_once('/').map_or(rest, |(_, rest)| rest).to_owned();
    }
    if let Some(rest) = after("/git/checkouts/") {
        return rest.to_owned();
    }
    // The sources of the standard library, if they are installed.
    if let Some(rest) = after("/rustlib/src/rust/") {
        return rest.to_owned();
    }
    if let Some(rest) = path.strip_prefix("/rustc/") {
        return rest.split_once('/').map_or(rest, |(_, rest)| rest).to_owned();
    }
    if !is_absolute(&path) {
        return path.trim_start_matches("./").to_owned();
    }
    let sources = ["/src/", "/examples/", "/tests/", "/benches/"].iter().filter_map(|folder| path.rfind(folder)).min();
    let krate = sources.and_then(|end| path.get(..end)?.rfind('/'));
    krate.and_then(|start| path.get(start + 1..)).unwrap_or(&path).to_owned()
}

fn is_absolute(path: &str) -> bool {
    path.starts_with('/') || path.get(1..3) == Some(":/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_do_not_depend_on_the_machine() {
        let rows = [
            ("src/cart.rs", "src/cart.rs"),
            ("./src/cart.rs", "src/cart.rs"),
            ("crates\\cart\\src\\lib.rs", "crates/cart/src/lib.rs"),
            ("vendor/bytes/src/lib.rs", "vendor/bytes/src/lib.rs"),
            ("/build/17/cart/src/lib.rs", "cart/src/lib.rs"),
            ("C:\\build\\cart\\src\\lib.rs", "cart/src/lib.rs"),
            ("/build/17/cart/tests/src/lib.rs", "cart/tests/src/lib.rs"),
            ("/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/bytes-1.9.0/src/lib.rs", "bytes-1.9.0/src/lib.rs"),
            ("/usr/local/cargo/git/checkouts/sqlx-1a2b/3c4d/src/lib.rs", "sqlx-1a2b/3c4d/src/lib.rs"),
            ("/root/.rustup/toolchains/stable/lib/rustlib/src/rust/library/core/src/option.rs", "library/core/src/option.rs"),
            ("/rustc/59807616e1/library/core/src/option.rs", "library/core/src/option.rs"),
            ("/generated.rs", "/generated.rs"),
            ("", ""),
        ];

        for (path, expected) in rows {
            assert_eq!(portable(path), expected, "{path}");
        }
    }
}
