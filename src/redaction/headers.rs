//! Which headers are harmless, and which name a person.

use super::name_words::{is_listed_word, words};

/// Headers with harmless values: they are not personal data, and contain a secret only if it has a known shape.
const HARMLESS: &str = "accept accept-charset accept-encoding accept-language accept-datetime accept-patch accept-ranges access-control-request-headers \
    access-control-request-method age allow alt-used apollo-require-preflight b3 cache-control cdn-loop cf-ipcountry cf-ray cf-visitor \
    cloudfront-viewer-country connection content-disposition content-encoding content-language content-length content-md5 content-range content-type date \
    device-memory dnt downlink dpr ect early-data etag expect expires fly-region grpc-accept-encoding grpc-encoding grpc-timeout host http2-settings if-match \
    if-modified-since if-none-match if-range if-unmodified-since keep-alive last-modified max-forwards origin-agent-cluster pragma prefer priority \
    purpose range retry-after rtt save-data sec-ch-prefers-color-scheme sec-ch-ua sec-ch-ua-arch sec-ch-ua-bitness sec-ch-ua-full-version-list sec-ch-ua-mobile \
    sec-ch-ua-model sec-ch-ua-platform sec-ch-ua-platform-version sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc \
    sec-websocket-extensions sec-websocket-version sentry-trace server stripe-version te traceparent tracestate trailer transfer-encoding uber-trace-id upgrade \
    upgrade-insecure-requests user-agent vary viewport-width warning width x-amz-cf-id x-amz-cf-pop x-amz-date x-amz-content-sha256 x-amzn-requestid x-amzn-trace-id \
    x-api-version x-app-version x-azure-fdid x-azure-ref x-b3-parentspanid x-b3-sampled x-b3-spanid x-b3-traceid x-cache x-cloud-trace-context x-correlation-id \
    x-datadog-parent-id x-datadog-sampling-priority x-datadog-trace-id x-envoy-attempt-count x-envoy-expected-rq-timeout-ms x-forwarded-host x-forwarded-port \
    x-forwarded-proto x-forwarded-scheme x-github-delivery x-github-event x-http-method-override x-ot-span-context x-queue-start x-request-id x-request-start \
    x-requested-with x-scheme x-served-by x-timer x-trace-id x-vercel-id";

/// Parts of the names of headers that may name a person or an address (Sentry's extended list, and those of proxies).
const PERSONAL: [&str; 22] = [
    "forwarded-for",
    "forwarded-user",
    "forwarded-email",
    "forwarded-client",
    "-ip",
    "remote-",
    "-user",
    "email",
    "clientip",
    "socketip",
    "client-cert",
    "latlong",
    "full-name",
    "first-name",
    "last-name",
    "given-name",
    "family-name",
    "display-name",
    "webauth-name",
    "device-id",
    "visitor-id",
    "customer-id",
];

/// Words of the names of such headers.
const PERSONAL_WORDS: &str =
    "ip ipv4 ipv6 principal subject username login dn address clientcert latitude longitude city postal geo identity phone mail account";

/// Whether a header is on the list of harmless ones.
pub(super) fn is_harmless(name: &str) -> bool {
    HARMLESS.split_ascii_whitespace().any(|known| known == name)
}

/// Whether a header may identify a person or an address.
pub(super) fn is_personal(name: &str) -> bool {
    let is_ours = is_harmless(name);
    // It names a program: `x-user-agent`.
    let is_program = name.ends_with("user-agent");
    !is_ours
        && !is_program
        && (matches!(name, "via" | "from" | "forwarded" | "x-forwarded" | "client-ip" | "x-client-data")
            || PERSONAL.iter().any(|part| name.contains(part))
            || words(name).any(|word| is_listed_word(PERSONAL_WORDS, word)))
}

/// Whether a header's value is a URL.
pub(super) fn is_url(name: &str) -> bool {
    matches!(
        name,
        "referer"
            | "referrer"
            | "origin"
            | "location"
            | "content-location"
            | "x-original-url"
            | "x-original-uri"
            | "x-forwarded-uri"
            | "x-rewrite-url"
            | "x-request-uri"
            | "x-forwarded-url"
            | "x-envoy-original-path"
            | ":path"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_with_personal_data_are_recognised() {
        let names = "x-forwarded-for forwarded x-real-ip remote-addr x-user x-email via from x-envoy-external-address cloudfront-viewer-address \
            x-ms-client-principal x-amzn-mtls-clientcert-subject x-sucuri-clientip true-client-ip cf-connecting-ip x-azure-socketip x-forwarded-client-cert x-client-certificate \
            x-appengine-citylatlong x-first-name x-webauth-name x-device-id";
        for name in names.split_whitespace() {
            assert!(is_personal(name), "{name}");
        }
        for name in
            ["accept", "user-agent", "x-request-id", "viaduct", "x-from", "x-forwarded-proto", "x-forwarded-host", "host", "x-user-agent"]
        {
            assert!(!is_personal(name), "{name}");
        }
    }
}
