//! Tests that need a process of their own: the environment, the panic hook, a global subscriber, counted threads and sockets.

use std::process::Command;

const MARK: &str = "TOWER_SENTRY_TEST_CHILD";

/// Runs the calling test again in a process of its own with these variables, and checks that it passes there.
/// True in the parent, which has nothing more to do; false in the child.
pub fn in_child(name: &str, variables: &[(&str, &str)]) -> bool {
    said_in_child(name, variables).is_some()
}

/// The same; in the parent, what the child wrote to standard output and error.
pub fn said_in_child(name: &str, variables: &[(&str, &str)]) -> Option<String> {
    if is_child() {
        return None;
    }
    let output = again(name, variables).output().unwrap();
    let text = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "the child failed:\n{text}");
    Some(text)
}

/// Whether this is a child.
pub fn is_child() -> bool {
    std::env::var_os(MARK).is_some()
}

/// The command that runs the calling test again in a process of its own.
pub fn again(name: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars()
        .filter(|(name, _)| name.starts_with("SENTRY_") || name.starts_with("OTEL_") || name == "ENVIRONMENT" || name == "GIT_COMMIT")
    {
        command.env_remove(name);
    }
    command.args(["--exact", name, "--nocapture"]).env(MARK, "1").envs(variables.iter().copied());
    command
}
