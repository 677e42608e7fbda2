//! The contexts that describe the process and its machine: `os`, `device`, `runtime` and `app`.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::time::readable;
use super::trusted::{Constant, ProgramText};
use crate::fork::Lazy;
use crate::record::clock;

static SYSTEM: Lazy<System> = Lazy::new(System::ask);
/// The wall clock at the start of the first client, in nanoseconds since the epoch.
static STARTED_AT: Lazy<u64> = Lazy::new(clock::wall);

/// Notes the time as the start of the program, unless an earlier one is known.
pub(crate) fn note_start() {
    let _first_one_stays = *STARTED_AT;
}

/// Facts about the operating system that the standard library does not have.
struct System {
    /// `6.1.0-13-amd64`
    kernel: Option<String>,
    /// `ID` of `/etc/os-release`, such as `debian`.
    distribution: Option<String>,
    /// `VERSION_ID` of the same file, such as `12`.
    distribution_version: Option<String>,
}

impl System {
    fn ask() -> Self {
        // The manual of `os-release` lists both places.
        let file = ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| std::fs::read_to_string(path).ok());
        let [distribution, distribution_version] = ["ID", "VERSION_ID"].map(|name| entry(file.as_deref(), name));
        #[cfg(unix)]
        let kernel = Some(rustix::system::uname().release().to_string_lossy().into_owned());
        #[cfg(not(unix))]
        let kernel = None;
        Self { kernel, distribution, distribution_version }
    }
}

/// The name that Sentry uses.
const OS: &str = match std::env::consts::OS.as_bytes() {
    b"linux" => "Linux",
    b"macos" => "macOS",
    b"windows" => "Windows",
    _ => std::env::consts::OS,
};

/// The value of a name in an `os-release` file.
fn entry(file: Option<&str>, name: &str) -> Option<String> {
    let value = file?.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
    let value = value.trim_matches(|quote| matches!(quote, '"' | '\''));
    (!value.is_empty()).then(|| value.to_owned())
}

/// The context `os`.
pub(super) struct Os;

impl Serialize for Os {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let System { kernel, distribution, distribution_version } = &*SYSTEM;
        map.serialize_entry(&Constant("name"), &Constant(OS))?;
        let rest = [("kernel_version", kernel), ("distribution_name", distribution), ("distribution_version", distribution_version)];
        for (name, value) in rest {
            if let Some(value) = value {
                map.serialize_entry(&Constant(name), &ProgramText(value))?;
            }
        }
        map.end()
    }
}

/// The name and the version of the operating system, as a profile has them.
#[cfg(profiles)]
pub(super) struct OsVersion;

#[cfg(profiles)]
impl Serialize for OsVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(&Constant("name"), &Constant(OS))?;
        map.serialize_entry(&Constant("version"), &ProgramText(SYSTEM.kernel.as_deref().unwrap_or("unknown")))?;
        map.end()
    }
}

/// The context `device`.
pub(super) struct Device;

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(Constant("arch"), Constant(std::env::consts::ARCH))])
    }
}

/// The context `runtime`: the compiler.
pub(super) struct Runtime;

impl Runtime {
    pub(super) const VERSION: Option<&'static str> = option_env!("TOWER_SENTRY_RUSTC_VERSION");
}

impl Serialize for Runtime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let version = Self::VERSION.map(|version| (Constant("version"), Constant(version)));
        serializer.collect_map([(Constant("name"), Constant("rustc"))].into_iter().chain(version))
    }
}

/// The context `app`: when the program started and, on Linux, how many bytes of memory it uses.
pub(super) struct App;

impl Serialize for App {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(&Constant("app_start_time"), &readable(*STARTED_AT))?;
        if let Some(bytes) = resident() {
            map.serialize_entry(&Constant("app_memory"), &bytes)?;
        }
        map.end()
    }
}

/// The resident memory of the process in bytes.
#[cfg(target_os = "linux")]
fn resident() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn resident() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_an_os_release_file_are_read_with_and_without_quotes() {
        let file = Some("PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\n# ID=no\nID=debian\nID_LIKE='debian'\nEMPTY=\n");

        assert_eq!((entry(file, "ID"), entry(file, "VERSION_ID")), (Some("debian".to_owned()), Some("12".to_owned())));
        assert_eq!((entry(file, "ID_LIKE"), entry(file, "EMPTY"), entry(file, "NAME")), (Some("debian".to_owned()), None, None));
        assert_eq!(entry(None, "ID"), None);
    }
}
