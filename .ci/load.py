"""What .ci/load checks, from pitwall's JSON and /metrics pages, and the table that it prints.

  load.py counted PAGE NAME [LABEL=VALUE]        the sum of a metric's series, as a whole number
  load.py runs RUNS CLIENTS,INPUT,OUTPUT...      the runs are these, in this order, each over, scored and reconciled
  load.py marked EVENTS RUNS                     each run's beginning, cut and end is an event of the session
  load.py reconciles RUNS REQUESTS OLD NEW DIALECT   all requests and tokens are the server's, between two pages, and nobody else's
  load.py classes REQUESTS RUN CLASS|CLASS...    every request of a run is ok or of one of these classes; at least one of each group,
                                                 unless it ends in ?
  load.py whole REQUESTS RUNS RUN                nothing of a run is lost: what was sent is what has ended
  load.py bench RESULT OLD NEW                   a result of `vllm bench serve`, as one line of JSON
  load.py ours RUNS REQUESTS OLD NEW             one of `pitwall load`, the same
  load.py wide LINES                             whether the runs so far are too noisy to tell anything
  load.py role URL MODEL N                       how long before the first token a chat's role chunk comes
  load.py table LINES...                         the comparison as Markdown, and whether they agree

RUNS, REQUESTS, EVENTS: the output of `pitwall runs --json` and so on. OLD, NEW: /metrics pages. LINES: files of bench's and
ours's lines.
"""
import http.client
import json
import math
import statistics
import sys
import time
import urllib.parse

import agrees


def lines(path):
    return [json.loads(x) for x in open(path, encoding="utf-8") if x.strip()]


def counted(path, name, *having):
    want = [tuple(h.split("=", 1)) for h in having]
    return sum(v for (n, labels), v in agrees.page(path).items() if n == name and all(w in labels for w in want))


# What a server has counted, by dialect: requests that ended, prompt tokens, output tokens.
COUNTERS = {
    "vllm": {"requests": "vllm:request_success_total", "prompt_tokens": "vllm:prompt_tokens_total", "output_tokens": "vllm:generation_tokens_total"},
    # llama.cpp does not count requests, and a cached token of a prompt apart.
    "llamacpp": {"prompt_tokens": "llamacpp:prompt_tokens_total", "output_tokens": "llamacpp:tokens_predicted_total"},
}


def rose(old, new, name):
    return round(counted(new, name) - counted(old, name))


def runs(path, *want):
    got = lines(path)
    assert len(got) == len(want), "%d runs, not %d: %s" % (len(got), len(want), [r.get("label") for r in got])
    for r, w in zip(got, want):
        p = r["point"]
        is_ = "%s,%s,%s" % (p["arrival"]["clients"], p["prompt"]["length"], p["output"]["length"])
        assert is_ == w, "run %d is %s, not %s" % (r["id"], is_, w)
        assert r["state"] == "done", "run %d is %s: %s" % (r["id"], r["state"], r.get("why"))
        s = r["score"]
        assert s and s["ok"] > 0 and s["failed"] == 0, "run %d: %s" % (r["id"], s and {k: s[k] for k in ("sent", "ok", "failed", "cancelled")})
        wrong = [f for f in s.get("flags") or [] if f["kind"] in ("foreign-traffic", "restarted", "short-output", "warm-cache", "dropped")]
        assert not wrong, "run %d: nobody else was there, and all was as asked: %s" % (r["id"], wrong)
        assert r.get("reconciled", {}).get("rows"), "run %d is not reconciled: %s" % (r["id"], r.get("reconciled"))
        print("run %d  %-28s %4d requests ok, flags: %s" % (r["id"], r["label"], s["ok"], " ".join(f["kind"] for f in s.get("flags") or []) or "none"))
    for a, b in zip(got, got[1:]):
        assert a["cut"] <= b["began"], "run %d began before run %d was cut" % (b["id"], a["id"])
        # The old run's requests drain in neither: the new run's own time begins when they are over.
        assert b["settled"] >= a["ended"], "run %d is scored while requests of run %d are under way" % (b["id"], a["id"])
    return True


def marked(events, path):
    all = [json.dumps(e) for e in lines(events)]
    for r in lines(path):
        mine = [e for e in all if '"run/%d"' % r["id"] in e or '"run": "%d"' % r["id"] in e]
        assert mine, "no event of run %d in %s" % (r["id"], [e[:200] for e in all])
    return True


def reconciles(path, requests, old, new, dialect):
    """From rest to rest: to the request and to the token."""
    records = lines(requests)
    ours = {
        "requests": len(records),
        "prompt_tokens": sum(r["prompt_tokens"] - (r.get("cached_tokens") or 0 if dialect == "llamacpp" else 0) for r in records),
        "output_tokens": sum(r["completion_tokens"] for r in records),
    }
    good = True
    for key, name in COUNTERS[dialect].items():
        server = rose(old, new, name)
        print("%-14s ours %7d   the server's %7d   %s" % (key, ours[key], server, "exact" if server == ours[key] else "DIFFERENT"))
        good &= server == ours[key]
    # pitwall's own tables must add up to the same.
    tables = [r["reconciled"] for r in lines(path) if r.get("reconciled")]
    for key in COUNTERS[dialect]:
        rows = [next((row for row in t["rows"] if row["key"] == key), None) for t in tables]
        if not rows or None in rows:
            print("%-14s has no row in %d tables" % (key, rows.count(None)))
            good = False
            continue
        own = sum(row["own"] for row in rows)
        between = rows[-1]["at_to"] - rows[0]["at_from"]
        print("%-14s the runs' tables: own %d, the server's %d" % (key, own, between))
        good &= own == ours[key] == between
    return good


def classes(requests, run, *want):
    got = {}
    for r in lines(requests):
        if r["run"] == int(run):
            got[r["class"]] = got.get(r["class"], 0) + 1
            allowed = [c for w in want for c in w.rstrip("?").split("|")]
            assert r["class"] in allowed + ["ok"], "a request ended as %s: %s" % (r["class"], r.get("message"))
            assert r["class"] == "ok" or r.get("message"), "a request that ended as %s has no message" % r["class"]
    print(got)
    return all(w.endswith("?") or any(c in got for c in w.split("|")) for w in want)


def whole(requests, path, run):
    r, = [r for r in lines(path) if r["id"] == int(run)]
    n = sum(q["run"] == int(run) for q in lines(requests))
    seqs = {q["seq"] for q in lines(requests) if q["run"] == int(run)}
    print("run %s is %s (%s); %d requests are kept, %d different ones" % (run, r["state"], r.get("why", ""), n, len(seqs)))
    return n == len(seqs) == max(seqs) + 1


# --- the comparison --------------------------------------------------------------------------------------------------------


def server_side(old, new):
    mean = lambda name: (counted(new, name + "_sum") - counted(old, name + "_sum")) / (counted(new, name + "_count") - counted(old, name + "_count"))
    out = {k: rose(old, new, name) for k, name in COUNTERS["vllm"].items()}
    out["ttft_ms"] = 1e3 * mean("vllm:time_to_first_token_seconds")
    out["tpot_ms"] = 1e3 * mean("vllm:request_time_per_output_token_seconds")
    return out


def bench(result, old, new):
    r = json.load(open(result))
    print(json.dumps({
        "tool": "vllm bench serve", "requests": r["completed"], "failed": r["failed"], "output_tokens": r["total_output_tokens"],
        "prompt_tokens": None,  # it counts with its own tokenizer
        "throughput": r["total_output_tokens"] / r["duration"], "tpot_ms": r["mean_tpot_ms"], "ttft_ms": r["mean_ttft_ms"], "server": server_side(old, new),
    }))
    return True


def ours(path, requests, old, new):
    run, = lines(path)
    q = lines(requests)
    assert run["state"] == "done", run.get("why")
    ok = [r for r in q if r["class"] == "ok"]
    mean = lambda name: statistics.fmean(float(r[name]) for r in ok)
    took = max(float(r["t_end_s"]) for r in q) - min(float(r["t_send_s"]) for r in q)
    tokens = sum(r["completion_tokens"] for r in ok)
    print(json.dumps({
        "tool": "pitwall load", "requests": len(ok), "failed": len(q) - len(ok), "output_tokens": tokens, "prompt_tokens": sum(r["prompt_tokens"] for r in ok),
        "throughput": tokens / took, "tpot_ms": mean("tpot_ms"), "ttft_ms": mean("ttft_ms"), "server": server_side(old, new),
        "late_ms": mean("late_mean_ms"), "connect_ms": statistics.fmean(float(r.get("connect_ms") or 0) for r in ok),
        # The head comes as soon as vLLM has read the request; a client that takes the first byte for the first token is off by this.
        "head_ms": 1e3 * statistics.fmean(float(r["t_first_s"]) - float(r["t_first_byte_s"]) for r in ok),
    }))
    return True


# Student's t, two-sided 95 %, by degrees of freedom.
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306}


def welch(a, b):
    """The difference of two means with its 95 % interval (Welch), degrees of freedom rounded down."""
    va, vb = statistics.variance(a) / len(a), statistics.variance(b) / len(b)
    diff = statistics.fmean(a) - statistics.fmean(b)
    if va + vb == 0:
        return diff, 0.0
    df = (va + vb) ** 2 / (va ** 2 / (len(a) - 1) + vb ** 2 / (len(b) - 1))
    return diff, T95[max(1, min(8, math.floor(df)))] * math.sqrt(va + vb)


# What two tools that send the same may differ by without a cause to look for, beside their noise: the runs are of some dozen
# requests each, and how the last ones overlap is chance.
SLACK = 0.03


def table(*paths):
    rows = [row for p in paths for row in lines(p)]
    tools = {name: [r for r in rows if r["tool"] == name] for name in ("pitwall load", "vllm bench serve")}
    good = True
    print("| | requests ok, the server's count | output tokens, the server's count | throughput tok/s | TPOT ms | TTFT ms | the server's TTFT ms | TTFT less the server's |")
    print("|---|---|---|---|---|---|---|---|")
    for name, all in tools.items():
        assert len(all) >= 2, "%s was run %d times" % (name, len(all))
        for r in all:
            s = r["server"]
            good &= r["failed"] == 0 and r["requests"] == s["requests"] and r["output_tokens"] == s["output_tokens"]
            if r["prompt_tokens"] is not None:
                good &= r["prompt_tokens"] == s["prompt_tokens"]
            print("| %s | %d, %d | %d, %d | %.2f | %.1f | %.1f | %.1f | %+.1f |" % (
                name, r["requests"], s["requests"], r["output_tokens"], s["output_tokens"], r["throughput"], r["tpot_ms"], r["ttft_ms"], s["ttft_ms"],
                r["ttft_ms"] - s["ttft_ms"]))
    if not good:
        print("\nNOT what the server counted")
    a, b = tools["pitwall load"], tools["vllm bench serve"]
    # Loads are equal in what the server got, or nothing can be compared.
    pa, pb = (statistics.fmean(r["server"]["prompt_tokens"] / r["server"]["requests"] for r in x) for x in (a, b))
    print("\nprompts of %.1f and %.1f tokens as the server counted them" % (pa, pb))
    if abs(pa - pb) > 0.05 * pb:
        print("NOT the same prompts")
        good = False
    for key, what in ("throughput", "throughput"), ("tpot_ms", "TPOT"):
        diff, half = welch([r[key] for r in a], [r[key] for r in b])
        base = statistics.fmean(r[key] for r in b)
        agree = abs(diff) <= half + SLACK * base
        good &= agree
        print("%s: pitwall %+.1f %% of vllm bench's, 95 %% interval ±%.1f %% (Welch, %d and %d runs): %s" % (
            what, 100 * diff / base, 100 * half / base, len(a), len(b), "they agree" if agree else "they DIFFER"))
    mean = lambda x, f: statistics.fmean(f(r) for r in x)
    extra = [mean(x, lambda r: r["ttft_ms"] - r["server"]["ttft_ms"]) for x in (a, b)]
    print("TTFT beyond the server's own: pitwall %+.1f ms, vllm bench %+.1f ms (vLLM counts from when it has read the request)." % tuple(extra))
    print("Measured of pitwall: its own lateness in reading %.2f ms and connecting %.2f ms, neither of which is in its TTFT (arrivals are the kernel's stamps, t_send" % (
        mean(a, lambda r: r["late_ms"]), mean(a, lambda r: r["connect_ms"])))
    print("is after connecting); in vllm bench's TTFT both are. The answer's first byte, its head, came %.1f ms before its first token." % mean(a, lambda r: r["head_ms"]))
    return good


def role(url, model, n):
    """How long before a chat's first token its role chunk comes, by a client of its own: what taking the one for the other hides."""
    host = urllib.parse.urlsplit(url).netloc
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Count."}], "max_tokens": 4, "temperature": 0, "stream": True, "ignore_eos": True})
    before = []
    for _ in range(int(n)):
        c = http.client.HTTPConnection(host, timeout=120)
        sent = time.perf_counter()
        c.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        r = c.getresponse()
        assert r.status == 200, r.status
        came = None
        for line in r:
            if not line.startswith(b"data: {"):
                continue
            now = time.perf_counter()
            choices = json.loads(line[6:])["choices"]
            if choices and choices[0]["delta"].get("role") and not choices[0]["delta"].get("content"):
                came = now
            elif choices and choices[0]["delta"].get("content"):
                assert came, "no role chunk"
                before.append((1e3 * (now - came), 1e3 * (now - sent)))
                break
        c.close()
    print("The role chunk came %.2f ms before the first token, of %.1f ms (mean of %d requests, one at a time): so much a client hides that takes it for the first token." % (
        statistics.fmean(b for b, _ in before), statistics.fmean(t for _, t in before), len(before)))
    return len(before) == int(n)


def wide(*paths):
    """Whether the runs so far say too little: a 95 % interval of more than 15 % to each side."""
    rows = [row for p in paths for row in lines(p)]
    for key in "throughput", "tpot_ms":
        a, b = ([r[key] for r in rows if r["tool"] == name] for name in ("pitwall load", "vllm bench serve"))
        if welch(a, b)[1] > 0.15 * statistics.fmean(b):
            return True
    return False


COMMANDS = {f.__name__: f for f in (runs, marked, reconciles, classes, whole, bench, ours, table, wide, role)}


def main(args):
    if args and args[0] == "counted":
        print(round(counted(*args[1:])))
        return True
    if not args or args[0] not in COMMANDS:
        sys.exit(__doc__)
    return COMMANDS[args[0]](*args[1:])


if __name__ == "__main__":
    try:
        sys.exit(0 if main(sys.argv[1:]) else 1)
    except AssertionError as e:
        sys.exit(str(e))
