//! Which sites may call the routes: our own, and those that are listed.

use axum::response::Response;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::refusal::Refusal;
use crate::error::Error;

/// The other origins that are listed.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins {
    listed: Vec<HeaderValue>,
    /// Whether one of our proxies sets `X-Forwarded-Host`.
    pub(super) is_behind_proxy: bool,
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl Origins {
    pub(super) fn add(&mut self, origin: &str) -> Result<(), Error> {
        let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let is_origin = authority.is_some_and(|text| text.parse::<Authority>().is_ok_and(|authority| !authority.as_str().contains('@')));
        let value = HeaderValue::try_from(origin.to_ascii_lowercase()).ok().filter(|_| is_origin);
        let fault = || Error::setting("allow_origin: expected an origin such as https://shop.example, found another text");
        self.listed.push(value.ok_or_else(fault)?);
        Ok(())
    }

    /// Returns the origin of the caller if it is another one that is listed, or `None` if it is our own.
    ///
    /// A request without `Sec-Fetch-Site` and `Origin` counts as our own: browsers add one of them to a
    /// request from a page of another site.
    pub(super) fn judge(&self, request: &Parts) -> Result<Option<HeaderValue>, Refusal> {
        let headers = &request.headers;
        let origin = headers.get(header::ORIGIN);
        if let Some(listed) = self.listed.iter().find(|listed| origin.is_some_and(|origin| origin == *listed)) {
            return Ok(Some(listed.clone()));
        }
        // Behind a proxy that changes the host, only `Sec-Fetch-Site` shows that the origin is our own.
        let is_own = match (headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes), origin) {
            (Some(site), _) => matches!(site, b"same-origin" | b"none"),
            (None, Some(origin)) => self.is_own_host(origin, request),
            (None, None) => true,
        };
        if is_own { Ok(None) } else { Err(Refusal::OtherOrigin) }
    }

    fn is_own_host(&self, origin: &HeaderValue, request: &Parts) -> bool {
        let Some((scheme, of_origin)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else { return false };
        let text = |name: HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
        let of_proxy = text(HeaderName::from_static("x-forwarded-host")).filter(|_| self.is_behind_proxy);
        let hosts = [request.uri.authority().map(Authority::as_str), text(header::HOST), of_proxy];
        // Browsers leave out the default port.
        let default_port = if scheme == "https" { ":443" } else { ":80" };
        hosts.into_iter().flatten().any(|host| host.strip_suffix(default_port).unwrap_or(host).eq_ignore_ascii_case(of_origin))
    }

    /// Answers a preflight request: the browser asks whether a page may send the request.
    pub(super) fn preflight(&self, request: &Parts) -> Response {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        if let Ok(Some(origin)) = self.judge(request) {
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
            headers.insert(
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static("baggage, content-encoding, content-type, sentry-trace"),
            );
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
            allow(Some(origin), headers);
        }
        response
    }
}

/// Lets a page of this origin read the answer.
pub(super) fn allow(origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after, x-sentry-rate-limits"));
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    type Headers<'a> = &'a [(&'a str, &'a str)];

    fn judged(origins: &Origins, headers: Headers<'_>) -> Result<Option<HeaderValue>, Refusal> {
        let mut request = Request::post("/t");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        origins.judge(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn only_pages_of_our_own_and_of_listed_origins_may_call() {
        let mut origins = Origins::default();
        origins.add("https://App.example").unwrap();
        let listed = Ok(Some(HeaderValue::from_static("https://app.example")));
        let rows: [(Headers<'_>, Result<Option<HeaderValue>, Refusal>); 12] = [
            (&[], Ok(None)),
            (&[("host", "shop.example"), ("origin", "https://shop.example")], Ok(None)),
            (&[("host", "shop.example:443"), ("origin", "https://shop.example")], Ok(None)),
            (&[("host", "shop.example:80"), ("origin", "https://shop.example")], Err(Refusal::OtherOrigin)),
            (&[("host", "127.0.0.1:3000"), ("origin", "https://shop.example"), ("sec-fetch-site", "same-origin")], Ok(None)),
            (&[("host", "shop.example"), ("origin", "https://evil.example")], Err(Refusal::OtherOrigin)),
            (&[("host", "shop.example"), ("origin", "null")], Err(Refusal::OtherOrigin)),
            (&[("host", "shop.example"), ("origin", "https://shop.example.evil.example")], Err(Refusal::OtherOrigin)),
            (&[("host", "shop.example"), ("sec-fetch-site", "cross-site")], Err(Refusal::OtherOrigin)),
            (&[("host", "shop.example"), ("origin", "https://shop.example"), ("sec-fetch-site", "same-site")], Err(Refusal::OtherOrigin)),
            (&[("origin", "https://app.example"), ("sec-fetch-site", "cross-site")], listed),
            (&[("host", "a"), ("x-forwarded-host", "shop.example"), ("origin", "https://shop.example")], Err(Refusal::OtherOrigin)),
        ];

        for (headers, expected) in rows {
            assert_eq!(judged(&origins, headers), expected, "{headers:?}");
        }
        let proxied = Origins { is_behind_proxy: true, ..origins };
        assert_eq!(judged(&proxied, &[("host", "a"), ("x-forwarded-host", "shop.example"), ("origin", "https://shop.example")]), Ok(None));
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for text in
            ["shop.example", "https://", "https://shop.example/", "ftp://shop.example", "*", "https://k@shop.example", "https://a b"]
        {
            assert!(Origins::default().add(text).is_err(), "{text}");
        }
        assert!(Origins::default().add("http://localhost:3000").is_ok());
    }
}
