//! Values that are secret, and values that are not.

use super::*;

#[test]
fn a_value_is_nothing_words_opaque_or_random() {
    let rows: [(ValueClass, &[&str]); 5] = [
        (
            ValueClass::Nothing,
            &[
                "",
                "true",
                "None",
                "null",
                "***",
                "xxxxx",
                "[REDACTED]",
                "<password>",
                "$1",
                "?",
                ":name",
                "%s",
                "%(token)s",
                "${SECRET}",
                "$SECRET",
                "{{ key }}",
                "String",
                "&str",
                "Option<Token>",
                "expired",
                "oidc",
                "must not be empty",
                "process.env.KEY",
                "hash(password)",
                "(none)",
                "[REDACTED alloc::string::String]",
            ],
        ),
        (ValueClass::Number(4), &["4711"]),
        (
            ValueClass::Words,
            &["orders-db", "user:17:profile", "2026-11-20", "swordfish", "uploads/a.png", "correct horse battery staple", "tenant-17"],
        ),
        (ValueClass::Opaque, &["hunter2", "Tr0ub4dor&3", "p1#x", "$1hunter2", "*hunter2"]),
        (ValueClass::Random, &["9f86d081884c7d659a2feaa0", "aB3dE6gH9jK2mN5pQ8rT", "1b2c3d4e-0f0e-4a53-9d1c-0d6a3f1f9a11"]),
    ];

    for (expected, values) in rows {
        for value in values {
            assert_eq!(class(value), expected, "{value}");
        }
    }
}

#[test]
fn the_name_and_the_value_decide_together() {
    let rows = [
        (Level::Sure, "swordfish", true),
        (Level::Likely, "swordfish", true),
        (Level::IfOpaque, "swordfish", false),
        (Level::IfOpaque, "hunter2", true),
        (Level::IfRandom, "hunter2", false),
        (Level::IfRandom, "aB3dE6gH9jK2mN5pQ8rT", true),
        (Level::Harmless, "aB3dE6gH9jK2mN5pQ8rT", false),
        (Level::Sure, "true", false),
        (Level::Sure, "required", false),
    ];

    for (level, value, expected) in rows {
        assert_eq!(is_hidden(level, value, false, false), expected, "{level:?} {value}");
    }
    assert!(is_hidden(Level::Likely, "4711", true, false) && is_hidden(Level::Likely, "123", true, false));
    assert!(!is_hidden(Level::Likely, "3", true, false) && !is_hidden(Level::Likely, "123", false, false));
    assert!(!is_hidden(Level::Likely, "1200", false, true), "tokens=1200");
}
