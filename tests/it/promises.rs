//! The tables of `tests/README.md` and `tests/mission.md` and the figures in the docs are true: what they name exists.

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
            !is_checkout || ["tests", "hosts/tests"].iter().any(|folder| has_function(&format!("tests/ecosystem/{folder}/{file}.rs"), name))
        }
        Some((application @ ("amply" | "quickdapp" | "stormcloud"), test)) => {
            let (file, name) = test.split_once("::").unwrap_or_default();
            let tests = format!("examples/apps/{application}/tests");
            !is_checkout || ["app", "it", "promises"].iter().any(|folder| has_function(&format!("{tests}/{folder}/{file}.rs"), name))
        }
        Some(("guide", place)) => {
            let (page, heading) = place.split_once('#').unwrap_or_default();
            let page = format!("src/guide/{page}.md");
            exists(&page) && read(&page).lines().any(|line| line.trim_start_matches('#').strip_prefix(' ') == Some(heading))
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
fn what_the_page_on_sentrys_features_names_as_a_test_exists() {
    let tests = tests();
    let page = read("src/guide/sentry.md");
    let cells = page.lines().filter(|line| line.starts_with("| ")).filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    let holders: Vec<_> = cells.flat_map(named).filter(|name| name.starts_with("it ") || name.starts_with("tests/")).collect();

    assert!(holders.len() > 50, "only {} were seen", holders.len());
    let absent: Vec<_> = holders.into_iter().filter(|holder| !is_there(holder, &tests)).collect();
    assert!(absent.is_empty(), "there is no {absent:?}");
}

#[test]
fn no_promise_is_forgotten() {
    let ids: Vec<_> = rows().into_iter().map(|[id, ..]| id).collect();
    let of = |tier: u32, count: u32| (1..=count).map(move |number| format!("T{tier}-{number:02}"));

    assert_eq!(ids, of(1, 44).chain(of(2, 47)).chain(of(3, 18)).collect::<Vec<_>>());
}

/// The ids of the documents' list, in its order.
const MISSION: [(&str, u32); 10] =
    [("C", 16), ("E", 13), ("P", 15), ("U", 9), ("V", 14), ("J", 5), ("F", 10), ("R", 6), ("A", 6), ("O", 10)];

#[test]
fn each_line_of_the_documents_has_a_verdict_and_what_holds_it() {
    let tests = tests();
    let text = read("tests/mission.md");
    let is_id = |cell: &str| cell.split_at_checked(1).is_some_and(|(_, number)| number.parse::<u32>().is_ok());
    let rows: Vec<Vec<_>> = text.lines().map(|line| line.trim_matches('|').split(" |").map(str::trim).collect()).collect();
    let rows: Vec<_> = rows.iter().filter(|cells| is_id(cells[0])).collect();

    let ids: Vec<_> = rows.iter().map(|cells| cells[0].to_owned()).collect();
    let expected: Vec<_> = MISSION.iter().flat_map(|(group, count)| (1..=*count).map(move |number| format!("{group}{number}"))).collect();
    assert_eq!((ids.len(), ids), (104, expected));
    for row in rows {
        let [id, what, verdict, holders, note] = **row else { panic!("five cells: {row:?}") };
        assert!(what.split_whitespace().count() <= 6, "{id}: six words");
        let holders = named(holders);
        assert!(!holders.is_empty(), "{id}: what holds it?");
        match verdict {
            "works" => {}
            "server" | "open" => assert!(!note.is_empty(), "{id}: which data, or what is missing?"),
            "guide" => assert!(holders.iter().all(|holder| holder.starts_with("guide ")), "{id}: which page?"),
            other => panic!("{id}: {other}"),
        }
        let absent: Vec<_> = holders.into_iter().filter(|holder| !is_there(holder, &tests)).collect();
        assert!(absent.is_empty(), "{id} ({what}): there is no {absent:?}");
    }
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
        ("stormcloud performance::requests_of_one_route_have_one_name", true),
        ("guide quick_start#The environment", true),
        ("guide quick_start#The environ", false),
        ("guide nowhere#The environment", false),
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
    // The package has no pictures.
    for picture in read("README.md").split("<img src=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()) {
        assert!(!exists("tests/ecosystem") || exists(&picture), "README.md: {picture}");
    }
}

/// The names that are called in a text: `set_tag("plan")` and `release!()`.
fn calls(text: &str) -> Vec<&str> {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let heads = text.match_indices('(').map(|(end, _)| text[..end].trim_end_matches('!'));
    heads.map(|head| &head[head.trim_end_matches(is_name).len()..]).filter(|name| !name.is_empty()).collect()
}

#[test]
fn each_new_call_in_the_guide_to_moving_is_compiled() {
    let page = read("src/guide/migrating.md");
    let blocks = page.split("```rust").skip(1).filter_map(|block| block.split_once("```")).map(|(block, _)| block);
    let compiled: String = blocks.filter(|block| !block.starts_with(",ignore")).collect();
    let compiled: BTreeSet<_> = calls(&compiled).into_iter().collect();
    let tables = page.split_once("# Old call, new call").unwrap().1.split_once("# What behaves differently").unwrap().0;
    let rows = tables.lines().filter(|line| line.starts_with("| ")).map(|line| line.replace("\\|", ""));

    let mut checked = 0;
    for row in rows {
        let new = row.split(" | ").nth(1).unwrap();
        for call in named(new).into_iter().flat_map(calls) {
            assert!(compiled.contains(call), "`{call}` is in no program of the page: {row}");
            checked += 1;
        }
    }
    assert!(checked > 80, "only {checked} calls were seen");
}

/// Every public item of the official SDK has an old name in the tables. `tests/golden/official_items.py` wrote the list.
#[test]
fn the_guide_to_moving_names_each_item_of_the_official_sdk() {
    let page = read("src/guide/migrating.md");
    let rows = page.lines().filter(|line| line.starts_with("| ")).map(|line| line.replace("\\|", ""));
    let old: Vec<_> = rows.map(|row| row.split(" | ").next().unwrap().to_owned()).collect();
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let named: BTreeSet<_> = old.iter().flat_map(|cell| cell.split(|letter| !is_name(letter))).collect();

    let list = read("tests/golden/official_items.txt");
    let missing: Vec<_> = list.lines().filter(|item| !named.contains(item.rsplit("::").next().unwrap())).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(list.lines().count() > 300, "the list is not whole");
}
