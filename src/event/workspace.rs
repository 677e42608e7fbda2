//! Names the file of a frame by its path in the workspace. Owner rules and links to a repository need this path.

use super::CodeLocation;
use super::in_app;
use super::location::portable_path;
use crate::fork::Lock;
use crate::protocol::Frame;

/// The folder of the workspace that the program was built from, once it is known.
///
/// Debug information has absolute paths, which do not show where the workspace begins.
static ROOT: Lock<Option<String>> = Lock::of_first(None);

/// Finds the folder of the workspace by comparing a place with the debug information: the compiler writes a place
/// relative to the workspace, and debug information has its absolute path.
pub(super) fn learn(frames: &[Frame], location: Option<&CodeLocation>) {
    let Some(location) = location else { return };
    let on_line = frames.iter().filter(|frame| frame.lineno == Some(location.line));
    let mut paths = on_line.filter_map(|frame| frame.abs_path.as_deref()).filter(|path| in_app::is_own_path(path));
    let Some(root) = paths.find_map(|path| above(path, &location.file)) else { return };
    let mut known = ROOT.lock();
    // A file with the same name in a member of the workspace would show the folder of that member.
    if known.as_deref().is_none_or(|known| below(known, root).is_some()) {
        *known = Some(root.to_owned());
    }
}

/// Sets the file names of all frames.
pub(super) fn name_files(frames: &mut [Frame]) {
    let root = ROOT.lock().clone();
    for frame in frames {
        frame.filename = frame.abs_path.as_deref().map(|path| {
            let absolute = root.is_some().then(|| in_current_folder(path)).flatten();
            let in_workspace = absolute.as_deref().zip(root.as_deref()).and_then(|(path, root)| below(path, root));
            in_workspace.unwrap_or_else(|| name(path, root.as_deref())).to_owned()
        });
    }
}

/// The absolute path of a file that the standard library named relative to the current folder.
fn in_current_folder(path: &str) -> Option<String> {
    let rest = path.strip_prefix("./").or_else(|| path.strip_prefix(".\\"))?;
    Some(std::env::current_dir().ok()?.join(rest).to_string_lossy().into_owned())
}

/// The path below the folder of the workspace, or beginning with the folder of its crate.
fn name<'p>(path: &'p str, root: Option<&str>) -> &'p str {
    let path = path.trim_start_matches("./");
    root.and_then(|root| below(path, root)).unwrap_or_else(|| portable_path(path))
}

fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    path.strip_prefix(folder)?.strip_prefix(['/', '\\'])
}

fn above<'p>(path: &'p str, end: &str) -> Option<&'p str> {
    path.strip_suffix(end.trim_start_matches("./"))?.strip_suffix(['/', '\\']).filter(|root| !root.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_path_in_the_workspace() {
        let rows = [
            ("/work/ws/crates/payments/src/lib.rs", Some("/work/ws"), "crates/payments/src/lib.rs"),
            ("/work/ws/src/main.rs", Some("/work/ws"), "src/main.rs"),
            ("/work/ws/examples/boot.rs", Some("/work/ws"), "examples/boot.rs"),
            (r"C:\ws\payments\src\lib.rs", Some(r"C:\ws"), r"payments\src\lib.rs"),
            // Another workspace, whose folder begins with the same letters.
            ("/work/ws-2/payments/src/lib.rs", Some("/work/ws"), "payments/src/lib.rs"),
            ("/work/ws/payments/src/lib.rs", None, "payments/src/lib.rs"),
            ("payments/src/lib.rs", None, "payments/src/lib.rs"),
            ("./payments/src/lib.rs", Some("/work/ws"), "payments/src/lib.rs"),
            ("/c/registry/src/i/sqlz-0.8.6/src/pool.rs", Some("/work/ws"), "sqlz-0.8.6/src/pool.rs"),
            ("/rustc/abc/library/core/src/option.rs", None, "library/core/src/option.rs"),
        ];

        for (path, root, expected) in rows {
            assert_eq!(name(path, root), expected, "{path} {root:?}");
        }
    }

    #[test]
    fn the_workspace_is_where_the_path_of_a_place_begins() {
        let rows = [
            ("/work/ws/payments/src/lib.rs", "payments/src/lib.rs", Some("/work/ws")),
            ("/work/ws/src/lib.rs", "./src/lib.rs", Some("/work/ws")),
            (r"C:\ws\src\lib.rs", r"src\lib.rs", Some(r"C:\ws")),
            // The place of a crate outside is absolute.
            ("/work/cart/src/lib.rs", "/work/cart/src/lib.rs", None),
            ("/work/more-src/lib.rs", "src/lib.rs", None),
            ("/src/lib.rs", "src/lib.rs", None),
        ];

        for (path, place, expected) in rows {
            assert_eq!(above(path, place), expected, "{path} {place}");
        }
    }
}
