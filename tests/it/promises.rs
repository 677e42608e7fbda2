//! The table of promises in `tests/README.md` and the figures in the docs are true: what they name exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn exists(file: &str) -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists()
}

/// One row of a table: id, promise, state, what holds it, what is missing.
fn rows() -> Vec<[String; 5]> {
    let text = read("tests/README.md");
    let rows = text.lines().filter(|line| line.starts_with("| T"));
    rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" |").map(|cell| cell.trim().to_owned()).collect();
        cells.try_into().unwrap_or_else(|cells| panic!("five cells: {cells:?}"))
    })
    .collect()
}

/// The names between backticks.
fn named(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn has_function(file: &str, name: &str) -> bool {
    exists(file) && read(file).contains(&format!("fn {name}("))
}

/// Whether what holds a promise is there. The package leaves the workspaces of their own and the real servers out; a checkout has them.
fn is_there(holder: &str, tests: &BTreeSet<String>) -> bool {
    let is_checkout = exists("tests/ecosystem");
    match holder.split_once(' ') {
        Some(("it", test)) => tests.contains(test),
        Some(("unit", test)) => {
            let (module, name) = test.rsplit_once("::tests::").or_else(|| test.rsplit_once("::")).unwrap_or_default();
            let path = module.replace("::", "/");
            [".rs", "/mod.rs", "/tests.rs"].iter().any(|end| has_function(&format!("src/{path}{end}"), name))
        }
        Some(("ecosystem", test)) => {
            let (file, name) = test.split_once("::").unwrap_or_default();
            !is_checkout || has_function(&format!("tests/ecosystem/tests/{file}.rs"), name)
        }
        Some(("faults", row)) => read("tests/faults/main.rs").contains(&format!("(\"{row}")),
        _ => !is_checkout || exists(holder),
    }
}

fn tests() -> BTreeSet<String> {
    let output = Command::new(std::env::current_exe().unwrap()).args(["--list", "--format=terse"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

#[test]
fn each_promise_is_held_by_tests_that_exist() {
    let tests = tests();
    for [id, promise, state, holders, missing] in rows() {
        let holders = named(&holders);
        match state.as_str() {
            "-" => assert!(holders.is_empty(), "{id} is not built, and still {holders:?} hold it"),
            "thin" => assert!(!holders.is_empty() && !missing.is_empty(), "{id}: what holds it, and what is missing?"),
            "proven" => assert!(!holders.is_empty() && missing.is_empty(), "{id}: what holds it, and what is missing?"),
            other => panic!("{id}: {other}"),
        }
        let absent: Vec<_> = holders.into_iter().filter(|holder| !is_there(holder, &tests)).collect();
        assert!(absent.is_empty(), "{id} ({promise}): there is no {absent:?}");
    }
}

#[test]
fn each_fault_is_provoked_by_tests_that_exist() {
    let tests = tests();
    let text = read("tests/faults/README.md");
    let rows = text.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut faults = 0;
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" |").map(str::trim).collect();
        let [fault, holders, ..] = *cells else { panic!("three cells: {row}") };
        let holders = named(holders);
        assert!(!holders.is_empty(), "no test provokes: {fault}");
        let absent: Vec<_> = holders.into_iter().filter(|holder| !is_there(holder, &tests)).collect();
        assert!(absent.is_empty(), "{fault}: there is no {absent:?}");
        faults += 1;
    }
    assert!(faults > 35, "{faults}");
}

#[test]
fn no_promise_is_forgotten() {
    let ids: Vec<_> = rows().into_iter().map(|[id, ..]| id).collect();
    let of = |tier: u32, count: u32| (1..=count).map(move |number| format!("T{tier}-{number:02}"));

    assert_eq!(ids, of(1, 44).chain(of(2, 47)).chain(of(3, 18)).collect::<Vec<_>>());
}

#[test]
fn a_test_that_does_not_exist_is_found() {
    let tests = tests();

    for (holder, expected) in [
        ("it promises::no_promise_is_forgotten", true),
        ("it promises::no_promise", false),
        ("unit sampling::tests::sample_rand_is_read_without_rounding", true),
        ("unit sampling::tests::nothing", false),
        ("unit nowhere::tests::sample_rand_is_read_without_rounding", false),
        ("unit spool::tests::a_closed_lane_waits", true),
        ("faults burst", true),
        ("faults nothing", false),
        ("examples/boot.rs", true),
    ] {
        assert_eq!(is_there(holder, &tests), expected, "{holder}");
    }
}

/// The figures that stand behind `<!-- budget: ROW -->`, with their rows.
fn figures(text: &str) -> Vec<(String, f64)> {
    let marks = text.split("<!-- budget: ").skip(1).map(|rest| rest.split_once(" -->").unwrap());
    let digits =
        |text: &str| text.chars().take_while(|letter| letter.is_ascii_digit() || *letter == ',').collect::<String>().replace(',', "");
    marks.map(|(row, rest)| (row.to_owned(), digits(rest).parse().unwrap())).collect()
}

#[test]
fn figures_in_the_docs_are_those_of_the_budget() {
    let budget = read("benches/budget.tsv");
    let of =
        |row: &str| budget.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix('\t')?.split('\t').next()?.parse::<f64>().ok());
    let shown = figures(&read("README.md"));

    assert!(shown.len() >= 3, "{shown:?}");
    for (row, figure) in shown {
        let exact = of(&row).unwrap_or_else(|| panic!("the budget has no row `{row}`"));
        assert!((figure - exact).abs() <= 50.0, "`{row}` is {exact}, to the nearest hundred, and not {figure}");
    }
}

#[test]
fn links_of_the_readme_lead_somewhere() {
    let guide = read("src/guide/mod.rs");
    for target in read("README.md").split("](").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned()) {
        let is_good = match target.strip_prefix("https://docs.rs/tower-sentry/latest/tower_sentry/guide/") {
            Some(page) => guide.contains(&format!("pub mod {} {{}}", page.trim_end_matches('/'))),
            // Elsewhere, or a file that is in the package.
            None => target.starts_with("https://docs.rs/") || (!target.contains('/') && exists(&target)),
        };
        assert!(is_good, "README.md: {target}");
    }
}
