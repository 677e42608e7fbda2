//! The DSN: the address and key of a project.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;

use super::address;

/// The address of a project, and the key that allows writing to it.
///
/// The form is `{scheme}://{public_key}@{host}{path}/{project_id}`. A legacy secret (`key:secret@`)
/// is accepted but never sent. The host must be ASCII; use `xn--…` for other names. `Debug` and
/// `Display` mask the key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Dsn {
    envelope_url: Uri,
    public_key: String,
    project_id: String,
    org_id: Option<String>,
}

impl Dsn {
    /// The URL to which envelopes are posted.
    pub(crate) fn envelope_url(&self) -> &Uri {
        &self.envelope_url
    }

    /// The DSN in its normal form, without a legacy secret. It contains the key, so use it only for web pages, which need it.
    #[cfg(feature = "browser")]
    pub(crate) fn to_public_text(&self) -> String {
        let Self { envelope_url: url, public_key, project_id, .. } = self;
        let prefix = url.path().strip_suffix(&format!("/api/{project_id}/envelope/")).unwrap_or_default();
        let (scheme, server) = (url.scheme_str().unwrap_or_default(), url.authority().map(Authority::as_str).unwrap_or_default());
        format!("{scheme}://{public_key}@{server}{prefix}/{project_id}")
    }

    /// The key that allows writing to the project.
    pub(crate) fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The id of the organisation, if the host contains it (`o123.ingest…`).
    ///
    /// Self-hosted servers have none.
    pub(crate) fn org_id(&self) -> Option<&str> {
        self.org_id.as_deref()
    }
}

impl FromStr for Dsn {
    type Err = InvalidDsn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url: Uri = text.trim().parse().map_err(|_| InvalidDsn::NotAUrl)?;
        match url.scheme_str() {
            Some("http" | "https") => {}
            Some(_) => return Err(InvalidDsn::Scheme),
            None => return Err(InvalidDsn::NotAUrl),
        }
        let public_key = address::user(&url).filter(|key| !key.is_empty()).ok_or(InvalidDsn::PublicKey)?.to_owned();
        let host = url.host().filter(|host| !host.is_empty()).ok_or(InvalidDsn::Host)?;
        // An HTTP client would use the default port instead of one that it cannot read.
        if !address::has_readable_port(&url) {
            return Err(InvalidDsn::Port);
        }
        let org_id = host
            .split('.')
            .next()
            .and_then(|label| label.strip_prefix(['o', 'O']))
            .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .map(str::to_owned);
        let path = url.path().trim_end_matches('/');
        let (prefix, project_id) = path.rsplit_once('/').unwrap_or(("", path));
        if project_id.is_empty() {
            return Err(InvalidDsn::ProjectId);
        }
        if matches!(project_id, "envelope" | "store" | "minidump") && prefix.contains("/api/") {
            return Err(InvalidDsn::Endpoint);
        }
        let project_id = project_id.to_owned();
        let path = format!("{prefix}/api/{project_id}/envelope/").parse().map_err(|_| InvalidDsn::NotAUrl)?;
        let envelope_url = address::at_path(&url, path).ok_or(InvalidDsn::NotAUrl)?;
        Ok(Self { envelope_url, public_key, project_id, org_id })
    }
}

impl fmt::Display for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, server) = (self.envelope_url.scheme_str(), self.envelope_url.authority().map(Authority::as_str));
        write!(f, "{}://***@{}/{}", scheme.unwrap_or_default(), server.unwrap_or_default(), self.project_id)
    }
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dsn({self})")
    }
}

/// The reason why a text is not a DSN.
///
/// The error never contains the text, because that contains a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvalidDsn {
    /// It is the URL of an endpoint, not a DSN.
    Endpoint,
    /// There is no host.
    Host,
    /// The text is not a URL.
    NotAUrl,
    /// The port is not a number up to 65535.
    Port,
    /// There is no project id at the end of the path.
    ProjectId,
    /// There is no public key before the `@`.
    PublicKey,
    /// The scheme is neither `http` nor `https`.
    Scheme,
}

impl fmt::Display for InvalidDsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Endpoint => {
                "expected https://<public key>@<host>/<project id>, found the address of an endpoint: leave out `api/` and what follows the project id"
            }
            Self::Host => "expected a host after the public key",
            Self::NotAUrl => "expected a URL such as https://<public key>@<host>/<project id>",
            Self::Port => "expected a port that is a number up to 65535",
            Self::ProjectId => "expected a project id at the end of the path",
            Self::PublicKey => "expected a public key before the host, as in https://<public key>@<host>/<project id>",
            Self::Scheme => "expected the scheme http or https",
        })
    }
}

impl std::error::Error for InvalidDsn {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_with_a_number_names_an_organisation() {
        for (host, org_id) in [
            ("o123.ingest.sentry.io", Some("123")),
            ("O7.ingest.us.sentry.io", Some("7")),
            ("ops.example", None),
            ("o.example", None),
            ("o12a.example", None),
            ("sentry.o12.example", None),
            ("o12", Some("12")),
        ] {
            let dsn: Dsn = format!("https://0123456789abcdef0123456789abcdef@{host}/42").parse().unwrap();
            assert_eq!(dsn.org_id(), org_id, "{host}");
        }
    }

    #[test]
    fn a_port_that_cannot_be_read_is_never_another_port() {
        let read = |host: &str| format!("https://0123456789abcdef0123456789abcdef@{host}/42").parse::<Dsn>();

        for host in ["sentry.example:99999", "sentry.example:http", "sentry.example:-1", "[::1]:65536", "sentry.example:4 43"] {
            assert!(matches!(read(host), Err(InvalidDsn::Port | InvalidDsn::NotAUrl)), "{host}");
        }
        for host in ["sentry.example:443", "sentry.example", "[::1]:9000", "[::1]"] {
            assert!(read(host).is_ok(), "{host}");
        }
        assert_eq!(read("sentry.example:99999"), Err(InvalidDsn::Port));
    }

    #[test]
    fn a_pasted_endpoint_is_explained() {
        let read = |path: &str| format!("https://0123456789abcdef0123456789abcdef@sentry.example{path}").parse::<Dsn>();

        for path in ["/api/42/envelope/", "/sub/api/42/envelope", "/api/42/store/", "/api/42/minidump/"] {
            assert_eq!(read(path), Err(InvalidDsn::Endpoint), "{path}");
        }
        assert!(read("/sub/envelope").is_ok(), "a project may have this name");
    }

    #[test]
    fn a_line_end_of_a_file_is_not_part_of_it() {
        let read = |text: &str| text.parse::<Dsn>();

        let plain = read("https://0123456789abcdef0123456789abcdef@sentry.example/42");

        assert!(plain.is_ok());
        assert_eq!(read(" \thttps://0123456789abcdef0123456789abcdef@sentry.example/42\r\n"), plain);
    }

    #[cfg(feature = "browser")]
    #[test]
    fn the_text_for_a_page_has_no_secret_and_reads_as_the_same_dsn() {
        for (given, expected) in [
            ("https://key:secret@Sentry.Example:443/sub/path/42/", "https://key@sentry.example/sub/path/42"),
            ("http://key@[::1]:9000/42", "http://key@[::1]:9000/42"),
            ("https://key@h/api/7/envelope/42", "https://key@h/api/7/envelope/42"),
        ] {
            let dsn: Dsn = given.parse().unwrap();

            assert_eq!(dsn.to_public_text(), expected);
            assert_eq!(expected.parse(), Ok(dsn));
        }
    }

    #[test]
    fn dsns_are_read_as_specified() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../tests/fixtures/vectors/dsn.json")).unwrap();
        for case in vectors["cases"].as_array().unwrap() {
            let text = case["dsn"].as_str().unwrap();
            if case["noop"] == true {
                continue;
            }
            let parsed = text.parse::<Dsn>();
            assert_eq!(parsed.is_ok(), case["ok"] == true, "{case}");
            if let Ok(dsn) = parsed {
                assert_eq!(dsn.envelope_url().to_string(), case["envelope_url"].as_str().unwrap());
                assert_eq!(
                    (dsn.public_key(), dsn.project_id.as_str()),
                    (case["public_key"].as_str().unwrap(), case["project_id"].as_str().unwrap())
                );
                assert_eq!(dsn.org_id(), case["org_id"].as_str());
                assert!(!format!("{dsn:?} {dsn}").contains(dsn.public_key()), "the key shows");
            }
        }
    }
}
