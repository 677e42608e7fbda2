//! `baggage: sentry-trace_id=…,sentry-public_key=…,other=…` (W3C Baggage)

use percent_encoding::percent_decode_str;

use crate::protocol::DynamicSamplingContext;

/// W3C Baggage allows this much in total; what lies behind it is not read.
pub(super) const BYTES_LIMIT: usize = 8192;
pub(super) const MEMBERS_LIMIT: usize = 64;

/// Reads Sentry's members of all lines; others' are not kept, since they must not travel on with our requests.
#[expect(single_use_lifetimes, reason = "an anonymous lifetime in `impl Trait` is unstable")]
pub(super) fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> DynamicSamplingContext {
    let mut context = DynamicSamplingContext::default();
    let mut left = BYTES_LIMIT;
    let mut members = 0;
    for line in lines {
        if line.len() > left {
            break;
        }
        left -= line.len();
        for member in line.split(',') {
            members += 1;
            if members > MEMBERS_LIMIT {
                return context;
            }
            read(member, &mut context);
        }
    }
    context
}

fn read(member: &str, context: &mut DynamicSamplingContext) {
    // Properties behind a semicolon are no part of the value.
    let member = member.split(';').next().unwrap_or_default().trim();
    let Some((key, value)) = member.strip_prefix("sentry-").and_then(|member| member.split_once('=')) else { return };
    let Ok(value) = percent_decode_str(value.trim()).decode_utf8() else { return };
    let value = value.into_owned();
    match key.trim() {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_beyond_the_caps_are_not_read() {
        let many = format!("{}sentry-release=late", "a=1,".repeat(64));
        let long = format!("a={},sentry-release=late", "x".repeat(BYTES_LIMIT));

        assert_eq!(parse(std::iter::once(many.as_str())).release, None);
        assert_eq!(parse(std::iter::once(long.as_str())).release, None);
    }

    proptest! {
        #[test]
        fn any_lines_are_read_or_refused(lines in proptest::collection::vec(".{0,80}", 0..8)) {
            let _ = parse(lines.iter().map(String::as_str));
        }
    }
}
