//! Writes a place in the source so that it is the same on every machine.

use std::fmt;

use super::CodeLocation;

/// Shows the place as `src/cart.rs:88:9`, the same on every machine.
impl fmt::Display for CodeLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", shown_path(&self.file), self.line, self.column)
    }
}

/// The path with `/` between its folders, on every system.
pub(super) fn shown_path(file: &str) -> String {
    portable_path(file).replace('\\', "/")
}

/// Folders of cargo and rustc, and how many folders with hashes are below them.
const ROOTS: [(&str, usize); 4] = [("registry/src/", 1), ("git/checkouts/", 2), ("rustc/", 1), ("rustlib/src/rust/", 0)];

/// A path of a source file without the folders of the machine that built it.
///
/// Cargo passes relative paths for the crates of a workspace, and absolute ones for all others. They
/// contain the home directory of the user who built the program. An absolute path begins with the
/// folder of the crate, its version included, or with the library of rustc.
pub(crate) fn portable_path(file: &str) -> &str {
    let is_absolute = file.starts_with(['/', '\\']) || file.as_bytes().get(1) == Some(&b':');
    if !is_absolute {
        return file;
    }
    let below = ROOTS.iter().find_map(|(root, hashes)| {
        let (_, below) = split_after(file, root)?;
        (0..*hashes).try_fold(below, |below, _| below.split_once(['/', '\\']).map(|(_, below)| below))
    });
    // A crate outside the workspace: its own folder, above `src`.
    below.or_else(|| crate_folder(file)).unwrap_or_else(|| file.rsplit(['/', '\\']).next().unwrap_or(file))
}

/// Splits a path after a folder, whichever separator it has.
fn split_after<'a>(path: &'a str, folder: &str) -> Option<(&'a str, &'a str)> {
    let is_here = |at: usize| {
        let here = path.as_bytes().get(at..at + folder.len());
        here.is_some_and(|here| here.iter().zip(folder.bytes()).all(|(byte, wanted)| *byte == wanted || (*byte == b'\\' && wanted == b'/')))
    };
    let begins = |at: &usize| path.as_bytes().get(at.wrapping_sub(1)).is_some_and(|before| matches!(before, b'/' | b'\\'));
    let at = (0..path.len()).filter(begins).find(|at| is_here(*at))?;
    path.split_at_checked(at + folder.len())
}

fn crate_folder(path: &str) -> Option<&str> {
    let folder = ["/src/", "\\src\\"].into_iter().filter_map(|source| path.rfind(source)).max()?;
    let above = path.get(..folder)?.rfind(['/', '\\'])?;
    path.get(above + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_does_not_show_who_built_the_program() {
        let rows = [
            ("src/main.rs", "src/main.rs"),
            ("crates/shop/src/cart.rs", "crates/shop/src/cart.rs"),
            (
                "/home/jane/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/sqlx-core-0.9.0/src/logger.rs",
                "sqlx-core-0.9.0/src/logger.rs",
            ),
            ("/usr/local/cargo/registry/src/index.crates.io-1949cf8c6b5b557f/h2-0.4.6/src/lib.rs", "h2-0.4.6/src/lib.rs"),
            (r"C:\Users\jane\.cargo\registry\src\index.crates.io-1949cf8c6b5b557f\h2-0.4.6\src\lib.rs", r"h2-0.4.6\src\lib.rs"),
            ("/home/jane/.cargo/git/checkouts/axum-1a2b3c4d/5e6f7a8/axum-core/src/lib.rs", "axum-core/src/lib.rs"),
            ("/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/ops/function.rs", "library/core/src/ops/function.rs"),
            ("/home/jane/.rustup/toolchains/stable/lib/rustlib/src/rust/library/core/src/option.rs", "library/core/src/option.rs"),
            ("/home/jane/work/shop/src/cart/mod.rs", "shop/src/cart/mod.rs"),
            (r"D:\work\shop\src\cart.rs", r"shop\src\cart.rs"),
            ("/home/jane/work/shop/build.rs", "build.rs"),
            ("/build.rs", "build.rs"),
            ("/home/j\u{e4}ne/src/main.rs", "j\u{e4}ne/src/main.rs"),
            ("", ""),
        ];

        for (file, expected) in rows {
            assert_eq!(portable_path(file), expected, "{file}");
        }
    }

    #[test]
    fn a_place_is_shown_alike_on_every_system() {
        let place = CodeLocation { file: r"crates\cart\src\lib.rs".into(), line: 7, column: 9 };

        assert_eq!(place.to_string(), "crates/cart/src/lib.rs:7:9");
    }
}
