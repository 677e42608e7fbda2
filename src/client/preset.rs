//! Settings that belong together, for the environments of a service.

use std::fmt;

use crate::transport::ConsoleForm;

/// Settings for an environment, below everything that is set explicitly.
///
/// A setting has the first of these values: that of the builder, that of the environment, a default of the
/// application ([`default_traces_sample_rate`](crate::ConfigBuilder::default_traces_sample_rate)), that of the preset, the default.
///
/// | | environment | traces sample rate | console |
/// |---|---|---|---|
/// | [`Production`](Self::Production) | `production` | 0.1 | off |
/// | [`Staging`](Self::Staging) | `staging` | 1.0 | off |
/// | [`Development`](Self::Development) | `development` | 1.0 | on |
///
/// # Examples
///
/// ```
/// use tower_sentry::{Config, Preset};
///
/// let config = Config::builder().preset(Preset::Staging).traces_sample_rate(0.5).build()?;
///
/// assert!(config.to_string().contains("environment              staging                          preset"));
/// assert!(config.to_string().contains("traces_sample_rate       0.5                              builder"));
/// # Ok::<(), tower_sentry::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// A developer's machine: everything is shown on the [console](crate::ConfigBuilder::console), and
    /// nothing is sent, unless a DSN is set.
    Development,
    /// One transaction in ten.
    Production,
    /// Every transaction.
    Staging,
}

impl Preset {
    pub(super) const fn environment(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
            Self::Staging => "staging",
        }
    }

    pub(super) const fn traces_sample_rate(self) -> f64 {
        match self {
            Self::Production => 0.1,
            Self::Development | Self::Staging => 1.0,
        }
    }

    pub(super) fn console(self) -> Option<ConsoleForm> {
        (self == Self::Development).then_some(ConsoleForm::Whole)
    }
}

/// The name of its environment.
impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.environment())
    }
}
