//! The name of an error's type: exact if the type is known, else taken from its `Debug` output.

use std::fmt::{self, Write as _};

use crate::unwind;

/// The name of a type that is not known.
pub(super) const UNKNOWN: &str = "Error";

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
    if name.0.starts_with(char::is_uppercase) || name.0.contains("::") { name.0 } else { UNKNOWN.to_owned() }
}

/// Returns the variant of an enum, as a derived `Debug` prints it. `name` is the name of the type.
///
/// A text that an own `Debug` prints is not one: `no user jane`.
pub(crate) fn variant(error: &(dyn std::error::Error + 'static), name: &str) -> Option<String> {
    let mut debug = Derived { name: Identifier(String::new()), is_derived: true };
    let _ = unwind::catch(|| write!(debug, "{error:?}"));
    let Derived { name: Identifier(variant), is_derived } = debug;
    let is_type = name.split('<').next().is_some_and(|name| name == variant || name.ends_with(&format!("::{variant}")));
    (is_derived && !is_type && variant.starts_with(char::is_uppercase)).then_some(variant)
}

/// Reads the identifier before `(`, ` {` or the end.
struct Derived {
    name: Identifier,
    is_derived: bool,
}

impl fmt::Write for Derived {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.name.write_str(text).is_ok() {
            return Ok(());
        }
        let rest = text.trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '_');
        self.is_derived = rest.starts_with('(') || rest.starts_with(" {");
        Err(fmt::Error)
    }
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

    #[test]
    fn the_variant_is_read_from_a_derived_debug_only() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "only `Debug` reads the fields")]
        enum Shown {
            Plain,
            Tuple(u8),
            Fields { id: u8 },
        }
        struct Text(&'static str);
        impl fmt::Debug for Text {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }
        #[derive(Debug)]
        struct Any<T>(T);
        impl<T: fmt::Debug> fmt::Display for Any<T> {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Ok(())
            }
        }
        impl<T: fmt::Debug> std::error::Error for Any<T> {}
        struct Bare<T>(T);
        impl<T: fmt::Debug> fmt::Debug for Bare<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl<T> fmt::Display for Bare<T> {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Ok(())
            }
        }
        impl<T: fmt::Debug> std::error::Error for Bare<T> {}

        assert_eq!(variant(&Bare(Shown::Plain), "Shown").as_deref(), Some("Plain"));
        assert_eq!(variant(&Bare(Shown::Tuple(7)), "Shown").as_deref(), Some("Tuple"));
        assert_eq!(variant(&Bare(Shown::Fields { id: 7 }), "Shown").as_deref(), Some("Fields"));
        assert_eq!(variant(&Any(7), "Any<u8>"), None, "a struct has the name of its type");
        assert_eq!(variant(&Bare(Text("Jane is unknown")), "Bare"), None);
        assert_eq!(variant(&Bare(Text("Jane-7")), "Bare"), None);
        assert_eq!(variant(&Bare(Text("no user jane")), "Bare"), None);
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
