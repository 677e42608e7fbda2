//! The packages that a program is built from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Names and versions of packages.
///
/// They come from a lock file that is compiled into the program, so they are not searched for secrets: a package may
/// be called `password-hash`. [`from_lock_file`](Self::from_lock_file) accepts only the characters of such names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Modules(Arc<[(String, String)]>);

/// The result of reading a lock file.
#[derive(Debug)]
pub(crate) struct LockFile {
    pub(crate) modules: Modules,
    /// The number of packages that do not fit.
    pub(crate) left_out: usize,
}

impl Modules {
    /// The maximum size of all names and versions, in bytes of JSON. Servers cut longer lists.
    const MAX_BYTES: usize = 8_000;

    /// The bytes that JSON adds to a name and a version.
    const JSON_BYTES: usize = r#""":"","#.len();

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Reads the packages of a `Cargo.lock`. None if the text is not one.
    ///
    /// If there are too many, the direct dependencies of the workspace come first. Both groups are in
    /// alphabetical order.
    pub(crate) fn from_lock_file(text: &str) -> Option<LockFile> {
        let mut versions = BTreeMap::<&str, Vec<&str>>::new();
        let mut direct = BTreeSet::new();
        for package in text.split("[[package]]").skip(1) {
            let (name, version) = (quoted_after(package, "name")?, quoted_after(package, "version")?);
            versions.entry(name).or_default().push(version);
            // A package without a source belongs to the workspace.
            if quoted_after(package, "source").is_none() {
                direct.insert(name);
                direct.extend(dependencies(package));
            }
        }
        if versions.is_empty() {
            return None;
        }
        let (first, rest): (Vec<_>, Vec<_>) = versions.into_iter().partition(|(name, _)| direct.contains(name));
        let (mut kept, mut room, mut left_out) = (BTreeMap::new(), Self::MAX_BYTES, 0);
        for (name, versions) in first.into_iter().chain(rest) {
            let versions = versions.join(", ");
            match room.checked_sub(name.len() + versions.len() + Self::JSON_BYTES) {
                Some(left) => {
                    room = left;
                    kept.insert(name.to_owned(), versions);
                }
                None => left_out += 1,
            }
        }
        Some(LockFile { modules: Self(kept.into_iter().collect()), left_out })
    }
}

/// The text of a line such as `name = "axum"`. None if it contains a letter that names and versions do not have.
fn quoted_after<'t>(package: &'t str, field: &str) -> Option<&'t str> {
    let lines = package.lines().filter_map(|line| line.strip_prefix(field));
    let text = lines.filter_map(|rest| rest.strip_prefix(" = \"")).find_map(|rest| rest.strip_suffix('"'))?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    (field == "source" || text.len() <= 64 && text.bytes().all(is_allowed)).then_some(text)
}

/// The names of a package's dependencies, without the versions that some of them have.
fn dependencies(package: &str) -> impl Iterator<Item = &str> {
    let list = package.split_once("dependencies = [").and_then(|(_, rest)| rest.split_once(']'));
    let lines = list.map(|(list, _)| list).unwrap_or_default().lines();
    lines.filter_map(|line| line.trim().strip_prefix('"')?.split(['"', ' ']).next())
}

impl Serialize for Modules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, version)| (name, version)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(modules: &Modules) -> Vec<&str> {
        modules.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn our_own_lock_file_is_read() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).expect("a lock file");
        let file = Modules::from_lock_file(&text).expect("packages");

        let of = |wanted: &str| file.modules.0.iter().find(|(name, _)| name == wanted).map(|(_, version)| version.as_str());
        assert_eq!(of("tower-sentry"), Some(env!("CARGO_PKG_VERSION")));
        assert!(of("axum").is_some_and(|version| version.starts_with("0.8.")), "{file:?}");
        let all = text.matches("[[package]]").count();
        assert!(file.modules.len() > 100 && file.modules.len() + file.left_out <= all, "{file:?}");
    }

    #[test]
    fn a_package_with_two_versions_has_both() {
        let lock = "version = 4\n\n[[package]]\nname = \"http\"\nversion = \"0.2.12\"\nsource = \"registry\"\n\n\
            [[package]]\nname = \"http\"\nversion = \"1.3.1\"\nsource = \"registry\"\n";
        let file = Modules::from_lock_file(lock).expect("packages");

        assert_eq!(*file.modules.0, [("http".to_owned(), "0.2.12, 1.3.1".to_owned())]);
    }

    #[test]
    fn what_is_no_lock_file_is_refused() {
        for text in ["", "name = \"axum\"", "[[package]]\nname = \"axum\"\n", "[[package]]\nname = \"a b\"\nversion = \"1.0.0\"\n"] {
            assert!(Modules::from_lock_file(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn without_room_direct_dependencies_stay() {
        let package = |name: &str, more: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n{more}\n");
        let far: String = (0..600).map(|i| package(&format!("far-{i:040}"), "source = \"registry\"")).collect();
        let lock = far + &package("shop", "dependencies = [\n \"zlib\",\n \"zinc 1.0.0\",\n]") + &package("zlib", "source = \"r\"");
        let lock = lock + &package("zinc", "source = \"r\"");
        let file = Modules::from_lock_file(&lock).expect("packages");

        let kept = names(&file.modules);
        assert!(["shop", "zinc", "zlib"].iter().all(|name| kept.contains(name)), "{kept:?}");
        assert_eq!(kept.len() + file.left_out, 603);
        assert!(serde_json::to_vec(&file.modules).is_ok_and(|json| json.len() <= 8_192 && json.len() > 7_800));
    }
}
