#!/usr/bin/env python3
"""Loopback load: servers with 2 tokio workers, wrk with 1 thread, interleaved rounds. Bounded: rounds x seconds x servers."""
import argparse, os, random, re, socket, statistics as st, subprocess, time, urllib.request
HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "..", "target", "rivals")))
BIN = os.path.join(TARGET, "release")
p = argparse.ArgumentParser()
p.add_argument("--rounds", type=int, default=7); p.add_argument("--secs", type=int, default=2); p.add_argument("--conns", type=int, default=16); p.add_argument("--only", help="a regular expression; the bare server is always there")
a = p.parse_args()
S = [("bare", "c-bare", ""), ("registry + noop layer", "c-registry", "v=noop"), ("sentry 0.49.5, rate 0.0", "c-sentry", "rate=0.0"),
     ("sentry 0.49.5, rate 1.0 (thread)", "c-sentry", "rate=1.0,transport=thread"), ("opentelemetry 0.33, rate 1.0", "c-otel", "rate=1.0"),
     ("fastrace 0.7", "c-fastrace", ""), ("tower-sentry, recorded", "c-tower-sentry", "rate=1.0"),
     ("tower-sentry, not recorded", "c-tower-sentry", "rate=0.0,keep=0"), ("tower-sentry, not recorded, exclusive", "c-tower-sentry", "rate=0.0,keep=0,body=1,exclusive=1"),
     # Over HTTP, with gzip, to a sink on the same two cores.
     ("sentry 0.49.5, rate 1.0, over HTTP", "c-sentry", "rate=1.0,transport=real,port=SINK"), ("tower-sentry, recorded, over HTTP", "c-tower-sentry", "rate=1.0,sink=http,port=SINK")]
S = [s for s in S if s[0] == "bare" or not a.only or re.search(a.only, s[0])]
H = ["-H", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "-H", "Accept: application/json", "-H", "Accept-Language: en-GB,en;q=0.9", "-H", "Authorization: Bearer abc",
     "-H", "Cookie: sid=8f14e45fceea167a5a36dedd4bea2543", "-H", "Referer: https://shop.example.com/users/42", "-H", "X-Request-Id: 6f1c2b1e-8a0f-4b9e-9d43-0a4b9ef0c1d2", "-H", "X-Forwarded-For: 203.0.113.7", "-H", "Accept-Encoding: gzip"]
procs = []; sinks = {}
def free(): s = socket.socket(); s.bind(("127.0.0.1", 0)); port = s.getsockname()[1]; s.close(); return port
try:
    for n, b, c in S:
        port = free()
        if "SINK" in c:
            sink = free(); c = c.replace("SINK", str(sink))
            k = subprocess.Popen([f"{BIN}/c-bare", "--mode", "sink", "--port", str(sink)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            k.stdout.readline(); sinks[n] = (sink, k)
        q = subprocess.Popen([f"{BIN}/{b}", "--mode", "serve", "--port", str(port)] + (["--cfg", c] if c else []), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        q.stdout.readline(); procs.append((n, port, q))
    res = {n: [] for n, _, _ in procs}
    def ms(x): v, u = re.match(r"([\d.]+)(us|ms|s)", x).groups(); return float(v) * {"us": 1e-3, "ms": 1, "s": 1e3}[u]
    def one(port, secs):
        t = subprocess.run(["wrk", "-t1", f"-c{a.conns}", f"-d{secs}s", "--latency", *H, f"http://127.0.0.1:{port}/users/42/orders/9001?expand=items"], capture_output=True, text=True).stdout
        assert "Non-2xx" not in t, t
        return float(re.search(r"Requests/sec:\s+([\d.]+)", t)[1]), ms(re.search(r"^\s+50%\s+(\S+)", t, re.M)[1]), ms(re.search(r"^\s+99%\s+(\S+)", t, re.M)[1])
    def cpu(pid): f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split(); return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")
    for n, port, q in procs: one(port, 1)
    def sent(q):  # by the client's own accounts: transactions that were captured, and those that were sealed and handed on
        q.stdin.write("\n"); q.stdin.flush()
        m = re.search(r"transactions: Counts { captured: (\d+), sent: (\d+)", q.stdout.readline())
        return [int(x) for x in m.groups()] if m else None
    accounts = {}
    for r in range(a.rounds):
        o = procs[:]; random.shuffle(o)
        for n, port, q in o:
            c0 = cpu(q.pid); s0 = sent(q); x = one(port, a.secs); res[n].append(x + ((cpu(q.pid) - c0) / (x[0] * a.secs) * 1e6,))
            if s0: accounts.setdefault(n, []).append([y - z for y, z in zip(sent(q), s0)])
    def taken(n): return [int(x) for x in urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{sinks[n][0]}/").read().split()]
    over = []
    for n, port, q in procs:
        if n in sinks:
            while True:  # until what is in the queue has gone out
                k0 = taken(n); time.sleep(1)
                if taken(n) == k0: break
            x = one(port, 5); during = taken(n)[0] - k0[0]; k1 = None
            while k1 != taken(n): k1 = taken(n); time.sleep(1)
            over.append(f"{n}: {x[0]:.0f} requests/s, {during / 5:.0f} envelopes/s while they came, {(k1[0] - k0[0]) / (x[0] * 5):.3f} of the requests arrived, the rest shed; p99 {x[2]:.2f} ms, {(k1[1] - k0[1]) / max(1, k1[0] - k0[0]):.0f} bytes an envelope")
    for n, rows in accounts.items():
        captured = sum(row[0] for row in rows)
        if captured and any(row[1] for row in rows): over.append(f"{n}: {sum(row[1] for row in rows) / captured:.3f} of {captured} transactions were serialised and handed on, the others found the queue full")
    base = res["bare"]
    os.makedirs(f"{TARGET}/results", exist_ok=True)
    with open(f"{TARGET}/results/load.tsv", "w") as f:
        h = "name\trps\tratio_rps\tp50_ms\tratio_p50\tp99_ms\tratio_p99\tserver_cpu_us_per_req\tratio_cpu"; print(h); f.write(h + "\n")
        for n, _, _ in procs:
            m = res[n]
            row = [n]
            for i, d in ((0, 0), (1, 3), (2, 3), (3, 1)):
                row += [f"{st.median(x[i] for x in m):.{d}f}", f"{st.median(x[i] / b[i] for x, b in zip(m, base)):.3f}"]
            l = "\t".join(row); print(l); f.write(l + "\n")
    for l in over: print(l)
finally:
    for q in [q for _, _, q in procs] + [k for _, k in sinks.values()]: q.kill(); q.wait()
