#!/usr/bin/env python3
"""Plants a fault of order in a copy of the files, one at a time. Each model must find its own, or it proves nothing."""
import os, pathlib, shutil, subprocess, sys, tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
QUEUE, CALLS, INDEX = "src/exporter/queue.rs", "src/exporter/calls.rs", "src/subscriber/index.rs"

# The fault, the file, what it replaces by what, and the model that must fail.
FAULTS = [
    ("the worker says that it sleeps after it has looked", QUEUE, [
        ("        let state = self.lock();\n        let is_empty = state.is_empty();\n", "        let is_empty = self.lock().is_empty();\n"),
    ], "no item is overslept"),
    ("a wake-up takes back a sleep that began after it", QUEUE, [
        ("        self.sleep.store(Sleep::Awake as u8, Ordering::Relaxed);\n        self.notify.notify_one();\n",
         "        self.notify.notify_one();\n        self.sleep.store(Sleep::Awake as u8, Ordering::Relaxed);\n"),
    ], "no item is overslept"),
    ("a flush wakes only a worker that sleeps already", QUEUE, [
        ("        self.sleep.store(Sleep::Awake as u8, Ordering::Relaxed);\n        self.notify.notify_one();\n",
         "        if self.sleep.swap(Sleep::Awake as u8, Ordering::Relaxed) != Sleep::Awake as u8 {\n            self.notify.notify_one();\n        }\n"),
    ], "no flush is overslept"),
    ("the bytes are read before the lock is taken", QUEUE, [
        ("        let mut state = self.lock();\n        let mut overflow", "        let known = self.lock().bytes;\n        let mut state = self.lock();\n        let mut overflow"),
        ("state.bytes + on_the_way + size > self.bytes_limit", "known + on_the_way + size > self.bytes_limit"),
    ], "bytes are bounded and given back"),
    ("a push looks whether the queue is closed before it takes the lock", QUEUE, [
        ("        let mut state = self.lock();\n        let mut overflow", "        let closed = self.lock().closed;\n        let mut state = self.lock();\n        let mut overflow"),
        ("if state.closed {", "if closed {"),
    ], "nothing comes after the close"),
    ("a call looks for the end before it is handed over", CALLS, [
        ("        self.new.lock().push(flush);\n", "        let has_ended = self.has_ended();\n        self.new.lock().push(flush);\n"),
        ("self.has_ended().then(", "has_ended.then("),
    ], "each call is answered"),
    ("the end is said after the calls are answered", CALLS, [
        ("        self.has_ended.store(true, Ordering::SeqCst);\n        clean_up();\n", "        clean_up();\n"),
        ("try_send(lost);\n        }\n", "try_send(lost);\n        }\n        self.has_ended.store(true, Ordering::SeqCst);\n"),
    ], "each call is answered"),
    ("the end is said before its losses", CALLS, [
        ("        self.lose(lost);\n        if has_failed", "        self.has_ended.store(true, Ordering::SeqCst);\n        self.lose(lost);\n        if has_failed"),
    ], "each call is answered"),
    ("what comes is taken before the end is said", CALLS, [
        ("        self.has_ended.store(true, Ordering::SeqCst);\n        clean_up();\n", "        clean_up();\n        self.has_ended.store(true, Ordering::SeqCst);\n"),
    ], "what comes beside the end is taken"),
    ("a place is free before its scope is gone", INDEX, [
        ("            let scope = place.scope().and_then(|mut scope| scope.take());\n            place.id.store(0, Ordering::Release);\n",
         "            place.id.store(0, Ordering::Release);\n            let scope = place.scope().and_then(|mut scope| scope.take());\n"),
    ], "spans that meet stay apart"),
    ("two spans take one place", INDEX, [
        ("place.id.compare_exchange(0, id, Ordering::Acquire, Ordering::Relaxed).is_ok()",
         "{ let is_free = place.id.load(Ordering::Acquire) == 0; if is_free { place.id.store(id, Ordering::Release); } is_free }"),
    ], "spans that meet stay apart"),
    ("a place is free before its scope is gone, while another span is open", INDEX, [
        ("            let scope = place.scope().and_then(|mut scope| scope.take());\n            place.id.store(0, Ordering::Release);\n",
         "            place.id.store(0, Ordering::Release);\n            let scope = place.scope().and_then(|mut scope| scope.take());\n"),
    ], "an open span is found everywhere"),
]


def main():
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for path in ("src/exporter", "src/subscriber", "tests/loom"):
            # With new times: cargo builds what is newer than its last build.
            shutil.copytree(ROOT / path, copy / path, copy_function=shutil.copy)
        environment = os.environ | {"RUSTFLAGS": "--cfg loom", "LOOM_MAX_PREEMPTIONS": "3", "RUST_BACKTRACE": "0"}
        for name, file, changes, model in FAULTS:
            text = (ROOT / file).read_text()
            for old, new in changes:
                if text.count(old) != 1:
                    sys.exit(f"{name}: the pattern does not match {file} exactly once")
                text = text.replace(old, new)
            (copy / file).write_text(text)
            os.utime(copy / "tests/loom/src/main.rs")
            command = ["cargo", "run", "--quiet", "--target-dir", str(ROOT / "target/loom"), "--", model]
            done = subprocess.run(command, cwd=copy / "tests/loom", env=environment, capture_output=True, text=True, timeout=300)
            (copy / file).write_text((ROOT / file).read_text())
            if done.returncode == 0:
                sys.exit(f"{name}: not found by the model `{model}`")
            if "error: could not compile" in done.stderr:
                sys.exit(f"{name}: does not compile\n{done.stderr}")
            print(f"{name}: found")


main()
