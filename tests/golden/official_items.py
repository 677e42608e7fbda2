#!/usr/bin/env python3
"""Lists the public items of the official SDK's crates, one a line: what `src/guide/migrating.md` must name.

    python3 tests/golden/official_items.py 0.49.5 > tests/golden/official_items.txt

Needs the network and a nightly format of rustdoc, so a person runs it when a new version of the SDK is out. CI reads
the list (`it promises::the_guide_to_moving_names_each_item_of_the_official_sdk`).
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

CRATES = ["sentry", "sentry-core", "sentry-tower", "sentry-tracing", "sentry-panic", "sentry-anyhow"]
FEATURES = "anyhow,backtrace,contexts,debug-images,logs,metrics,panic,release-health,reqwest,tower,tower-axum-matched-path,tracing"


def documents(version):
    """rustdoc's description of each crate."""
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ, RUSTC_BOOTSTRAP="1", CARGO_TARGET_DIR=f"{folder}/target")

        def cargo(*arguments):
            subprocess.run(["cargo", *arguments], cwd=folder, env=env, check=True)

        cargo("init", "--quiet", "--lib", "--name", "items", ".")
        cargo("add", "--quiet", f"sentry@={version}", "--no-default-features", "--features", FEATURES)
        cargo("add", "--quiet", *(f"{name}@={version}" for name in CRATES[1:]))
        for name in CRATES:
            cargo("rustdoc", "--quiet", "-p", f"{name}@{version}", "--", "-Z", "unstable-options", "--output-format", "json")
            yield json.loads(pathlib.Path(folder, "target/doc", name.replace("-", "_") + ".json").read_text())


def items(document):
    """The paths of the public items, as `Type::method` or `function`."""
    index = document["index"]

    def is_public(item):
        return item is not None and item["visibility"] in ("public", "default") and "hidden" not in str(item["attrs"])

    def children(ids):
        return [child for child in (index.get(str(i)) for i in ids) if is_public(child)]

    def visit(i):
        item = index.get(str(i))
        if not is_public(item):
            return
        (kind, inner), name = next(iter(item["inner"].items())), item["name"]
        if kind == "module":
            for child in inner["items"]:
                yield from visit(child)
        elif kind == "use":
            target = index.get(str(inner["id"]))
            if target and "module" in target["inner"]:
                for child in target["inner"]["module"]["items"]:
                    yield from visit(child)
            elif target:
                yield from visit(inner["id"])
        elif kind in ("struct", "enum"):
            yield name
            plain = inner["kind"].get("plain") if kind == "struct" and isinstance(inner["kind"], dict) else None
            members = children(plain["fields"]) if plain else children(inner.get("variants", []))
            methods = []
            for block in inner["impls"]:
                block = index.get(str(block))
                if block and block["inner"]["impl"]["trait"] is None:
                    methods += children(block["inner"]["impl"]["items"])
            # What the macro `bitflags` adds is the same for every set of flags.
            if any(method["name"] == "from_bits_retain" for method in methods):
                methods = []
            yield from (f"{name}::{member['name']}" for member in members + methods)
        elif kind == "trait":
            yield name
            yield from (f"{name}::{child['name']}" for child in children(inner["items"]))
        elif kind in ("function", "macro", "constant", "type_alias"):
            yield name

    yield from visit(document["root"])


for path in sorted({path for document in documents(sys.argv[1]) for path in items(document)}):
    print(path)
