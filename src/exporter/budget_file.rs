//! The file that keeps the counts of budgets over a restart.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::security_file::make_folder;
use crate::diagnostics;
use crate::sampling::PeriodCount;

/// Its first bytes.
const MARK: &[u8] = br#"{"tower_sentry_budgets":"#;
const VERSION: u32 = 1;
/// A file of ours is smaller.
const SIZE_LIMIT: u64 = 64 * 1024;

/// What is in the file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptCounts {
    tower_sentry_budgets: u32,
    pub(super) errors: Vec<PeriodCount>,
    pub(super) transactions: Vec<PeriodCount>,
}

impl KeptCounts {
    pub(super) fn new(errors: Vec<PeriodCount>, transactions: Vec<PeriodCount>) -> Self {
        Self { tower_sentry_budgets: VERSION, errors, transactions }
    }
}

/// The file.
pub(super) struct BudgetFile {
    path: PathBuf,
    /// It is not ours, and must stay as it is.
    is_foreign: bool,
    trouble: diagnostics::Quiet,
}

impl BudgetFile {
    /// Reads what an earlier process has kept. A file that cannot be used is ignored, with a warning.
    pub(super) fn open(path: PathBuf) -> (Self, KeptCounts) {
        let (kept, is_foreign) = match read(&path) {
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(KeptCounts { tower_sentry_budgets: VERSION, errors, transactions }) => (KeptCounts::new(errors, transactions), false),
                _ if text.starts_with(MARK) || MARK.starts_with(&text) => {
                    diagnostics::warn(&format!("the budget file {} is damaged: the counts begin at zero", path.display()));
                    (KeptCounts::default(), false)
                }
                _ => {
                    let path = path.display();
                    diagnostics::warn(&format!("{path} is not a budget file: it is left alone, and the counts of budgets are not kept"));
                    (KeptCounts::default(), true)
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => (KeptCounts::default(), false),
            Err(error) => {
                let path = path.display();
                diagnostics::warn(&format!("the budget file {path} cannot be read ({error}): the counts of budgets are not kept"));
                (KeptCounts::default(), true)
            }
        };
        (Self { path, is_foreign, trouble: diagnostics::Quiet::new() }, kept)
    }

    /// Replaces the contents of the file.
    pub(super) fn write(&mut self, counts: &KeptCounts) {
        if self.is_foreign {
            return;
        }
        let written = serde_json::to_vec(counts).map_err(io::Error::other).and_then(|text| replace(&self.path, &text));
        if let Err(error) = written {
            let path = self.path.display();
            self.trouble.warn(&format!("the budget file {path} cannot be written ({error}): a restart begins with older counts"));
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would block.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = Vec::new();
    File::open(path)?.take(SIZE_LIMIT).read_to_end(&mut text)?;
    Ok(text)
}

/// Writes a new file beside the old one, and gives it its name: a process that dies leaves one of the two.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let written = write_new(&new, text).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

fn write_new(new: &Path, text: &[u8]) -> io::Result<()> {
    // A dead process may have left it. It is not opened as it is: it may be a link.
    match std::fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = match options.open(new) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(new)?;
            options.open(new)?
        }
        other => other?,
    };
    file.write_all(text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

    use super::*;
    use crate::sampling::BudgetPeriod;

    struct Count(Arc<AtomicUsize>);

    impl<S: tracing::Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counts() -> KeptCounts {
        let count = |period, used| PeriodCount { period, start: 1_767_225_600, used };
        KeptCounts::new(vec![count(BudgetPeriod::Day, 7), count(BudgetPeriod::Month, 900)], vec![count(BudgetPeriod::Month, 3)])
    }

    /// What is read from a file, and how many warnings there are.
    fn opened(path: &Path) -> (BudgetFile, KeptCounts, usize) {
        let warnings = Arc::new(AtomicUsize::new(0));
        let subscriber = tracing_subscriber::registry().with(Count(Arc::clone(&warnings)));
        let (file, kept) = tracing::subscriber::with_default(subscriber, || BudgetFile::open(path.to_owned()));
        (file, kept, warnings.load(Ordering::Relaxed))
    }

    #[test]
    fn what_is_written_is_read_by_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made").join("budgets.json");

        let (mut file, kept, warnings) = opened(&path);
        file.write(&counts());

        assert_eq!((kept, warnings), (KeptCounts::default(), 0));
        assert_eq!((opened(&path).1, opened(&path).2), (counts(), 0));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.as_bytes().starts_with(MARK), "{text}");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no second file is left");
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_torn_file_is_ignored_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("budgets.json");
        let whole = serde_json::to_vec(&counts()).unwrap();

        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let (mut file, kept, warnings) = opened(&path);
            assert_eq!((kept, warnings), (KeptCounts::default(), 1), "{length}");
            file.write(&counts());
            assert_eq!(opened(&path).1, counts());
        }
        std::fs::write(&path, br#"{"tower_sentry_budgets":2,"errors":[],"transactions":[]}"#).unwrap();
        assert_eq!(opened(&path).2, 1, "of a later version");
    }

    #[test]
    fn a_file_that_is_not_ours_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.json");
        for text in [r#"{"orders":[]}"#, "none", "\u{fffd}"] {
            std::fs::write(&path, text).unwrap();

            let (mut file, kept, warnings) = opened(&path);
            file.write(&counts());

            assert_eq!((kept, warnings), (KeptCounts::default(), 1));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let (mut file, kept, warnings) = opened(folder.path());
        file.write(&counts());
        assert_eq!((kept, warnings), (KeptCounts::default(), 1), "a folder");
    }

    #[test]
    fn a_file_that_could_not_be_written_is_written_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("budgets.json");
        let (mut file, ..) = opened(&path);
        // A folder of this name cannot be removed as a file.
        std::fs::create_dir(folder.path().join("budgets.json.new")).unwrap();

        file.write(&counts());

        assert!(!path.exists());
        std::fs::remove_dir(folder.path().join("budgets.json.new")).unwrap();
        file.write(&counts());
        assert_eq!(opened(&path).1, counts());
    }
}
