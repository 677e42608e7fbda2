//! The name of an error's type: exact if the type is known, else taken from its `Debug` output.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io;
use std::sync::Arc;

use crate::protocol::Exception;
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

/// The names of the type inside which [`inside_io`] looks.
pub(super) const IO: [&str; 2] = ["io::Error", "std::io::error::Error"];

/// Returns the path of a type without the `Box`, `Arc` or reference around it. None if that is not known.
pub(super) fn without_pointers(path: &str) -> Option<&str> {
    let inside = |pointer: &str| path.strip_prefix(pointer)?.strip_suffix('>');
    match inside("alloc::boxed::Box<").or_else(|| inside("alloc::sync::Arc<")).or_else(|| path.strip_prefix('&')) {
        Some(inner) => without_pointers(inner),
        None => (!path.starts_with("dyn ")).then_some(path),
    }
}

/// Returns the type of the error inside an `io::Error`, whose own chain leaves it out.
///
/// None for an error of the system or a text.
pub(super) fn inside_io(error: &(dyn Error + 'static)) -> Option<String> {
    let inner: &(dyn Error + 'static) = as_io(error)?.get_ref()?;
    inside_io(inner).or_else(|| in_debug(inner))
}

fn as_io<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    let boxed = || error.downcast_ref::<Box<io::Error>>().map(Box::as_ref);
    let shared = || error.downcast_ref::<Arc<io::Error>>().map(Arc::as_ref);
    error.downcast_ref().or_else(boxed).or_else(shared)
}

/// Adds the names of variants and types that an error wraps directly, as a derived `Debug` shows them:
/// those of `Db(PoolError(Timeout))`. An error that is transparent for its cause is not in the chain.
///
/// `shown` is the exception of the error.
pub(super) fn add_wrapped(names: &mut Vec<String>, error: &(dyn Error + 'static), shown: &Exception) {
    let inner = match as_io(error).map(io::Error::get_ref) {
        Some(Some(inner)) => inner,
        Some(None) => return,
        None => error,
    };
    let mut debug = Wrapped::default();
    if unwind::catch(|| write!(debug, "{inner:?}")).is_some_and(|written| written.is_ok()) && debug.name.starts_with(char::is_uppercase) {
        debug.names.push(debug.name);
    }
    debug.names.retain(|name| shown.kind.as_ref() != Some(name));
    if let (Some(variant), Some(kind), Some(module)) = (debug.names.first(), &shown.kind, &shown.module) {
        let of_enum = format!("{kind}::{variant}");
        debug.names.extend([format!("{module}::{of_enum}"), of_enum]);
    }
    names.append(&mut debug.names);
}

/// Returns the identifier at the start of the error's `Debug` output. The writer stops right after it.
pub(super) fn of_debug(error: &(dyn Error + 'static)) -> String {
    in_debug(error).unwrap_or_else(|| UNKNOWN.to_owned())
}

fn in_debug(error: &(dyn Error + 'static)) -> Option<String> {
    // `io::Error` is the most common cause, and its `Debug` output begins with a private variant.
    if as_io(error).is_some() {
        return Some("io::Error".to_owned());
    }
    let mut name = Identifier(String::new());
    // The writer returns an error where the identifier ends.
    let _ = unwind::catch(|| write!(name, "{error:?}"));
    // Types begin with a capital. Errors wrapped by `anyhow` print their message here.
    Some(name.0).filter(|name| name.starts_with(char::is_uppercase) || name.contains("::"))
}

/// Returns the variant of an enum, as a derived `Debug` prints it. `name` is the name of the type.
///
/// The output of a `Debug` that the user wrote is not a variant: `no user jane`.
pub(super) fn variant(error: &(dyn Error + 'static), name: &str) -> Option<String> {
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

/// Collects the identifiers before each `(`. It stops at the first ` {`, `)` or `,`, after it has collected
/// the identifier before that. An identifier at the end of the text stays in `name`.
#[derive(Default)]
struct Wrapped {
    names: Vec<String>,
    name: String,
    /// Whether the last name was followed by a space.
    is_before_brace: bool,
}

impl fmt::Write for Wrapped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        /// Further levels are not read.
        const DEEPEST: usize = 4;
        for letter in text.chars() {
            let is_word = letter.is_alphanumeric() || letter == '_';
            if is_word && !self.is_before_brace && self.name.len() < 120 {
                self.name.push(letter);
                continue;
            }
            let is_name = self.name.starts_with(char::is_uppercase);
            let is_end = if self.is_before_brace { letter == '{' } else { matches!(letter, '(' | ')' | ',') };
            if is_name && letter == ' ' && !self.is_before_brace {
                self.is_before_brace = true;
                continue;
            }
            if is_name && is_end {
                self.names.push(std::mem::take(&mut self.name));
            }
            if !is_name || letter != '(' || self.is_before_brace || self.names.len() >= DEEPEST {
                self.name.clear();
                return Err(fmt::Error);
            }
        }
        Ok(())
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
        assert_eq!(of_debug(&io::Error::other("disk")), "io::Error");
        assert_eq!(of_debug(&*Box::<dyn Error + Send + Sync>::from(anyhow::anyhow!("row 500 is corrupt"))), "Error");
        assert_eq!(of_debug(&*Box::<dyn Error>::from("text")), "Error");
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
        impl<T: fmt::Debug> Error for Any<T> {}
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
        impl<T: fmt::Debug> Error for Bare<T> {}

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

    impl Error for ByPath {}
}
