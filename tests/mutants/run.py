"""All mutants in one build: each is a branch that a variable switches on. See run.sh for the options and README.md for the list's format."""

import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/mutants"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
COPY = TARGET / "mutants/tower-sentry"
KILLERS = HERE / "killers.tsv"
# A test that waits for what a mutant has lost gives up after this many seconds (120 in an ordinary run).
PATIENCE = "10"
# A test that a mutant makes hang is red after this many seconds.
HANG = 90
# These read the source, which is not what they know in the copy.
LEFT_OUT = ("architecture::", "promises::")
# More than processors: most of the time a test waits.
JOBS = (os.cpu_count() or 2) + 1

SWITCH = """
//! Made by tests/mutants/run.py: which mutant is on.

use std::io::Write as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ACTIVE: LazyLock<u32> = LazyLock::new(|| std::env::var("TOWER_SENTRY_MUTANT").ok().and_then(|id| id.parse().ok()).unwrap_or(0));
static REACH: LazyLock<Option<std::path::PathBuf>> = LazyLock::new(|| std::env::var_os("TOWER_SENTRY_REACH").map(Into::into));
static SEEN: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

#[inline(never)]
pub(crate) fn on(id: u32) -> bool {
    if let (Some(path), Some(seen)) = (&*REACH, SEEN.get(id as usize))
        && !seen.swap(true, Ordering::Relaxed)
        && let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = file.write_all(format!("{id}\\n").as_bytes());
    }
    *ACTIVE == id
}
"""


class Mutant:
    """One break: where, what, and what a user would see of it."""

    def __init__(self, number, entry):
        self.number = number
        self.name = entry["name"]
        self.room = self.name.split(".")[0]
        self.file = entry["file"]
        self.find = entry["find"]
        self.put = entry["put"]
        self.after = entry.get("after")
        self.why = entry["why"]
        self.equivalent = entry.get("equivalent")
        unknown = set(entry) - {"name", "file", "find", "put", "after", "why", "equivalent"}
        if unknown:
            sys.exit(f"{self.name}: unknown keys {sorted(unknown)}")

    def place(self, text):
        """Where the pattern stands in the file, or None."""
        begin = 0
        if self.after is not None:
            anchor = loose(self.after).search(text)
            if anchor is None:
                return None
            begin = anchor.end()
        found = list(loose(self.find).finditer(text, begin))
        if not found or (self.after is None and len(found) > 1):
            return None
        return found[0].span()

    def written(self, original):
        """The text that stands in the pattern's place."""
        switch = f"crate::mutant::on({self.number})"
        if "$on" in self.put:
            return self.put.replace("$on", switch)
        if self.find.rstrip().endswith(";"):
            return f"if {switch} {{ {self.put} }} else {{ {original} }}"
        return f"(if {switch} {{ {self.put} }} else {{ {original} }})"


def loose(pattern):
    """A pattern in which any white space stands for any other."""
    return re.compile(r"\s+".join(re.escape(word) for word in pattern.split()))


def read_list():
    mutants = []
    for entry in tomllib.loads((HERE / "list.toml").read_text())["mutant"]:
        mutants.append(Mutant(len(mutants) + 1, entry))
    twice = [name for name, count in collections.Counter(mutant.name for mutant in mutants).items() if count > 1]
    if twice:
        sys.exit(f"two mutants are called {', '.join(twice)}")
    return mutants


def switched(file, mutants):
    """The text of a file with all its switches. Patterns may be the same or stand inside each other, but not overlap."""
    text = (ROOT / file).read_text()
    tests = text.find("#[cfg(test)]\nmod tests")
    spans = collections.defaultdict(list)
    wrong = []
    for mutant in mutants:
        span = mutant.place(text)
        if span is None:
            wrong.append(f"{mutant.name}: the pattern does not match {file} exactly once")
        elif 0 <= tests < span[0]:
            wrong.append(f"{mutant.name}: the pattern matches a test of {file}")
        else:
            spans[span].append(mutant)

    def render(begin, end, inside):
        out, at = [], begin
        ordered = sorted(inside, key=lambda span: (span[0], -span[1]))
        while ordered:
            span = ordered.pop(0)
            nested = [other for other in ordered if other[1] <= span[1]]
            ordered = [other for other in ordered if other[1] > span[1]]
            if ordered and ordered[0][0] < span[1]:
                wrong.append(f"{spans[span][0].name} overlaps {spans[ordered[0]][0].name}")
                ordered.pop(0)
            original = render(span[0], span[1], nested)
            for mutant in spans[span]:
                original = mutant.written(original)
            out.append(text[at:span[0]])
            out.append(original)
            at = span[1]
        out.append(text[at:end])
        return "".join(out)

    return render(0, len(text), list(spans)), wrong


def write_copy(mutants):
    """The checkout beside itself with all switches; files that did not change keep their times, so that little is built anew."""
    by_file = collections.defaultdict(list)
    for mutant in mutants:
        by_file[mutant.file].append(mutant)
    wrong = []
    texts = {}
    for file, own in by_file.items():
        if not (ROOT / file).is_file():
            wrong.append(f"{own[0].name}: there is no {file}")
            continue
        texts[file], faults = switched(file, own)
        wrong += faults
    if wrong:
        sys.exit("\n".join(wrong))
    texts["src/lib.rs"] = texts.get("src/lib.rs", (ROOT / "src/lib.rs").read_text()) + "\nmod mutant;\n"
    texts["src/mutant.rs"] = "#![allow(warnings, clippy::all, reason = \"made by a script\")]" + SWITCH.replace("COUNT", str(len(mutants) + 1))
    manifest = (ROOT / "Cargo.toml").read_text()
    # Another version is another package for cargo: both can be built in the same folder.
    manifest, lock = (re.sub(r'(name = "tower-sentry"\nversion = ")([^"]+)', r"\1\2-mutants", text) for text in (manifest, (ROOT / "Cargo.lock").read_text()))
    texts["Cargo.lock"] = lock
    # What the switches leave unused or doubled is of no interest.
    texts["Cargo.toml"] = re.sub(r"\n\[lints\.rust\]\n(.*\n)*", "\n", manifest).replace('members = ["examples/apps/*"]\n', "")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", ".", ":!tests/mutants", ":!tests/real", ":!examples/apps"], cwd=ROOT, check=True, capture_output=True, text=True)
    kept = set(texts)
    for file in listed.stdout.splitlines():
        source = ROOT / file
        if source.is_file():
            kept.add(file)
            put(COPY / file, texts.get(file, None), source)
    put(COPY / "src/mutant.rs", texts["src/mutant.rs"], None)
    for path in list(COPY.rglob("*")):
        if path.is_file() and str(path.relative_to(COPY)) not in kept:
            path.unlink()


def put(path, text, source):
    new = text.encode() if text is not None else source.read_bytes()
    if path.is_file() and path.read_bytes() == new:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(new)


def build():
    """Builds the copy's tests; returns the binaries by their names."""
    # The same folder and profile as for the tests, so that the dependencies are built already.
    environment = dict(os.environ, CARGO_TARGET_DIR=str(TARGET))
    command = ["cargo", "test", "--quiet", "--all-features", "--lib", "--test", "it", "--no-run", "--message-format=json"]
    done = subprocess.run(command, cwd=COPY, env=environment, capture_output=True, text=True)
    binaries = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            binaries["it" if message["target"]["kind"] == ["test"] else "unit"] = message["executable"]
        if done.returncode and message.get("message", {}).get("level") == "error":
            print(message["message"]["rendered"])
    if done.returncode:
        print(done.stderr[-3000:])
        sys.exit("the mutants do not build")
    return binaries


def run(binary, tests, mutant=0, reach=None):
    """Runs some tests in a process of their own; true if all are green."""
    environment = {name: value for name, value in os.environ.items() if not re.match(r"SENTRY_|ENVIRONMENT$|GIT_COMMIT$", name)}
    environment |= {"TOWER_SENTRY_TEST_PATIENCE": PATIENCE, "RUST_BACKTRACE": "0", "TOWER_SENTRY_MUTANT": str(mutant)}
    if reach:
        environment["TOWER_SENTRY_REACH"] = str(reach)
    process = subprocess.Popen([binary, "--exact", "--test-threads=4", *tests], cwd=COPY, env=environment,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=HANG)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return False, tests[0]
    red = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. FAILED", output, re.M)
    if process.returncode == 0 and not re.search(rf"^test result: ok\. {len(tests)} passed", output, re.M):
        sys.exit(f"not all of {tests} were run:\n{output}")
    return process.returncode == 0, (red or tests)[0]


def named(binaries):
    """All tests, as (binary, name)."""
    found = []
    for kind, binary in binaries.items():
        output = subprocess.run([binary, "--list", "--format=terse"], cwd=COPY, check=True, capture_output=True, text=True).stdout
        names = re.findall(r"^(.+): test$", output, re.M)
        found += [(kind, name) for name in names if not name.startswith(LEFT_OUT)]
    return found


def reached(binaries, tests):
    """For each mutant the tests whose code passes it, the most telling first: found by running each test alone, and kept as long as the binaries are the same."""
    kept = TARGET / "mutants/reach.json"
    version = " ".join(hashlib.sha256(pathlib.Path(binary).read_bytes()).hexdigest() for binary in binaries.values())
    known = json.loads(kept.read_text()) if kept.exists() else {}
    if known.get("version") != version:
        known = {"version": version, "tests": []}
        red = []
        with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            def one(numbered):
                at, (kind, name) = numbered
                path = pathlib.Path(folder, str(at))
                begun = time.monotonic()
                is_green, _ = run(binaries[kind], [name], reach=path)
                numbers = path.read_text().split() if path.exists() else []
                return kind, name, sorted(set(map(int, numbers))), time.monotonic() - begun, is_green

            for kind, name, numbers, took, is_green in pool.map(one, enumerate(tests)):
                # Counting allocations and writing down what is reached do not go together.
                if not is_green and not name.startswith("hot_path::"):
                    red.append(name)
                known["tests"].append((kind, name, numbers, took))
        if red:
            sys.exit("red without any mutant: " + ", ".join(red))
        kept.write_text(json.dumps(known))
    by_mutant = collections.defaultdict(list)
    # What passes few others is about this one; what takes long comes last.
    for kind, name, numbers, took in sorted(known["tests"], key=lambda row: (row[3] > 4, len(row[2]))):
        for number in numbers:
            by_mutant[number].append((kind, name))
    return by_mutant


def hunt(binaries, mutant, tests):
    """The first test that is red, or None."""
    for at in range(0, len(tests), 8):
        for kind in binaries:
            names = [name for own, name in tests[at:at + 8] if own == kind]
            if names:
                is_green, red = run(binaries[kind], names, mutant.number)
                if not is_green:
                    return kind, red
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rooms", nargs="*")
    parser.add_argument("--changed")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", help="mutants by their names, with commas between them")
    options = parser.parse_args()
    begun = time.monotonic()
    mutants = read_list()
    write_copy(mutants)
    if options.check:
        print(f"{len(mutants)} patterns match")
        return
    wanted = [mutant for mutant in mutants if not options.rooms or mutant.room in options.rooms]
    if options.only:
        wanted = [mutant for mutant in mutants if mutant.name in options.only.split(",")]
    if options.changed:
        files = subprocess.run(["git", "diff", "--name-only", options.changed, "--", "src", "tests"], cwd=ROOT, check=True, capture_output=True, text=True)
        rooms = {re.sub(r"\.rs$", "", file.split("/")[1]) for file in files.stdout.splitlines() if file.startswith("src/")}
        # Tests that changed may have lost what they held: then everything counts.
        if not any(file.startswith("tests/it") for file in files.stdout.splitlines()):
            wanted = [mutant for mutant in wanted if mutant.file.split("/")[1].removesuffix(".rs") in rooms]
    if not wanted:
        print("0 mutants: nothing to do")
        return
    binaries = build()
    tests = named(binaries)
    known = dict(line.split("\t") for line in KILLERS.read_text().splitlines()) if KILLERS.exists() else {}
    built = time.monotonic()
    print(f"{len(mutants)} mutants in one build, {len(tests)} tests ({built - begun:.0f} s); {len(wanted)} to switch on", flush=True)

    killed = {}
    exists = set(tests)
    names = {mutant.name for mutant in mutants}
    gone = [f"killers.tsv: there is no mutant {name}" for name in known if name not in names]
    gone += [f"killers.tsv: {name} names a test that is gone: {test}" for name, test in known.items() if tuple(test.split(" ", 1)) not in exists]
    if gone and not options.record:
        sys.exit("\n".join(gone))

    def by_known(mutant):
        kind, _, name = known.get(mutant.name, "").partition(" ")
        if (kind, name) not in exists:
            return None
        is_green, _ = run(binaries[kind], [name], mutant.number)
        return None if is_green else (kind, name)

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for mutant, test in zip(wanted, pool.map(by_known, wanted)):
            if test:
                killed[mutant.name] = test
                print(f"killed    {mutant.name}: {' '.join(test)}", flush=True)
    left = [mutant for mutant in wanted if mutant.name not in killed]
    if not options.record:
        # Whether a test notices them after all is looked for when the killers are: it takes all tests.
        for mutant in [mutant for mutant in left if mutant.equivalent]:
            left.remove(mutant)
            print(f"equal     {mutant.name}: {mutant.equivalent}")
    if left and options.quick:
        for mutant in left:
            print(f"SURVIVED  {mutant.name}: {mutant.why} (by {known.get(mutant.name, 'no known test')})")
    elif left:
        print(f"{len(killed)} killed by the test of last time ({time.monotonic() - built:.0f} s); looking for tests of {len(left)}", flush=True)
        by_mutant = reached(binaries, tests)
        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            for mutant, test in zip(left, pool.map(lambda mutant: hunt(binaries, mutant, by_mutant[mutant.number]), left)):
                if test:
                    killed[mutant.name] = test
                    print(f"killed    {mutant.name}: {' '.join(test)}", flush=True)
                else:
                    print(f"{'equal    ' if mutant.equivalent else 'SURVIVED '} {mutant.name}: {mutant.equivalent or mutant.why} ({len(by_mutant[mutant.number])} tests pass it)", flush=True)
    if options.record:
        known |= {name: " ".join(test) for name, test in killed.items()}
        names = {mutant.name for mutant in mutants}
        KILLERS.write_text("".join(f"{name}\t{test}\n" for name, test in sorted(known.items()) if name in names))
    report(wanted, killed)
    print(f"in {time.monotonic() - begun:.0f} s")
    wrong = [mutant for mutant in wanted if (mutant.name in killed) == (mutant.equivalent is not None)]
    for mutant in wrong:
        if mutant.equivalent:
            print(f"not equivalent: {mutant.name} is killed by {killed[mutant.name][1]}")
    if wrong:
        sys.exit(1)


def report(wanted, killed):
    rooms = collections.defaultdict(lambda: [0, 0, 0])
    for mutant in wanted:
        column = 0 if mutant.name in killed else 2 if mutant.equivalent else 1
        rooms[mutant.room][column] += 1
    print(f"{'room':<14}{'killed':>8}{'survived':>10}{'equivalent':>12}")
    for room, counts in sorted(rooms.items()):
        print(f"{room:<14}{counts[0]:>8}{counts[1]:>10}{counts[2]:>12}")
    total = [sum(counts[column] for counts in rooms.values()) for column in range(3)]
    print(f"{'all':<14}{total[0]:>8}{total[1]:>10}{total[2]:>12}")


if __name__ == "__main__":
    main()
