//! A disk that hangs: whoever opens certain files waits in the system's call.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Takes a lease of each file: the system holds up all that open it, until this program ends or 45 seconds have passed.
/// It says so once it has them. A file that is open elsewhere is tried again.
const HOLDER: &str = r#"
import fcntl, os, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
for path in sys.argv[1:]:
    while True:
        file = os.open(path, os.O_RDWR)
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            break
        except BlockingIOError:
            os.close(file)
            time.sleep(0.001)
print("held", flush=True)
sys.stdin.read()
"#;

/// Files that hang until this is dropped.
pub struct Hang {
    holder: Child,
    _until_closed: ChildStdin,
}

impl Hang {
    /// Returns once the files hang.
    pub fn of(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", HOLDER]).stdin(Stdio::piped()).stdout(Stdio::piped());
        paths.into_iter().for_each(|path| _ = command.arg(path.as_ref()));
        let mut holder = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "held\n");
        Self { _until_closed: holder.stdin.take().unwrap(), holder }
    }

    /// Whether something waits for one of the files now.
    pub fn is_felt(&self) -> bool {
        let (locks, holder) = (std::fs::read_to_string("/proc/locks").unwrap(), self.holder.id().to_string());
        locks.lines().any(|line| line.contains("LEASE") && line.contains("BREAKING") && line.split_whitespace().any(|word| word == holder))
    }
}

impl Drop for Hang {
    fn drop(&mut self) {
        self.holder.kill().unwrap();
        self.holder.wait().unwrap();
    }
}
