//! The house: a module uses paths of lower floors only, and neighbours on one floor do not know each other.

use std::fs;
use std::path::{Path, PathBuf};

/// From the top down. What stands on one line are neighbours.
const FLOORS: [&[&str]; 7] = [
    &["lib", "init", "test", "guide"],
    &["cache", "incoming", "outgoing", "job", "html", "subscriber", "panic_hook"],
    &["scope"],
    &["client", "trace"],
    &["export"],
    &["record", "exception", "propagation", "redaction", "sampling"],
    &["protocol", "error"],
];

fn floor(module: &str) -> usize {
    FLOORS.iter().rposition(|floor| floor.contains(&module)).unwrap_or_else(|| panic!("`{module}` has no floor"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The modules that a text names by `crate::`. The root's re-exports stand for nobody's room; only docs may use them.
fn used(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let paths = code.flat_map(|line| line.split("crate::").skip(1).collect::<Vec<_>>());
    paths.map(|rest| rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()).collect()
}

#[test]
fn floors_hold() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut checked = 0;
    for file in files(&source) {
        let relative = file.strip_prefix(&source).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        for other in used(&fs::read_to_string(&file).unwrap()) {
            let allowed = other == module || floor(&other) > floor(module);
            assert!(allowed, "{}: `{module}` must not use `crate::{other}`", relative.display());
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} paths were seen");
}

#[test]
fn a_path_to_a_higher_floor_is_found() {
    let seen = used("use crate::scope::Scope;\n// crate::lib\nlet x = crate::export::Item;");

    assert_eq!(seen, ["scope", "export"]);
    assert!(floor("scope") < floor("export"));
}

#[test]
fn files_stay_small_enough_to_read() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in files(&source) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 420, "{} has {lines} lines: is it two things?", file.display());
    }
}
