//! More than a thousand secrets in every place of a real service: in no byte that leaves, in no line of the security log, and not on the
//! console.

use std::fs::{self, File};

use tower_sentry::redaction::Redaction;

use crate::canaries::{Canaries, Kind};
use crate::privacy_scenes::{Scene, play_with};
use crate::support;

const SCENES: [Scene; 4] = [Scene::Headers, Scene::FieldNames, Scene::Shapes, Scene::InstrumentArgs];

#[test]
fn a_thousand_secrets_are_nowhere() {
    let name = "thousand_canaries::a_thousand_secrets_are_nowhere";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for (redacts, is_clean) in [("1", true), ("0", false)] {
        let Some(said) = support::said_in_child(name, &[("TOWER_SENTRY_TEST_FOLDER", path), ("TOWER_SENTRY_TEST_REDACTS", redacts)]) else {
            return child();
        };
        let planted = |kind| Canaries::load(kind, &fs::read_to_string(folder.path().join("secrets")).unwrap());
        let secrets = planted(Kind::Secret);
        let count = secrets.planted(Kind::Secret).len();
        assert!(count > 1_000, "{count}");
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
