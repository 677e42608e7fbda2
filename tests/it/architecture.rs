//! The house: modules use lower floors only, and files inside a room do not use each other in circles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the top down. Modules on one line are neighbours: they do not use each other.
const FLOORS: [&[&str]; 13] = [
    &["lib", "init", "test", "debug_routes", "guide", "fuzzing"],
    &["browser", "cache", "incoming", "outgoing", "job", "html", "metrics", "subscriber", "panic_hook"],
    &["scope"],
    &["client"],
    &["exporter"],
    &["otlp", "payload", "spool", "transport"],
    &["event"],
    &["record"],
    &["profiling"],
    &["alert", "propagation", "redaction", "sampling"],
    &["protocol", "error", "diagnostics", "status_codes"],
    &["unwind"],
    &["fnv", "fork"],
];

fn floor(module: &str) -> usize {
    FLOORS.iter().rposition(|floor| floor.contains(&module)).unwrap_or_else(|| panic!("`{module}` has no floor"))
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
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

/// The code of a file on one line, without comments and without its tests at the end.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join(" ")
}

/// What follows each `start` in a text: for `start{a, b::c}` it is `a` and `b`.
fn after(code: &str, start: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(start) {
        if code[..at].ends_with(|letter: char| letter.is_alphanumeric() || "_:".contains(letter)) {
            continue;
        }
        let rest = &code[at + start.len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(group(list)),
            None => names.push(word(rest)),
        }
    }
    names
}

fn word(text: &str) -> String {
    text.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// The first words of a group's entries, up to its closing brace.
fn group(list: &str) -> Vec<String> {
    let (mut depth, mut entry, mut names) = (0, String::new(), Vec::new());
    for letter in list.chars() {
        match letter {
            '}' if depth == 0 => break,
            ',' if depth == 0 => names.push(word(&std::mem::take(&mut entry))),
            _ => {
                depth += i32::from(letter == '{') - i32::from(letter == '}');
                entry.push(letter);
            }
        }
    }
    names.push(word(&entry));
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn floors_hold() {
    let source = source();
    let mut checked = 0;
    for file in files(&source) {
        let relative = file.strip_prefix(&source).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let text = fs::read_to_string(&file).unwrap();
        let whole: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join(" ");
        for other in after(&whole, "crate::") {
            let allowed = other == module || floor(&other) > floor(module);
            assert!(allowed, "{}: `{module}` must not use `crate::{other}`", relative.display());
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} paths were seen");
}

/// Which files of a room each of its files uses, by their names without `.rs`.
///
/// A name that `mod.rs` re-exports belongs to the file that defines it. A file of a folder inside
/// the room counts as a part of the file that the folder belongs to.
fn uses(room: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let texts: BTreeMap<String, String> = files(room)
        .into_iter()
        .map(|file| {
            let relative = file.strip_prefix(room).unwrap().to_path_buf();
            (relative.to_str().unwrap().trim_end_matches(".rs").to_owned(), code(&fs::read_to_string(&file).unwrap()))
        })
        .filter(|(name, _)| !name.contains('/'))
        .collect();
    let Some(index) = texts.get("mod") else { return BTreeMap::new() };
    let modules: BTreeSet<_> = texts.keys().filter(|name| *name != "mod").cloned().collect();
    let mut origin = BTreeMap::new();
    for module in &modules {
        let declared = after(index, &format!("use {module}::")).into_iter().chain(after(index, &format!("use self::{module}::")));
        origin.extend(declared.map(|name| (name, module.clone())));
    }
    let of =
        |name: &String| if modules.contains(name) { name.clone() } else { origin.get(name).cloned().unwrap_or_else(|| "mod".to_owned()) };
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in &texts {
        let names = if file == "mod" {
            // A declaration or a re-export is no use; what else names a file of the room is.
            let rest: String = text.split(';').filter(|statement| !statement.contains("pub") || !statement.contains(" use ")).collect();
            modules
                .iter()
                .filter(|module| after(&rest, &format!("{module}::")).len() + after(&rest, &format!("self::{module}::")).len() > 0)
                .cloned()
                .collect()
        } else {
            after(text, "super::").iter().filter(|name| *name != "super").map(of).filter(|name| name != file).collect()
        };
        uses.insert(file.clone(), names);
    }
    uses
}

/// Files that use each other in a circle, in the order of use; empty if there are none.
fn circle(uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    fn visit<'a>(
        file: &'a str,
        uses: &'a BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> bool {
        if path.contains(&file) {
            path.push(file);
            return true;
        }
        path.push(file);
        let found = !done.contains(file) && uses.get(file).is_some_and(|used| used.iter().any(|other| visit(other, uses, path, done)));
        if !found {
            path.pop();
            done.insert(file);
        }
        found
    }
    let (mut path, mut done) = (Vec::new(), BTreeSet::new());
    uses.keys().any(|file| visit(file, uses, &mut path, &mut done));
    path.into_iter().map(str::to_owned).collect()
}

#[test]
fn files_of_a_room_do_not_use_each_other_in_circles() {
    let rooms: BTreeSet<PathBuf> = files(&source()).iter().map(|file| file.parent().unwrap().to_path_buf()).collect();
    let mut edges = 0;
    let mut circles = Vec::new();
    for room in rooms.iter().filter(|room| **room != source()) {
        let uses = uses(room);
        edges += uses.values().map(BTreeSet::len).sum::<usize>();
        let circle = circle(&uses);
        let name = room.strip_prefix(source()).unwrap().to_str().unwrap().to_owned();
        if !circle.is_empty() {
            circles.push(format!("{name}: {}", circle.join(" -> ")));
        }
    }
    assert!(circles.is_empty(), "files use each other in circles:\n{}", circles.join("\n"));
    assert!(edges > 100, "only {edges} uses were seen");
}

#[test]
fn a_path_to_a_higher_floor_is_found() {
    let seen = after("use crate::scope::Scope; let x = crate::exporter::Item; use crate::{error, redaction::{Redactor, text}};", "crate::");

    assert_eq!(seen, ["scope", "exporter", "error", "redaction"]);
    assert!(floor("scope") < floor("exporter"));
}

#[test]
fn a_circle_is_found() {
    let uses = |edges: &[(&str, &str)]| {
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in edges {
            uses.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        uses
    };

    assert_eq!(circle(&uses(&[("a", "b"), ("a", "c"), ("b", "c")])), Vec::<String>::new());
    assert_eq!(circle(&uses(&[("a", "b"), ("b", "c"), ("c", "b")])).last().map(String::as_str), Some("b"));
}

#[test]
fn files_stay_small_enough_to_read() {
    for file in files(&source()) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 420, "{} has {lines} lines: is it two things?", file.display());
    }
}

/// What waits for another thread.
const WAITING: [&str; 7] = ["Barrier", "Condvar", "LazyLock", "Mutex", "Once", "OnceLock", "RwLock"];

/// Files that may use a plain lock or cell of the standard library, and why no forked child waits there.
const PLAIN_LOCKS: [(&str, &str); 9] = [
    ("client/default.rs", "it only tries"),
    ("exporter/disk.rs", "the condition is waited for by its own thread, and by the exporter's"),
    ("exporter/security_log.rs", "the condition is waited for by the writer's thread"),
    ("exporter/shared.rs", "set once, by a flush, which asks before whether this is a child"),
    ("exporter/thread.rs", "only the thread and who starts it have it"),
    ("fork.rs", "it makes the locks for all others"),
    ("subscriber/index.rs", "locked by `fork::lock`"),
    ("subscriber/layer.rs", "set when the subscriber is installed"),
    ("transport/http.rs", "filled with a value that is ready"),
];

/// A lock that another thread holds at a fork is never free in the child, and a value that another thread
/// makes there is never ready.
#[test]
fn locks_and_lazy_values_are_those_that_a_forked_child_does_not_wait_for() {
    let source = source();
    let (mut plain, mut own) = (BTreeSet::new(), 0);
    for file in files(&source) {
        let relative = file.strip_prefix(&source).unwrap().to_str().unwrap().to_owned();
        let text = code(&fs::read_to_string(&file).unwrap().replace("#[cfg(all(test, feature = \"test\"))]", "#[cfg(test)]"));
        // Of the feature `test`, and of tests.
        if relative.starts_with("test/") || relative.ends_with("tests.rs") {
            continue;
        }
        let words: BTreeSet<_> = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
        if WAITING.iter().any(|lock| words.contains(lock)) {
            plain.insert(relative);
        }
        own += text.matches("Lock<").count() + text.matches("Lazy<").count();
    }
    assert_eq!(plain, PLAIN_LOCKS.iter().map(|(file, _)| (*file).to_owned()).collect(), "use `fork::Lock` or `fork::Lazy`");
    assert!(own > 40, "only {own} of our own were seen");
}
