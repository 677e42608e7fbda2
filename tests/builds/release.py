"""Makes a release with `examples/release.sh`, and checks that the uploaded files explain the events of the stripped program.

`sentry-cli` uploads to a server on loopback; `symbolic`, with which Sentry's own server reads such files, resolves the
addresses. Installs both into `target/builds` on the first run.
"""

import json
import os
import pathlib
import subprocess
import sys
import zipfile

from run import FAILURES, ROOT, WORK, fail, lines, run, workspace
from uploads import TOKEN, Uploads

SENTRY_CLI = "@sentry/cli@3.8.0"
SYMBOLIC = ["symbolic==13.9.0", "cffi==2.1.1", "milksnake==0.1.6", "pycparser==3.12"]
RELEASE = "shop@1.2.3"


def tools():
    """Returns the path of `sentry-cli`, after changing to a Python that has `symbolic`."""
    python = WORK / "symbolic" / "bin" / "python"
    if not python.exists():
        run(sys.executable, "-m", "venv", WORK / "symbolic")
        run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", *SYMBOLIC)
    if pathlib.Path(sys.prefix) != WORK / "symbolic":
        os.execv(python, [python, __file__])
    cli = WORK / "cli" / "node_modules" / ".bin" / "sentry-cli"
    if not cli.exists():
        (WORK / "cli").mkdir(parents=True, exist_ok=True)
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", WORK / "cli", SENTRY_CLI)
    return cli


def release(base, env, cli, uploads):
    """Follows the recipe, and returns the program that is deployed."""
    told = {
        **env, "SENTRY_CLI": str(cli), "SENTRY_URL": uploads.url, "SENTRY_AUTH_TOKEN": TOKEN, "SENTRY_ORG": "shop", "SENTRY_PROJECT": "backend",
        "SENTRY_RELEASE": RELEASE,
    }
    recipe = [ROOT / "examples" / "release.sh", "shop", "--quiet", "--package", "shop"]
    run(*recipe, cwd=base, env=told)
    made = uploads.releases.get(RELEASE, {})
    if not made.get("dateReleased"):
        fail(f"the release is not finished: {uploads.releases}")
    told.pop("SENTRY_AUTH_TOKEN")
    before = len(uploads.asked)
    if "nothing was sent" not in run(*recipe, cwd=base, env=told) or len(uploads.asked) > before:
        fail("without a token something is sent")
    return WORK / "target" / "release-files" / "shop" / "bin" / "shop"


def main():
    cli = tools()
    import symbolic

    base, env = workspace("root")
    uploads = Uploads(WORK / "uploads")
    program = release(base, env, cli, uploads)
    sections = run("readelf", "--sections", "--wide", program)
    if ".debug_line" in sections or ".symtab" in sections:
        fail("the program is not stripped")

    caches, sources = {}, {}
    for file in uploads.files:
        path = WORK / "uploads" / file
        for found in symbolic.Archive.open(str(path)).iter_objects():
            if "sources" in found.features:
                sources[found.debug_id] = path
            else:
                caches[found.debug_id] = found.make_symcache()

    said = run(program, *(f"/{name}/1" for name in FAILURES), cwd="/", env={"RUST_BACKTRACE": "1"})
    named = unnamed = placed = exact = 0
    for line in said.splitlines():
        event = json.loads(line)
        name = event["transaction"].split("/")[1]
        trace = event["exception"]["values"][-1]["stacktrace"]
        if not any("instruction_addr" in frame for frame in trace["frames"]):
            # An error that was returned: its place is in the program's own text.
            known = {(frame.get("filename"), frame.get("lineno")) for frame in trace["frames"]}
            if not known & lines(base, FAILURES[name]):
                fail(f"{name}: it has neither addresses nor a place: {trace}")
            placed += 1
            continue
        image = next(image for image in event["debug_meta"]["images"] if image["code_file"] == str(program))
        start, end = (int(image["image_addr"], 16) + size for size in (0, image["image_size"]))
        if trace["instruction_addr_adjustment"] != "none":
            fail(f"{name}: a server would look at the instruction before the call")
        places = []
        for frame in trace["frames"]:
            address = int(frame.get("instruction_addr", "0"), 16)
            if not start <= address < end:
                continue
            found = caches[image["debug_id"]].lookup(address - start)
            named, unnamed = named + bool(found), unnamed + (not found)
            places += [(os.path.relpath(os.path.join(base, place.full_path or ""), base), place.line, place.symbol) for place in found]
        # The optimiser leaves some calls without a line; their function is known then.
        function = {"panic-closure": "closure", "library": "library"}.get(name, name.replace("-", "_"))
        part = FAILURES[name] or {"anyhow-a": "Ok(read?)", "library": "remove(id)"}[name]
        is_exact = bool({(file, number) for file, number, _ in places} & lines(base, part))
        exact += is_exact
        if not is_exact and not any(function in symbol for _, _, symbol in places):
            fail(f"{name}: neither its line nor its function is among what the uploaded file says: {places}")
        bundle = zipfile.ZipFile(sources[image["debug_id"]])
        main_file = [entry for entry in bundle.namelist() if entry.endswith("/src/main.rs") and str(base).strip("/") in entry]
        if not main_file or bundle.read(main_file[0]) != (base / "src" / "main.rs").read_bytes():
            fail(f"the program's source is not in the bundle: {bundle.namelist()[:20]}")
    size = lambda path: f"{path.stat().st_size / 1e6:.1f} MB"
    if placed > len(FAILURES) / 2:
        fail(f"{placed} of {len(FAILURES)} failures have no address")
    if exact < (len(FAILURES) - placed) / 2:
        fail(f"only {exact} of {len(FAILURES) - placed} failures are resolved to their line")
    if unnamed > named / 100:
        fail(f"{unnamed} of {named + unnamed} addresses have no name")
    kept = WORK / "target" / "release-files" / "shop" / "debug" / "shop.debug"
    print(f"release: a stripped program of {size(program)}; {named} of {named + unnamed} addresses have a function by {size(kept)} of debug information; {exact} of {len(FAILURES) - placed} failures are resolved to their own line")


if __name__ == "__main__":
    main()
