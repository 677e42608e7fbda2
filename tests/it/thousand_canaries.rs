//! More than a thousand secrets in every place of a real service: in no byte that leaves, in no line of the security log, and not on the
//! console.

use std::fs::{self, File};

use tower_sentry::redaction::Redaction;

use crate::canaries::{Canaries, Kind};
use crate::privacy_scenes::{Scene, play_with};
use crate::support;

/// The fields twice, each time with other secrets.
const SCENES: [Scene; 5] = [Scene::FieldNames, Scene::Headers, Scene::FieldNames, Scene::Shapes, Scene::InstrumentArgs];

#[test]
fn a_thousand_secrets_are_nowhere() {
    let name = "thousand_canaries::a_thousand_secrets_are_nowhere";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for (redacts, is_clean) in [("1", true), ("0", false)] {
        let Some(said) = support::said_in_child(name, &[("TOWER_SENTRY_TEST_FOLDER", path), ("TOWER_SENTRY_TEST_REDACTS", redacts)]) else {
            return child();
        };
        let planted = fs::read_to_string(folder.path().join("secrets")).unwrap();
        assert!(planted.lines().count() > 1_000, "{} secrets", planted.lines().count());
        let secrets = Canaries::load(Kind::Secret, &planted);
        let security_log = fs::read(folder.path().join("security.log")).unwrap();
        assert!(security_log.len() > 1_000, "{} bytes", security_log.len());
        assert!(said.contains("POST") || said.contains("GET "), "the console shows the requests: {said}");
        // The control: without redaction, they are on the console and in the file.
        let on_console = secrets.found(Kind::Secret, &[said.into_bytes()]);
        let in_file = secrets.found(Kind::Secret, &[security_log]);
        assert_eq!((on_console.is_empty(), in_file.is_empty()), (is_clean, is_clean), "{on_console:?} {in_file:?}");
        fs::remove_file(folder.path().join("security.log")).unwrap();
    }
}

fn child() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let folder = std::path::PathBuf::from(variable("TOWER_SENTRY_TEST_FOLDER"));
    let redacts = variable("TOWER_SENTRY_TEST_REDACTS") == "1";
    let mut secrets = File::create(folder.join("secrets")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for scene in SCENES {
        let log = folder.join("security.log");
        let sent = runtime.block_on(play_with(scene, |config| {
            let rules = if redacts { Redaction::default() } else { tower_sentry::test::unredacted() };
            // All logs of these tests are security events.
            config.redaction(rules).console(true).security_log(log).security_target("it")
        }));
        sent.canaries.save(Kind::Secret, &mut secrets);
        assert_eq!(sent.leaked(Kind::Secret).is_empty(), redacts, "{scene:?}");
    }
}
