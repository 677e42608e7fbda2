//! How much of what is secret is hidden, and how much of what is harmless is kept.
//!
//! A program makes 3,000 texts with secrets and 3,000 without, of more than sixty kinds each, from a
//! seed, and fills in those of two files that were written by hand. An application puts each at its place (a header, a message, a field), and the bytes that
//! leave are searched. No secret in it is real.
//!
//! `cargo test --all-features --test it -- evaluation::figures --nocapture` prints the figures, the
//! worst kinds and a text of each. `EVALUATION_SEED=7` makes other texts.

mod case;
mod harmless_names;
mod harmless_texts;
mod keys;
mod names;
mod play;
mod random;
mod shapes;
mod texts;
mod urls;
mod written;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use case::{Case, Kind};
use random::Random;
use tower_sentry::redaction::Redaction;

const TEXTS: usize = 3_000;

/// The texts of these kinds, in turn.
fn cases(kinds: &[&[Kind]], seed: u64) -> Vec<Case> {
    let kinds: Vec<&Kind> = kinds.iter().copied().flatten().collect();
    assert!(kinds.len() >= 60, "{} kinds", kinds.len());
    let mut random = Random::new(seed);
    (0..TEXTS)
        .map(|place| {
            let kind = kinds[place % kinds.len()];
            Case { kind: kind.name, ..(kind.make)(&mut random) }
        })
        .collect()
}

fn secret(seed: u64) -> Vec<Case> {
    let made = cases(&[names::KINDS, shapes::KINDS, keys::KINDS, texts::KINDS, urls::KINDS], seed);
    made.into_iter().chain(written::secrets(&mut Random::new(seed))).collect()
}

fn harmless(seed: u64) -> Vec<Case> {
    let made = cases(&[harmless_names::KINDS, harmless_texts::KINDS], seed);
    made.into_iter().chain(written::harmless(&mut Random::new(seed))).collect()
}

/// Shares in percent.
struct Figures {
    recall: f64,
    precision: f64,
    kept: f64,
    report: String,
}

async fn measure(rules: Redaction, seed: u64) -> Figures {
    let secrets = play::play(secret(seed), rules.clone()).await;
    let others = play::play(harmless(seed + 1), rules).await;
    let hidden = secrets.iter().filter(|seen| seen.leaked.is_none()).count();
    let changed = others.iter().filter(|seen| !seen.lost.is_empty()).count();
    let words: usize = secrets.iter().map(|seen| seen.case.kept.len()).sum();
    let lost: usize = secrets.iter().map(|seen| seen.lost.len()).sum();
    let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;

    let mut kinds: BTreeMap<&str, (usize, usize, Vec<String>)> = BTreeMap::new();
    for seen in secrets.iter().chain(&others) {
        let row = kinds.entry(seen.case.kind).or_default();
        row.0 += 1;
        if let Some(leaked) = &seen.leaked {
            row.1 += 1;
            row.2.push(format!("left {leaked:?} of {:?} {}: {}", seen.case.place, seen.case.name, seen.case.text()));
        } else if !seen.lost.is_empty() {
            row.1 += usize::from(seen.case.secrets.is_empty());
            row.2.push(format!(
                "lost {:?} of {:?} {}: {} as {:?}",
                seen.lost,
                seen.case.place,
                seen.case.name,
                seen.case.text(),
                seen.near
            ));
        }
    }
    let mut worst: Vec<_> = kinds.into_iter().filter(|(_, (_, _, examples))| !examples.is_empty()).collect();
    worst.sort_by_key(|(_, (_, misses, examples))| std::cmp::Reverse((*misses, examples.len())));
    let mut report = String::new();
    let examples: usize = std::env::var("EVALUATION_EXAMPLES").map_or(1, |count| count.parse().unwrap());
    for (kind, (count, misses, lines)) in worst {
        writeln!(report, "{kind}: {misses} of {count} wrong").unwrap();
        for line in lines.iter().take(examples) {
            writeln!(report, "    {line}").unwrap();
        }
    }
    Figures { recall: share(hidden, secrets.len()), precision: share(hidden, hidden + changed), kept: share(words - lost, words), report }
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the figures are what the command prints")]
async fn figures() {
    let seed = std::env::var("EVALUATION_SEED").map_or(20, |seed| seed.parse().unwrap());

    let Figures { recall, precision, kept, report } = measure(Redaction::default(), seed).await;

    println!("{report}recall {recall:.2} %, precision {precision:.2} %, harmless words kept {kept:.2} %");
    assert!(recall >= 99.5 && precision >= 99.0 && kept >= 90.0, "{recall:.2} {precision:.2} {kept:.2}\n{report}");
}

/// The texts written by hand are of many kinds with one text each, so hardly any may be missed: a random text may look like a word.
#[tokio::test]
async fn each_text_written_by_hand() {
    let mut random = Random::new(20);
    let cases = written::secrets(&mut random).into_iter().chain(written::harmless(&mut random)).collect();

    let wrong: Vec<_> = play::play(cases, Redaction::default())
        .await
        .into_iter()
        .filter(|seen| seen.leaked.is_some() || (seen.case.secrets.is_empty() && !seen.lost.is_empty()))
        .map(|seen| format!("{:?} of {:?}: {:?}", seen.leaked, seen.case.place, seen.case.text()))
        .collect();

    assert!(wrong.len() <= 6, "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_figures_fall_without_redaction() {
    let Figures { recall, kept, .. } = measure(tower_sentry::test::unredacted(), 20).await;

    // What is not even recorded stays hidden: some headers.
    assert!(recall < 10.0 && kept > 99.0, "{recall:.2} {kept:.2}");
}
