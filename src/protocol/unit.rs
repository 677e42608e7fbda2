//! Units of metrics.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};

macro_rules! units {
    ($($(#[$doc:meta])* $unit:ident: $name:literal $(| $symbol:literal)*,)*) => {
        /// The unit of a metric.
        ///
        /// Servers know the units that are listed here. A text that is the name or the symbol of such a unit, such as
        /// `ms`, becomes that unit. Any other text is [`Other`](Self::Other), which servers may ignore.
        ///
        /// # Examples
        ///
        /// ```
        /// use tower_sentry::protocol::Unit;
        ///
        /// assert_eq!(Unit::from("ms"), Unit::Millisecond);
        /// assert_eq!(Unit::from("pallets"), Unit::Other("pallets".into()));
        /// assert_eq!(Unit::Byte.as_str(), "byte");
        /// ```
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "lowercase")]
        #[non_exhaustive]
        pub enum Unit {
            $($(#[$doc])* $unit,)*
            /// Your own unit.
            #[serde(untagged)]
            Other(Cow<'static, str>),
        }

        impl Unit {
            /// The name that is sent.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$unit => $name,)*
                    Self::Other(name) => name,
                }
            }
        }

        impl From<Cow<'static, str>> for Unit {
            fn from(name: Cow<'static, str>) -> Self {
                match &*name {
                    $($name $(| $symbol)* => Self::$unit,)*
                    _ => Self::Other(name),
                }
            }
        }
    };
}

units! {
    /// A billionth of a second.
    Nanosecond: "nanosecond" | "ns",
    /// A millionth of a second.
    Microsecond: "microsecond" | "us" | "µs" | "μs",
    /// A thousandth of a second.
    Millisecond: "millisecond" | "ms",
    /// A second.
    Second: "second" | "s",
    /// 60 seconds.
    Minute: "minute" | "min",
    /// 60 minutes.
    Hour: "hour" | "h",
    /// 24 hours.
    Day: "day" | "d",
    /// Seven days.
    Week: "week",
    /// A bit.
    Bit: "bit",
    /// Eight bits.
    Byte: "byte" | "B",
    /// 1,000 bytes.
    Kilobyte: "kilobyte" | "kB",
    /// 1,024 bytes.
    Kibibyte: "kibibyte" | "KiB",
    /// 1,000² bytes.
    Megabyte: "megabyte" | "MB",
    /// 1,024² bytes.
    Mebibyte: "mebibyte" | "MiB",
    /// 1,000³ bytes.
    Gigabyte: "gigabyte" | "GB",
    /// 1,024³ bytes.
    Gibibyte: "gibibyte" | "GiB",
    /// 1,000⁴ bytes.
    Terabyte: "terabyte" | "TB",
    /// 1,024⁴ bytes.
    Tebibyte: "tebibyte" | "TiB",
    /// 1,000⁵ bytes.
    Petabyte: "petabyte" | "PB",
    /// 1,024⁵ bytes.
    Pebibyte: "pebibyte" | "PiB",
    /// 1,000⁶ bytes.
    Exabyte: "exabyte" | "EB",
    /// 1,024⁶ bytes.
    Exbibyte: "exbibyte" | "EiB",
    /// A part of a whole: 1.0 is all of it.
    Ratio: "ratio",
    /// A hundredth of a whole.
    Percent: "percent" | "%",
}

impl From<&'static str> for Unit {
    fn from(name: &'static str) -> Self {
        Self::from(Cow::Borrowed(name))
    }
}

impl From<String> for Unit {
    fn from(name: String) -> Self {
        Self::from(Cow::<str>::Owned(name))
    }
}

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_read_back_as_what_was_written() {
        for unit in [Unit::Millisecond, Unit::Exbibyte, Unit::Percent, Unit::Other("pallets".into())] {
            let json = serde_json::to_string(&unit).expect("a text");

            assert_eq!(json, format!("\"{}\"", unit.as_str()));
            assert_eq!(serde_json::from_str::<Unit>(&json).ok(), Some(unit));
        }
    }
}
