#!/usr/bin/env python3
"""Each contender around the same service, in interleaved rounds: the CPU time of the process for each request, by thread, as a
ratio to the bare service in the same round. Prints the table of the guide's page `cost`.
  measure.py [--rounds 7] [--seconds 3]
"""
import argparse, os, pathlib, re, socket, statistics, subprocess, time, urllib.request

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[1] / "target/real")) / "release"
CONTENDERS = {
    "bare": ("bare", 0), "tower-sentry, rate 1.0": ("ours", 1), "the same, `http_compression(false)`": ("ours-uncompressed", 1), "official SDK 0.49.5, rate 1.0": ("official", 1),
    "OpenTelemetry 0.33, batched OTLP, rate 1.0": ("opentelemetry", 1), "tower-sentry, rate 0.1": ("ours", 0.1),
    "official SDK, rate 0.1": ("official", 0.1), "OpenTelemetry, rate 0.1": ("opentelemetry", 0.1),
}
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def start(*arguments):
    process = subprocess.Popen([BIN / arguments[0], *map(str, arguments[1:])], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline().strip() == "ready", arguments
    return process


def cpu(process):
    """Nanoseconds so far: of the threads of requests, of SQLite, and of all others."""
    spent = {"request": 0, "sqlite": 0, "other": 0}
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        try:
            name, ran = (task / "comm").read_text().strip(), int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue  # It has just ended.
        spent["sqlite" if name.startswith("sqlx") else "request" if name in ("request", "service") else "other"] += ran
    return spent


def voluntary_switches(process):
    texts = [(task / "status").read_text() for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir()]
    return sum(int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", text)[1]) for text in texts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    sink_port = free_port()
    sink = start("sink", sink_port)
    services = {}
    try:
        for project, (name, (contender, rate)) in enumerate(CONTENDERS.items(), 1):
            port = free_port()
            services[name] = (start("service", port, contender, rate, sink_port, project), port, project)
        table(services, sink_port, options)
    finally:
        for process in [sink, *(service for service, _, _ in services.values())]:
            process.terminate()


def table(services, sink_port, options):
    def load(port, rate, seconds):
        done = subprocess.run([BIN / "load", str(port), str(rate), str(seconds)], capture_output=True, text=True, check=True)
        return [float(word) for word in done.stdout.split()]

    def arrived(project):
        return [int(word) for word in LOCAL.open(f"http://127.0.0.1:{sink_port}/{project}").read().split()]

    for _, port, _ in services.values():
        load(port, 500, 1)
    most, seconds, _, _ = load(services["bare"][1], 0, 3)
    rate = 0.3 * most / seconds
    print(f"{rate:.0f} requests a second, 30 % of what the bare service does here\n")
    rounds = {name: [] for name in services}
    names = list(services)
    for number in range(options.rounds):
        for name in names[number % len(names):] + names[:number % len(names)]:
            process, port, project = services[name]
            before, posts_before = cpu(process), arrived(project)
            done, _, _, p99 = load(port, rate, options.seconds)
            time.sleep(0.5)  # The exporter's own work for them.
            after, posts = cpu(process), arrived(project)
            row = {part: (after[part] - before[part]) / done / 1000 for part in after}
            rounds[name].append(row | {"all": sum(row.values()), "p99": p99, "posts": (posts[0] - posts_before[0]) / done, "bytes": (posts[1] - posts_before[1]) / done})
    median = lambda name, value: statistics.median(value(row, bare) for row, bare in zip(rounds[name], rounds["bare"]))
    print("| | of the bare service | request threads | its own threads | p99 | posts for each request | bytes |\n|---|---:|---:|---:|---:|---:|---:|")
    for name in names:
        ratio = median(name, lambda row, bare: row["all"] / bare["all"])
        request = median(name, lambda row, bare: (row["request"] - bare["request"]) / bare["all"])
        other = median(name, lambda row, bare: (row["other"] - bare["other"]) / bare["all"])
        late = median(name, lambda row, bare: row["p99"] / bare["p99"])
        posts, size = (median(name, lambda row, _: row[part]) for part in ("posts", "bytes"))
        print(f"| {name} | x{ratio:.2f} | {request:+.2f} | {other:+.2f} | x{late:.2f} | {posts:.3f} | {size:.0f} |")
    # Ten requests a second, one contender after the other: what it costs to be there.
    print("\n| 10 requests a second | CPU, of the bare service | wake-ups a second |\n|---|---:|---:|")
    quiet = {}
    for name, (process, port, _) in services.items():
        before, switches = sum(cpu(process).values()), voluntary_switches(process)
        load(port, 10, 10)
        quiet[name] = (sum(cpu(process).values()) - before, (voluntary_switches(process) - switches) / 10)
    for name, (spent, switches) in quiet.items():
        print(f"| {name} | x{spent / quiet['bare'][0]:.2f} | {switches:.0f} |")


main()
