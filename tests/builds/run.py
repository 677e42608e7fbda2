"""Builds a service in four ways and in four places, and checks the frames and fingerprints of its failures.

    tests/builds/run.py             all of it
    tests/builds/run.py vendored    one place

Frames depend on the build and on where the sources lie. These tests are run by `cargo test` in one build only.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "builds"
# What fails, and what is in the line of its place; none if the place is in a crate of others.
FAILURES = {
    "panic-a": 'panic!("shelf {id} is empty")',
    "panic-b": '.expect("a shelf")',
    "panic-closure": 'panic!("in a closure")',
    "captured-a": "tower_sentry::capture_error(",
    "captured-b": "tower_sentry::capture_error(",
    "returned-a": "CaptureError::new(",
    "returned-b": "CaptureError::new(",
    "anyhow-a": None,
    "cart": "assert!(id > 1_000",
    "library": None,
}
# Where the sources of other crates lie in some of the places; else where cargo keeps them.
SOURCES = {"vendored": "vendor", "usr-local": "usr/local/cargo/registry/src/index.crates.io-1949cf8c6b5b557f"}
# What removes information from the finished program.
RELEASES = {"line tables": None, "release": "--strip-debug", "stripped": "--strip-all"}


def fail(text):
    sys.exit(f"tests/builds: {text}")


def run(*command, cwd=None, env=None):
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    if done.returncode:
        fail(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def workspace(place):
    """Lays the sources out, and returns the folder of the workspace and the variables of its builds."""
    base = WORK / place
    shutil.rmtree(base, ignore_errors=True)
    shop = base / "crates" / "shop" if place == "member" else base
    cart = base / "crates" / "cart"
    for source in (HERE / "app").rglob("*.rs"):
        name = source.relative_to(HERE / "app")
        write(base / name if "cart" in name.parts else shop / name, source.read_text())
    manifest = (HERE / "app" / "Cargo.toml").read_text()
    manifest = manifest.replace("CART", os.path.relpath(cart, shop)).replace("TOWER_SENTRY", str(ROOT))
    profile = manifest[manifest.index("[profile") :]
    write(cart / "Cargo.toml", (HERE / "app" / "crates" / "cart" / "Cargo.toml").read_text())
    if place == "member":
        write(shop / "Cargo.toml", manifest.replace(profile, ""))
        write(base / "Cargo.toml", '[workspace]\nresolver = "3"\nmembers = ["crates/*"]\n' + profile)
    else:
        write(base / "Cargo.toml", manifest + '\n[workspace]\nresolver = "3"\nmembers = ["crates/*"]\n')
    shutil.copy(ROOT / "Cargo.lock", base / "Cargo.lock")
    env = {"CARGO_TARGET_DIR": str(WORK / "target"), "CARGO_INCREMENTAL": "0"}
    if place in SOURCES:
        patch(base, base / SOURCES[place], env)
    return base, env


def patch(base, sources, env):
    """Moves the sources of some crates, which is what `cargo vendor` and another CARGO_HOME do to all of them.

    All of them would be compiled again. These call the application, or fail in it.
    """
    metadata = json.loads(run("cargo", "metadata", "--format-version", "1", cwd=base, env=env))
    manifest = (base / "Cargo.toml").read_text() + "\n[patch.crates-io]\n"
    for package in metadata["packages"]:
        if package["name"] in ("axum", "smallvec") and package["source"]:
            folder = pathlib.Path(package["manifest_path"]).parent
            copy = sources / (folder.name if "registry" in sources.parts else package["name"])
            shutil.copytree(folder, copy, dirs_exist_ok=True)
            manifest += f'{package["name"]} = {{ path = "{copy}" }}\n'
    (base / "Cargo.toml").write_text(manifest)


def builds(place):
    """Yields the name of each build, its program and the folder of the sources."""
    base, env = workspace(place)
    programs = WORK / "target"
    # Where the sources of others lie is the same question in both profiles.
    if place not in SOURCES:
        run("cargo", "build", "--quiet", "--package", "shop", cwd=base, env=env)
        yield "debug", programs / "debug" / "shop", base
    run("cargo", "build", "--quiet", "--release", "--package", "shop", cwd=base, env=env)
    for build, strip in RELEASES.items():
        program = WORK / f"shop-{build.replace(' ', '-')}"
        shutil.copy(programs / "release" / "shop", program)
        if strip:
            run("strip", strip, program)
        yield build, program, base


def lines(base, part):
    """Finds the lines of the sources that hold a text."""
    found = set()
    for source in base.rglob("*.rs"):
        if "vendor" in source.parts or "usr" in source.relative_to(base).parts:
            continue
        for number, line in enumerate(source.read_text().splitlines(), 1):
            if part in line:
                found.add((str(source.relative_to(base)), number))
    return found


def is_own(frame, base):
    """Judges a frame by what only this test knows: the folder and the names of the application's crates."""
    path = frame.get("abs_path")
    if path:
        path = pathlib.Path(path)
        path = path if path.is_absolute() else base / path
        outside = [base / "vendor", base / "usr"]
        return path.suffix == ".rs" and path.is_relative_to(base) and not any(map(path.is_relative_to, outside))
    function = frame.get("function")
    return bool(function) and bool(re.match(r"<?(shop|cart)::", function))


def name_of(path, base):
    """The name of a file of the application: its path in the workspace, whatever the build."""
    # The standard library names files relative to the current folder, which is `/` here.
    path = pathlib.Path(path.removeprefix(".") if path.startswith(f".{base}") else path)
    return str(path.relative_to(base) if path.is_absolute() else path)


def check(place, build, program, base, table):
    paths = [f"/{name}/{number}" for name in FAILURES for number in (1, 2)]
    said = run(program, *paths, cwd="/", env={"RUST_BACKTRACE": "1"})
    events = {}
    for line in said.splitlines():
        event = json.loads(line)
        name = event["transaction"].split("/")[1]
        events.setdefault(name, []).append(event)
    where = f"{place}, {build}"
    for name, part in FAILURES.items():
        of_name = events.get(name, [])
        if len(of_name) != 2:
            fail(f"{where}: {len(of_name)} events of {name}")
        for event in of_name:
            frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
            innermost = frames[-1]
            for frame in frames:
                if not (frame.get("function") or frame.get("lineno") or frame.get("instruction_addr")):
                    fail(f"{where}: a frame of {name} says nothing: {frame}")
                if frame.get("in_app", False) != is_own(frame, base):
                    fail(f"{where}: in_app of {name} is wrong: {frame}")
                if is_own(frame, base) and frame.get("abs_path") and frame["filename"] != name_of(frame["abs_path"], base):
                    fail(f"{where}: a file of {name} is not named by its path in the workspace: {frame}")
            if part:
                place_of = pathlib.Path(innermost.get("abs_path", ""))
                relative = place_of.relative_to(base) if place_of.is_absolute() else place_of
                if (str(relative), innermost.get("lineno")) not in lines(base, part):
                    fail(f"{where}: the innermost frame of {name} is not its place: {innermost}")
            elif name == "library" and "smallvec" not in innermost.get("abs_path", ""):
                fail(f"{where}: the innermost frame of {name} is not its place: {innermost}")
    prints = {name: {json.dumps(event["fingerprint"]) for event in of_name} for name, of_name in events.items()}
    for name, of_name in prints.items():
        if len(of_name) != 1:
            fail(f"{where}: one failure, {name}, is two issues: {of_name}")
    issues = {}
    for name, (fingerprint,) in ((name, tuple(of_name)) for name, of_name in prints.items()):
        if fingerprint in issues:
            fail(f"{where}: {name} and {issues[fingerprint]} are one issue: {fingerprint}")
        issues[fingerprint] = name
    every = [frame for of_name in events.values() for event in of_name for frame in event["exception"]["values"][-1]["stacktrace"]["frames"]]
    size = sum(len(json.dumps(event)) for of_name in events.values() for event in of_name) // (2 * len(FAILURES))
    untrimmed = run(program, *paths, cwd="/", env={"RUST_BACKTRACE": "1", "UNTRIMMED": "1"}).splitlines()
    own = sum(frame.get("in_app", False) for frame in every) / len(every)
    table.append((place, build, len(issues), len(every) / (2 * len(FAILURES)), own, size, sum(map(len, untrimmed)) // len(untrimmed)))
    return prints


def main():
    places = sys.argv[1:] or ["root", "member", "vendored", "usr-local"]
    table, prints = [], {}
    for place in places:
        for build, program, base in builds(place):
            prints[place, build] = check(place, build, program, base, table)
    print(f"{'sources':<12}{'build':<14}{'issues':>7}{'frames each':>13}{'own':>6}{'bytes each':>12}{'untrimmed':>11}")
    for place, build, issues, frames, own, size, untrimmed in table:
        print(f"{place:<12}{build:<14}{issues:>7}{frames:>13.1f}{own:>6.0%}{size:>12}{untrimmed:>11}")
    for name in FAILURES:
        kinds = {frozenset(of[name]) for of in prints.values()}
        if len(kinds) > 1:
            print(f"{name} has {len(kinds)} fingerprints in these builds:", *sorted(next(iter(kind)) for kind in kinds), sep="\n  ")


if __name__ == "__main__":
    main()
