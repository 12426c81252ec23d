"""Runs load generators one after the other against a truth server and prints a Markdown table of what they cost and how wrong
they are. .ci/peers_load calls it and says what is measured.

For each number of streams the server is started anew; for each client it forgets what was before. What a client reports for
a request is held against the server's own account of that request (GET /truth), joined by the request's id, which every
client sends or reads back.
"""
import argparse
import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

INPUT, OUTPUT = 64, 128
TTFT, GAP = 0.050, 0.020
LIMIT = 420  # seconds that one client may take
TICK = os.sysconf("SC_CLK_TCK")


def requests_for(streams):
    """Several rounds, so that the steady state outweighs the start, and no more tokens than two cores serve in a minute."""
    return max(2 * streams, min(8 * streams, 1024))


# --- the clients: the command, and what it says of each request as {id: (ttft_ms, tpot_ms)} --------------------------------


def reader(o, url, c, n, out):
    return [o.work + "/reader", "-url", url, "-c", str(c), "-n", str(n), "-i", str(INPUT), "-o", str(OUTPUT)]


def reader_said(o, out, stdout):
    rows = [json.loads(line) for line in stdout.splitlines()]
    return {r["id"]: (r["ttft_ms"], r["tpot_ms"]) for r in rows}


def pitwall(o, url, c, n, out):
    return [o.work + "/pitwall", "load", "--engine", url, "--concurrency", str(c), "--requests", str(n), "--input", str(INPUT),
            "--output", str(OUTPUT), "--api", "chat", "--sessions", out, "--json"]


def pitwall_said(o, out, stdout):
    run = json.loads(stdout)
    if run["state"] != "done":
        raise Failed("pitwall's run is %s: %s" % (run["state"], run.get("why")))
    said = subprocess.run([o.work + "/pitwall", "requests", "--sessions", out, "--json"], check=True, capture_output=True, text=True).stdout
    got = {}
    for line in said.splitlines():
        r = json.loads(line)
        if r.get("ttft_ms") is not None:
            got["-%d-%d" % (r["run"], r["prompt"])] = (r["ttft_ms"], r["tpot_ms"])
    return got


def vllm(o, url, c, n, out):
    return [o.vllm + "/V/bin/vllm", "bench", "serve", "--backend", "openai-chat", "--base-url", url, "--endpoint", "/v1/chat/completions",
            "--model", "truth", "--tokenizer", o.vllm + "/smollm2", "--dataset-name", "random", "--random-input-len", str(INPUT),
            "--random-output-len", str(OUTPUT), "--ignore-eos", "--num-prompts", str(n), "--max-concurrency", str(c), "--request-id-prefix", "bench-",
            "--ready-check-timeout-sec", "0", "--disable-tqdm", "--save-result", "--save-detailed", "--result-filename", out + "/result.json"]


def vllm_said(o, out, stdout):
    r = json.load(open(out + "/result.json"))
    got = {}
    for i, (ttft, gaps, error) in enumerate(zip(r["ttfts"], r["itls"], r["errors"])):
        if not error and gaps:
            got["bench-%d" % i] = (ttft * 1e3, sum(gaps) / (r["output_lens"][i] - 1) * 1e3)
    return got


def aiperf(o, url, c, n, out):
    return [o.env + "/aiperf/bin/aiperf", "profile", "-m", "truth", "--tokenizer", o.vllm + "/smollm2", "--url", url, "--endpoint-type", "chat",
            "--streaming", "--concurrency", str(c), "--request-count", str(n), "--isl", str(INPUT), "--osl", str(OUTPUT), "--extra-inputs",
            "ignore_eos:true", "--ui", "none", "--artifact-dir", out]


def aiperf_said(o, out, stdout):
    path, = [d + "/" + f for d, _, files in os.walk(out) for f in files if f == "profile_export.jsonl"]
    got = {}
    for line in open(path):
        r = json.loads(line)
        m = r["metrics"]
        if "time_to_first_token" in m and "inter_token_latency" in m:  # AIPerf's inter_token_latency is TPOT
            got[r["metadata"]["x_request_id"]] = (m["time_to_first_token"]["value"], m["inter_token_latency"]["value"])
    return got


def guidellm(o, url, c, n, out):
    return [o.env + "/guidellm/bin/guidellm", "run", "--backend", "kind=openai_http,target=%s,model=truth,request_format=/v1/chat/completions" % url,
            "--profile", "kind=concurrent,streams=%d" % c, "--constraint", "kind=max_requests,count=%d" % n, "--tokenizer",
            "kind=huggingface_auto,model=%s/smollm2" % o.vllm, "--data", "kind=synthetic_text,prompt_tokens=%d,output_tokens=%d" % (INPUT, OUTPUT),
            "--output", "kind=json,path=%s/result.json" % out, "--disable-console"]


def guidellm_said(o, out, stdout):
    r = json.load(open(out + "/result.json"))
    got = {}
    for q in r["benchmarks"][0]["requests"]["successful"]:  # GuideLLM's inter_token_latency is TPOT
        got[q["response_id"].split("chatcmpl-", 1)[-1]] = (q["time_to_first_token_ms"], q["inter_token_latency_ms"])
    return got


CLIENTS = {
    "reader": ("bare net/http reader", reader, reader_said),
    "pitwall": ("**pitwall load**", pitwall, pitwall_said),
    "vllm": ("vllm bench serve 0.32.0", vllm, vllm_said),
    "aiperf": ("AIPerf 0.13.0", aiperf, aiperf_said),
    "guidellm": ("GuideLLM 0.8.1", guidellm, guidellm_said),
}


# --- what a client costs ---------------------------------------------------------------------------------------------------


def session_of(sid):
    """The processes of a session: a client is started with one of its own."""
    for p in os.listdir("/proc"):
        if p.isdigit():
            try:
                fields = open("/proc/%s/stat" % p).read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == sid:
                # user and system time, its own and of children that have ended and been waited for
                yield p, sum(map(int, fields[11:15])) / TICK


class Watch(threading.Thread):
    """Samples CPU and memory of a client's processes until it is told to stop."""

    def __init__(self, sid):
        super().__init__(daemon=True)
        self.sid, self.over, self.cpu, self.memory = sid, threading.Event(), [], 0

    def run(self):
        n = 0
        while not self.over.wait(0.1):
            all = list(session_of(self.sid))
            self.cpu.append((time.time(), sum(t for _, t in all)))
            if n % 10 == 0:
                self.memory = max(self.memory, sum(pss(p) for p, _ in all))
            n += 1

    def until(self, t):
        """CPU seconds used until a moment, between two samples in proportion."""
        before = (self.cpu[0][0] - 0.1, 0) if self.cpu else (t, 0)
        for at, used in self.cpu:
            if at >= t:
                return before[1] + max(0, used - before[1]) * max(0, t - before[0]) / (at - before[0])
            before = (at, used)
        return before[1]


def pss(pid):
    try:
        return int(re.search(r"^Pss: +(\d+)", open("/proc/%s/smaps_rollup" % pid).read(), re.M)[1]) / 1024
    except (OSError, TypeError):
        return 0


def get(url, method="GET"):
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=120) as r:
        return r.read()


def percentile(xs, q):
    xs = sorted(xs)
    return xs[min(len(xs) - 1, max(0, math.ceil(q * len(xs)) - 1))]


def environment(name):
    """Offline where that is understood: AIPerf then takes a directory with a tokenizer for the name of a repository."""
    return {k: v for k, v in os.environ.items() if name != "aiperf" or not k.endswith("_OFFLINE")}


class Failed(Exception):
    """A client did not do it."""


def measure(o, url, name, c, n):
    title, command, said = CLIENTS[name]
    out = tempfile.mkdtemp(prefix="%s-%d-" % (name, c), dir=o.work)
    get(url + "/truth", "DELETE")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.time()
    with open(out + "/stdout", "w+") as stdout, open(out + "/stderr", "w+") as stderr:
        p = subprocess.Popen(command(o, url, c, n, out), stdout=stdout, stderr=stderr, stdin=subprocess.DEVNULL, start_new_session=True, cwd=out, env=environment(name))
        watch = Watch(p.pid)
        watch.start()
        try:
            status = p.wait(LIMIT)
        except subprocess.TimeoutExpired:
            status = "none after %d s" % LIMIT
        took = time.time() - began
        watch.over.set()
        watch.join()
        try:
            os.killpg(p.pid, signal.SIGKILL)  # what it has left behind, or all of it
        except ProcessLookupError:
            pass
        p.wait()
        stdout.seek(0)
        stderr.seek(0)
        text, trouble = stdout.read(), stderr.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    truth = [json.loads(line) for line in get(url + "/truth").splitlines()]
    # pitwall's exit status also says whether the run is valid, which its report is asked for.
    if status != 0 and not (name == "pitwall" and text.startswith("{")):
        raise Failed("%s: exit status %s\n%s\n%s" % (name, status, text[-3000:], trouble[-3000:]))
    by = {t["id"]: t for t in truth if t["chunks"]}
    if name == "pitwall":  # its ids are pitwall-NONCE-RUN-PROMPT
        by = {re.sub(r"^pitwall-[0-9a-f]+", "", k): t for k, t in by.items()}
    ttft, tpot = [], []
    answers = said(o, out, text)
    for k, (a, b) in answers.items():
        t = by.get(k)
        if t is None:
            raise Failed("%s reports a request %r that the server does not know: %s" % (name, k, list(by)[:3]))
        first, last = t["chunks"][0], t["chunks"][-1]
        ttft.append(a - (first[0] - t["arrived"]) / 1e6)
        tpot.append(b - (last[0] - first[0]) / (t["tokens"] - first[2]) / 1e6)
    if len(answers) < 0.9 * n:
        print("%s: reports %d of %d requests" % (name, len(answers), n), file=sys.stderr)
    if not answers:
        raise Failed("%s reports no request\n%s\n%s" % (name, text[-3000:], trouble[-3000:]))
    first = min(t["arrived"] for t in by.values()) / 1e9
    tokens = sum(t["tokens"] for t in by.values())
    start = min(cpu, watch.until(first))
    return {
        "client": name, "title": title, "streams": c, "requests": len(answers), "asked": n, "tokens": tokens, "wall_s": took,
        "cpu_per_1000": (cpu - start) / tokens * 1000, "start_cpu": start, "memory_mb": watch.memory, "first_s": first - began,
        "ttft_p50": percentile([abs(x) for x in ttft], 0.5), "ttft_p99": percentile([abs(x) for x in ttft], 0.99),
        "tpot_p50": percentile([abs(x) for x in tpot], 0.5), "tpot_p99": percentile([abs(x) for x in tpot], 0.99),
        "ttft_mean": sum(ttft) / len(ttft),
        "write_p99": percentile([x[1] / 1e6 for t in by.values() for x in t["chunks"]], 0.99),
    }


def number(x):
    return "%.3g" % x if x < 100 else "%.0f" % x


def row(r):
    return "| %s | %d | %.3f | %s | %.0f MB | %s / %s ms | %s / %s ms | %.2f s |" % (
        r["title"], r["streams"], r["cpu_per_1000"], number(r["start_cpu"]), r["memory_mb"], number(r["ttft_p50"]), number(r["ttft_p99"]),
        number(r["tpot_p50"]), number(r["tpot_p99"]), r["first_s"])


def start(o):
    p = subprocess.Popen([o.work + "/truth", "--ttft", "%gs" % TTFT, "--gap", "%gs" % GAP], stdout=subprocess.PIPE, text=True, start_new_session=True)
    return p, p.stdout.readline().strip()


def prove(rows):
    """The claims of .ci/peers_load -q; a list of those that don't hold."""
    wrong = []
    ours = next(r for r in rows if r["client"] == "pitwall")
    for r in rows:
        if r is ours:
            continue
        for q in "ttft_p50", "ttft_p99":
            if ours[q] >= r[q]:
                wrong.append("%s: pitwall is %.3g ms off, %s %.3g" % (q, ours[q], r["title"], r[q]))
        if r["client"] != "reader":
            for q in "cpu_per_1000", "memory_mb":
                if ours[q] >= r[q]:
                    wrong.append("%s: pitwall %.3g, %s %.3g" % (q, ours[q], r["title"], r[q]))
    if ours["requests"] != ours["asked"]:
        wrong.append("pitwall reports %d of %d requests" % (ours["requests"], ours["asked"]))
    if ours["first_s"] > 3:
        wrong.append("pitwall's first request left after %.2f s" % ours["first_s"])
    return wrong


HEAD = """| 64 in, 128 out, chat | streams | CPU-s per 1,000 tokens | start-up CPU-s | memory | TTFT error p50 / p99 | TPOT error p50 / p99 | start to first request |
|---|---|---|---|---|---|---|---|"""


def all_of(o):
    print(HEAD)
    rows = []
    for c in map(int, o.streams.split()):
        for name in o.clients:
            server, url = start(o)
            try:
                r = measure(o, url, name, c, 4 * c if o.prove else requests_for(c))
            except Failed as e:
                if o.prove or name in ("reader", "pitwall"):
                    raise SystemExit(str(e))
                print("| %s | %d | failed | | | | | |" % (CLIENTS[name][0], c), flush=True)
                print(e, file=sys.stderr)
                continue
            finally:
                server.terminate()
                server.wait()
            rows.append(r)
            print(row(r), flush=True)
    print("\nThe server's own writes took up to %s ms (p99): no client's error is known better than that." % number(max(r["write_p99"] for r in rows)))
    return rows


def main():
    p = argparse.ArgumentParser()
    for f in "--work", "--env", "--vllm", "--streams":
        p.add_argument(f, required=True)
    p.add_argument("--prove", action="store_true")
    p.add_argument("clients", nargs="+", choices=list(CLIENTS))
    o = p.parse_args()
    rows = all_of(o)
    if not o.prove:
        return True
    wrong = prove(rows)
    for _ in range(2):
        if wrong:
            # A neighbour of this machine can take its cores in the very seconds of one client: what holds once holds.
            print("\nonce more, because: " + "; ".join(wrong))
            wrong = prove(all_of(o))
    for w in wrong:
        print("NOT PROVED  " + w)
    return not wrong


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
