#!/usr/bin/env python3
"""Measurements over the contenders. Results go to results/*.tsv (appended per run, overwritten per command).
  measure.py cg    [--n 512] [--variants s5,s0,...] [--only REGEX] [--jobs 2]   callgrind instructions per request
  measure.py alloc [...]                                                      allocations per request
  measure.py time  [--rounds 40] [--windows 12] [--variants s5] [--only REGEX] interleaved ns, ratio against bare
  measure.py init                                                             start time
"""
import argparse, concurrent.futures as cf, glob, os, random, re, statistics as st, subprocess, sys, tempfile
HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "..", "target", "rivals")))
BIN = os.path.join(TARGET, "release")
OUT = os.path.join(TARGET, "results"); os.makedirs(OUT, exist_ok=True)
TMP = os.path.join(TARGET, "tmp"); os.makedirs(TMP, exist_ok=True)

def contenders(only):
    for l in open(os.path.join(HERE, "contenders.tsv")):
        l = l.rstrip("\n")
        if not l or l.startswith("#"): continue
        n, b, c = (l.split("\t") + ["", ""])[:3]
        if only and not re.search(only, n): continue
        yield n, b, c

def cmd(b, variant, mode, cfg, n=None):
    c = [os.path.join(BIN, b), "--mode", mode, "--variant", variant]
    if n: c += ["--n", str(n)]
    if cfg: c += ["--cfg", cfg]
    return c

def cg_run(b, variant, cfg, n, toggle):
    """instructions of (main thread, other threads). With toggle only those inside `measured_loop` of the main thread
    (exact); without, everything (the caller takes the difference of 2N and N for the other threads)."""
    with tempfile.TemporaryDirectory(dir=TMP) as d:
        c = ["valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={d}/o"]
        if toggle: c += ["--toggle-collect=measured_loop"]
        c += cmd(b, variant, "cg", cfg, n)
        r = subprocess.run(c, capture_output=True, text=True)
        if r.returncode != 0: raise RuntimeError(" ".join(c) + r.stderr[-2000:])
        main = other = 0
        for f in glob.glob(f"{d}/o*"):
            t = open(f, errors="replace").read()
            m = re.findall(r"^(?:totals|summary): (\d+)", t, re.M)
            if not m: continue
            thr = re.search(r"^thread: (\d+)", t, re.M)
            k = int(thr.group(1)) if thr else 0
            v = int(m[-1])
            if k == 1: main += v
            elif k > 1: other += v
        return main, other

BG = re.compile(r"opentelemetry|fastrace|tower-sentry, recorded")   # contenders with a working background thread

def cg(a):
    jobs = []
    with cf.ThreadPoolExecutor(a.jobs) as ex:
        for v in a.variants.split(","):
            for n, b, c in contenders(a.only):
                f = ex.submit(cg_run, b, v, c, a.n, True)
                bg = [ex.submit(cg_run, b, v, c, k * a.n, False) for k in (1, 4)] if BG.search(n) else None
                jobs.append((n, v, f, bg))
        base = {}
        with open(os.path.join(OUT, a.out or "cg.tsv"), "a" if a.append else "w") as o:
            if not a.append: o.write("variant\tname\tinstr_main\tinstr_other_threads\tdelta_vs_bare\n")
            for n, v, f, bg in jobs:
                try:
                    m = f.result()[0] / a.n
                    ot = (bg[1].result()[1] - bg[0].result()[1]) / (3 * a.n) if bg else 0
                except Exception as e: print("FAILED", n, v, e, file=sys.stderr); continue
                if n == "bare": base[v] = m
                line = f"{v}\t{n}\t{m:.0f}\t{ot:.0f}\t{m - base.get(v, float('nan')):.0f}"
                print(line, flush=True); o.write(line + "\n"); o.flush()

def alloc(a):
    with open(os.path.join(OUT, a.out or "alloc.tsv"), "a" if a.append else "w") as o:
        if not a.append: o.write("variant\tname\tallocs_main\tbytes_main\tallocs_all\tbytes_all\n")
        for v in a.variants.split(","):
            for n, b, c in contenders(a.only):
                r = subprocess.run(cmd(b, v, "alloc", c, 4096), capture_output=True, text=True)
                line = f"{v}\t{n}\t" + "\t".join(r.stdout.split()[:4])
                print(line, flush=True); o.write(line + "\n")

def time_(a):
    with open(os.path.join(OUT, a.out or "time.tsv"), "a" if a.append else "w") as o:
        if not a.append: o.write("variant\tname\tns_median\tns_p10\tratio_vs_bare(p10)\tdelta_ns_vs_bare(p10)\n")
        for v in a.variants.split(","):
            ps = []
            for n, b, c in contenders(a.only):
                p = subprocess.Popen(cmd(b, v, "time", c), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)
                assert p.stdout.readline().strip() == "ready", n
                ps.append((n, p))
            res = {n: [] for n, _ in ps}
            for r in range(a.rounds):
                order = ps[:]; random.shuffle(order)
                for n, p in order:
                    p.stdin.write(f"{a.windows}\n"); p.stdin.flush()
                    res[n].append(tuple(map(float, p.stdout.readline().split())))
            for n, p in ps: p.stdin.close()
            for n, p in ps: p.wait(timeout=60)
            bare = [x[2] for x in res[ps[0][0]]]
            for n, _ in ps:
                med = [x[0] for x in res[n]]
                # 10th percentile of the windows of each round: other load on the machine disturbs it least
                fast = [x[2] for x in res[n]]
                ratio = st.median(m / b for m, b in zip(fast, bare))
                delta = st.median(m - b for m, b in zip(fast, bare))
                line = f"{v}\t{n}\t{st.median(med):.0f}\t{st.median(fast):.0f}\t{ratio:.3f}\t{delta:.0f}"
                print(line, flush=True); o.write(line + "\n")

def init(a):
    with open(os.path.join(OUT, "init.tsv"), "w") as o:
        o.write("name\tbuild_us_median\tfirst_request_us_median\twhole_process_ms_median\n")
        import time
        rows = {}
        cs = list(contenders(a.only))
        for r in range(a.rounds):
            random.shuffle(cs)
            for n, b, c in cs:
                t = time.perf_counter()
                x = subprocess.run(cmd(b, "s5", "init", c), capture_output=True, text=True).stdout.split()
                rows.setdefault(n, []).append((int(x[0]) / 1e3, int(x[1]) / 1e3, (time.perf_counter() - t) * 1e3))
        for n, _, _ in contenders(a.only):
            line = n + "\t" + "\t".join(f"{st.median(x[i] for x in rows[n]):.1f}" for i in range(3))
            print(line); o.write(line + "\n")

p = argparse.ArgumentParser()
p.add_argument("cmd"); p.add_argument("--n", type=int, default=512); p.add_argument("--variants", default="s5")
p.add_argument("--only", default=""); p.add_argument("--jobs", type=int, default=2); p.add_argument("--rounds", type=int, default=40)
p.add_argument("--windows", type=int, default=12); p.add_argument("--out", default=""); p.add_argument("--append", action="store_true")
a = p.parse_args()
{"cg": cg, "alloc": alloc, "time": time_, "init": init}[a.cmd](a)
