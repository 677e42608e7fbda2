//! Where a span or a log comes from in the code.

use serde::{Serialize, Serializer};
use tracing::Metadata;

use super::trusted::ProgramText;
use crate::record::target;

/// The target of an event with these encoded fields.
pub(super) struct Target<'a>(pub(super) &'static Metadata<'static>, pub(super) &'a [u8]);

impl Serialize for Target<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(metadata, fields) = self;
        match target(metadata, fields) {
            // Nearly always the callsite's own, which is not searched for secrets.
            own if std::ptr::eq(own, metadata.target()) => ProgramText(metadata.target()).serialize(serializer),
            given => given.serialize(serializer),
        }
    }
}

/// Folders of cargo and rustc, and how many folders with hashes are below them.
const ROOTS: [(&str, usize); 3] = [("registry/src/", 1), ("git/checkouts/", 2), ("rustc/", 1)];

/// A path of a source file without the folders of the machine that built it.
///
/// Cargo passes relative paths for the crates of a workspace, and absolute ones for all others. They
/// contain the home directory of the user who built the program. An absolute path begins with the
/// folder of the crate, its version included, or with the library of rustc.
pub(super) fn relative(file: &str) -> &str {
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

/// Splits a path behind a folder, whichever separator it has.
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
            ("/home/jane/work/shop/src/cart/mod.rs", "shop/src/cart/mod.rs"),
            (r"D:\work\shop\src\cart.rs", r"shop\src\cart.rs"),
            ("/home/jane/work/shop/build.rs", "build.rs"),
            ("/build.rs", "build.rs"),
            ("/home/j\u{e4}ne/src/main.rs", "j\u{e4}ne/src/main.rs"),
            ("", ""),
        ];

        for (file, expected) in rows {
            assert_eq!(relative(file), expected, "{file}");
        }
    }
}
