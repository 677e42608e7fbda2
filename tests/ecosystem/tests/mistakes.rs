//! What the compiler says about usual mistakes helps to mend them.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::Command;

#[test]
fn the_compiler_says_how_to_mend_a_usual_mistake() {
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "mistakes"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&build.stderr);
    assert!(!build.status.success(), "the mistakes compile");
    let expected: Vec<_> =
        include_str!("../mistakes/src/main.rs").lines().filter_map(|line| line.trim().strip_prefix("// says: ")).collect();
    assert!(expected.len() >= 7, "{expected:?}");
    for words in expected {
        assert!(said.contains(words), "the compiler does not say: {words}\n{said}");
    }
    let well = include_str!("../mistakes/src/main.rs").lines().position(|line| line.starts_with("fn well(")).unwrap();
    let after = (well + 1..well + 5).map(|line| format!("src/main.rs:{line}:")).find(|place| said.contains(place));
    assert_eq!(after, None, "{said}");
}
