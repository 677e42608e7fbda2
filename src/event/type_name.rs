//! The name of an error's type: exact if the type is known, else taken from its `Debug` output.

use std::fmt::{self, Write as _};

use crate::unwind;

/// Splits `shop::cart::Error<alloc::string::String>` into its module and its name.
pub(super) fn split(path: &str) -> (Option<&str>, String) {
    // Colons inside type parameters belong to the name.
    let head = path.find('<').unwrap_or(path.len());
    let (module, head) = match path.get(..head).unwrap_or(path).rsplit_once("::") {
        Some((module, head)) => (Some(module), head),
        None => (None, path.get(..head).unwrap_or(path)),
    };
    let parameters = path.find('<').and_then(|start| path.get(start..)).unwrap_or_default();
    // `Error` alone says too little, so it gets a qualifier: `io::Error`, `serde_json::Error`.
    let qualifier = module.filter(|_| head == "Error").and_then(|module| module.rsplit("::").find(|part| *part != "error"));
    match qualifier {
        Some(qualifier) => (module, format!("{qualifier}::{head}{parameters}")),
        None => (module, format!("{head}{parameters}")),
    }
}

/// Returns the leading identifier of the error's `Debug` output; the writer stops right after it.
pub(super) fn of_debug(error: &(dyn std::error::Error + 'static)) -> String {
    // `io::Error` is the most common cause, and its `Debug` output begins with a private variant.
    if error.is::<std::io::Error>() {
        return "io::Error".to_owned();
    }
    let mut name = Identifier(String::new());
    // The writer returns an error where the identifier ends.
    let _ = unwind::catch(|| write!(name, "{error:?}"));
    // Types begin with a capital. Errors wrapped by `anyhow` print their message here.
    if name.0.starts_with(char::is_uppercase) || name.0.contains("::") { name.0 } else { "Error".to_owned() }
}

struct Identifier(String);

impl fmt::Write for Identifier {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            // Some libraries print a path: `reqwest::Error { .. }`.
            if !(letter.is_alphanumeric() || letter == '_' || letter == ':') || self.0.len() > 120 {
                return Err(fmt::Error);
            }
            self.0.push(letter);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split_at_the_last_module() {
        assert_eq!(split("shop::cart::CartError"), (Some("shop::cart"), "CartError".to_owned()));
        assert_eq!(split("serde_json::error::Error"), (Some("serde_json::error"), "serde_json::Error".to_owned()));
        assert_eq!(split("CartError"), (None, "CartError".to_owned()));
        assert_eq!(split("shop::Wrapped<alloc::string::String>"), (Some("shop"), "Wrapped<alloc::string::String>".to_owned()));
    }

    #[test]
    fn debug_gives_the_leading_identifier() {
        let parse: std::num::ParseIntError = match "x".parse::<i32>() {
            Ok(_) => return,
            Err(error) => error,
        };

        assert_eq!(of_debug(&parse), "ParseIntError");
        assert_eq!(of_debug(&std::io::Error::other("disk")), "io::Error");
        assert_eq!(of_debug(&*Box::<dyn std::error::Error + Send + Sync>::from(anyhow::anyhow!("row 500 is corrupt"))), "Error");
        assert_eq!(of_debug(&*Box::<dyn std::error::Error>::from("text")), "Error");
        assert_eq!(of_debug(&ByPath), "reqwest::Error");
    }

    /// Prints itself as `reqwest` prints its errors.
    struct ByPath;

    impl fmt::Debug for ByPath {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("reqwest::Error").field("kind", &"Connect").finish()
        }
    }

    impl fmt::Display for ByPath {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot connect")
        }
    }

    impl std::error::Error for ByPath {}
}
