//! Reads and writes `baggage: sentry-trace_id=…,sentry-public_key=…,other=…` (W3C Baggage).

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::protocol::DynamicSamplingContext;

/// The total size that W3C Baggage allows, in bytes. Reading ends before the first line that exceeds it.
pub(super) const BYTES_LIMIT: usize = 8192;
pub(super) const MEMBERS_LIMIT: usize = 64;
/// The characters to escape in a value: all except the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Sentry's members of a `baggage`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sentrys {
    pub(super) members: String,
    /// The baggage exceeds W3C's limits, and its rest was not read.
    pub(super) is_cut: bool,
}

/// Joins Sentry's members of all lines, unchanged, into one text.
///
/// One text is one allocation, whatever the caller sends. Members of other vendors are dropped:
/// they must not be propagated with our requests.
#[expect(single_use_lifetimes, reason = "an anonymous lifetime in `impl Trait` is unstable")]
pub(super) fn sentrys<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Sentrys {
    let mut kept = String::new();
    let mut left = BYTES_LIMIT;
    let mut members = 0;
    for line in lines {
        // Checked before a byte of it is read: a header may have megabytes.
        if line.len() > left {
            return Sentrys { members: kept, is_cut: true };
        }
        left -= line.len();
        // A line that is not text counts as an empty one, so that their number is limited too.
        for member in std::str::from_utf8(line).unwrap_or_default().split(',') {
            members += 1;
            if members > MEMBERS_LIMIT {
                return Sentrys { members: kept, is_cut: true };
            }
            // Properties after a semicolon are not part of the value.
            let member = member.split(';').next().unwrap_or_default().trim();
            if member.starts_with("sentry-") && member.contains('=') {
                if kept.is_empty() {
                    kept.reserve(line.len());
                } else {
                    kept.push(',');
                }
                kept.push_str(member);
            }
        }
    }
    Sentrys { members: kept, is_cut: false }
}

/// Returns the value of one of Sentry's members; the last one wins.
pub(crate) fn member<'a>(baggage: &'a str, name: &str) -> Option<Cow<'a, str>> {
    members(baggage).filter(|(key, _)| *key == name).filter_map(|(_, value)| percent_decode_str(value).decode_utf8().ok()).last()
}

/// Parses Sentry's members into the dynamic sampling context.
pub(crate) fn context(baggage: &str) -> DynamicSamplingContext {
    let mut context = DynamicSamplingContext::default();
    for (key, value) in members(baggage) {
        let Ok(value) = percent_decode_str(value).decode_utf8() else { continue };
        let value = value.into_owned();
        match key {
            "trace_id" => context.trace_id = value,
            "public_key" => context.public_key = value,
            "sample_rate" => context.sample_rate = Some(value),
            "sample_rand" => context.sample_rand = Some(value),
            "sampled" => context.sampled = Some(value),
            "release" => context.release = Some(value),
            "environment" => context.environment = Some(value),
            "transaction" => context.transaction = Some(value),
            "org_id" => context.org_id = Some(value),
            "replay_id" => context.replay_id = Some(value),
            _ => {}
        }
    }
    context
}

/// Formats a dynamic sampling context as members of baggage.
pub(crate) fn of_context(context: &DynamicSamplingContext) -> String {
    let DynamicSamplingContext {
        trace_id,
        public_key,
        sample_rate,
        sample_rand,
        sampled,
        release,
        environment,
        transaction,
        org_id,
        replay_id,
    } = context;
    let members = [
        ("trace_id", Some(trace_id)),
        ("public_key", Some(public_key)),
        ("sample_rate", sample_rate.as_ref()),
        ("sample_rand", sample_rand.as_ref()),
        ("sampled", sampled.as_ref()),
        ("release", release.as_ref()),
        ("environment", environment.as_ref()),
        ("transaction", transaction.as_ref()),
        ("org_id", org_id.as_ref()),
        ("replay_id", replay_id.as_ref()),
    ];
    let mut line = String::new();
    for (name, value) in members.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?))) {
        line.extend([if line.is_empty() { "" } else { "," }, "sentry-", name, "="]);
        line.extend(utf8_percent_encode(value, ESCAPED));
    }
    line
}

fn members(baggage: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = baggage.split(',').filter_map(|member| member.strip_prefix("sentry-")?.split_once('='));
    pairs.map(|(key, value)| (key.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn members_beyond_the_caps_are_not_read() {
        let many = format!("{}sentry-release=late", "a=1,".repeat(64));
        let long = format!("a={},sentry-release=late", "x".repeat(BYTES_LIMIT));

        let bytes = vec![b'\xff'; BYTES_LIMIT / 2];
        let empty = Sentrys { members: String::new(), is_cut: true };
        assert_eq!(sentrys(std::iter::once(many.as_bytes())), empty);
        assert_eq!(sentrys(std::iter::once(long.as_bytes())), empty);
        assert_eq!(sentrys(std::iter::repeat_n(&*bytes, 1000)), empty);
        assert_eq!(sentrys(std::iter::repeat_n(&b""[..], 1000)), empty);
        let mut lines = 0;
        sentrys(std::iter::repeat_n(&b"a=1"[..], 1000).inspect(|_| lines += 1));
        assert_eq!(lines, MEMBERS_LIMIT + 1, "the others are not looked at");
    }

    #[test]
    fn members_up_to_the_caps_are_read() {
        // 64 members, or 8,192 bytes, on one line and on several.
        let others = "a=1,".repeat(63);
        let padded = |line: &str, length: usize| format!("{line}{}", " ".repeat(length - line.len()));
        let rows: [(Vec<String>, &str, bool); 6] = [
            (vec![format!("{others}sentry-release=64th")], "sentry-release=64th", false),
            (vec![others.trim_end_matches(',').to_owned(), "sentry-release=64th".to_owned()], "sentry-release=64th", false),
            (vec![format!("{others}sentry-release=64th"), "sentry-release=65th".to_owned()], "sentry-release=64th", true),
            (vec![padded("sentry-release=whole", BYTES_LIMIT)], "sentry-release=whole", false),
            (vec![padded("a=1", BYTES_LIMIT - 21), "sentry-release=behind".to_owned()], "sentry-release=behind", false),
            (vec![padded("a=1", BYTES_LIMIT - 20), "sentry-release=behind".to_owned()], "", true),
        ];

        for (lines, members, is_cut) in rows {
            let lengths: Vec<_> = lines.iter().map(String::len).collect();
            let expected = Sentrys { members: members.to_owned(), is_cut };
            assert_eq!(sentrys(lines.iter().map(String::as_bytes)), expected, "lines of {lengths:?} bytes");
        }
    }

    #[test]
    fn baggage_is_read_and_written_as_in_the_protocols_vectors() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/fixtures/vectors/baggage.json")).unwrap_or_default();
        let cases = vectors["cases"].as_array().cloned().unwrap_or_default();
        assert!(!cases.is_empty());
        for case in cases {
            let lines = case["in"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let read = context(&sentrys(lines.map(str::as_bytes)).members);
            assert_eq!(serde_json::to_value(&read).ok().as_ref(), Some(&case["dsc"]), "{case}");
            assert_eq!(context(&of_context(&read)), read, "written and read again");
        }
    }

    #[test]
    fn each_member_goes_on_to_the_next_service() {
        let whole = "sentry-trace_id=771a43a4192642f0b136d5159a501700,sentry-public_key=0123456789abcdef0123456789abcdef,sentry-sample_rate=0.25,\
                     sentry-sample_rand=0.112233,sentry-sampled=true,sentry-release=shop%401.4.0,sentry-environment=staging,\
                     sentry-transaction=GET%20%2Fcart,sentry-org_id=7,sentry-replay_id=4c79f60c11214eb38604f4ae0781bfb2";

        assert_eq!(of_context(&context(whole)), whole);
    }

    #[test]
    fn members_are_kept_as_they_came_and_read_when_they_are_asked_for() {
        let lines = ["vendor=1, sentry-release = a%20b;prop=1", "sentry-unknown=7,sentry-release=later,sentry-nothing"];

        let kept = sentrys(lines.into_iter().map(str::as_bytes)).members;

        assert_eq!(kept, "sentry-release = a%20b,sentry-unknown=7,sentry-release=later");
        assert_eq!((member(&kept, "release").as_deref(), member(&kept, "org_id")), (Some("later"), None));
        assert_eq!(context(&kept).release.as_deref(), Some("later"));
        assert_eq!(of_context(&context("sentry-release=a%20%2C,sentry-sampled=true")), "sentry-sampled=true,sentry-release=a%20%2C");
    }

    proptest! {
        #[test]
        fn any_lines_are_read_or_refused(lines in proptest::collection::vec(".{0,80}", 0..8)) {
            let _ = context(&sentrys(lines.iter().map(String::as_bytes)).members);
        }
    }
}
