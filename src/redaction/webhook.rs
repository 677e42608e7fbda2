//! URLs that are credentials themselves.

use super::Redactor;
use super::secret::{Replacement, Secret};

/// Hosts and path prefixes of webhooks; what follows is secret, because the URL is enough to post.
const WEBHOOKS: [(&str, &str); 6] = [
    ("api.telegram.org", "/bot"),
    ("discord.com", "/api/webhooks/"),
    ("discordapp.com", "/api/webhooks/"),
    ("hooks.slack.com", "/services/"),
    ("hooks.slack.com", "/workflows/"),
    ("webhook.office.com", "/webhookb2/"),
];

/// Finds the secret part of a webhook URL that begins at `start`.
pub(super) fn webhook(redactor: &Redactor, text: &str, start: usize) -> Option<Secret> {
    let rest = text.get(start..)?;
    let slash = rest.find('/')?;
    let host = rest.get(..slash)?;
    let host = host.split_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase();
    let is_host = |known: &str| host.strip_suffix(known).is_some_and(|above| above.is_empty() || above.ends_with('.'));
    let (known, path) =
        WEBHOOKS.iter().find(|(known, path)| is_host(known) && rest.get(slash..).is_some_and(|rest| rest.starts_with(path)))?;
    let begin = slash + path.len();
    let secret = rest.get(begin..)?;
    let ends = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '?' | '#' | '<' | '>' | ')' | ',' | ';' | '\\');
    // Telegram's method follows the token and is not secret.
    let ends_at_slash = known.starts_with("api.");
    let end = secret.find(|letter| ends(letter) || (ends_at_slash && letter == '/')).unwrap_or(secret.len());
    let is_done = secret.get(..end) == Some(redactor.placeholder());
    (end > 0 && !is_done).then(|| Secret { range: start + begin..start + begin + end, replacement: Replacement::Value })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::patterns::scrub;
    use super::*;

    fn clean(text: &str) -> String {
        scrub(&Redactor::new(Arc::default(), false), text).into_owned()
    }

    #[test]
    fn webhook_urls_lose_their_secret_part() {
        let rows = [
            ("POST https://hooks.slack.com/services/T000/B000/XXXX", "POST https://hooks.slack.com/services/[Filtered]"),
            ("https://api.telegram.org/bot1234:AAHdq-x_y/sendMessage", "https://api.telegram.org/bot[Filtered]/sendMessage"),
            ("(https://discord.com/api/webhooks/12/abc?wait=1)", "(https://discord.com/api/webhooks/[Filtered]?wait=1)"),
            ("https://acme.webhook.office.com/webhookb2/a@b/c", "https://acme.webhook.office.com/webhookb2/[Filtered]"),
            ("https://hooks.slack.com:443/services/T000/B000", "https://hooks.slack.com:443/services/[Filtered]"),
            ("https://hooks.slack.com/workflows/T000/A0/1/x", "https://hooks.slack.com/workflows/[Filtered]"),
            ("https://discordapp.com/api/webhooks/12/abc", "https://discordapp.com/api/webhooks/[Filtered]"),
            ("https://nothooks.slack.com/services/T000", "https://nothooks.slack.com/services/T000"),
            ("https://discord.com/channels/1/2", "https://discord.com/channels/1/2"),
        ];

        for (given, expected) in rows {
            assert_eq!(clean(given), expected);
            assert_eq!(clean(expected), expected, "once is enough");
        }
    }
}
