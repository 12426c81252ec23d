"""What .ci/incident saw against what it did. It shares no code with pitwall.

  incident.py told EVENTS KILLED STARTED READY   the episodes (events --json) are preempting, dead with a reason, starting, ready
                                                 again, in this order, and the last three at their true times (Unix seconds)
  incident.py cursor SCREEN                      the time of the cursor on a screen
  incident.py panels SCREEN COMMAND...           the numbers of every panel are what COMMAND EXPR --at TIME --json gives
  incident.py jumped EVENTS TIMES                the cursor's times, one a line, came by every episode of the incident
"""
import datetime
import json
import math
import re
import subprocess
import sys

CURSOR = re.compile(r"(?:FROZEN|REPLAY|LIVE)[^\d]*(?:[×x]\s*[\d.]+\s+)?(\d\d:\d\d:\d\d)")
# An engine can be waited for longer than it takes, and is asked every 1 to 5 s.
LATE = 8


def episodes(path):
    out = [json.loads(line) for line in open(path) if line.strip()]
    for e in out:
        e["start"] = datetime.datetime.fromisoformat(e["start"].replace("Z", "+00:00")).timestamp()
        e["end"] = e["end"] and datetime.datetime.fromisoformat(e["end"].replace("Z", "+00:00")).timestamp()
    return out


def incident(path):
    """The four episodes in the order they should have."""
    all = episodes(path)

    def first(kinds, after):
        found = [e for e in all if e["kind"] in kinds and e["start"] >= after]
        if not found:
            sys.exit("no %s after %s in: %s" % (" or ".join(kinds), after, [(e["kind"], e["start"]) for e in all]))
        return found[0]

    out, after = [], 0
    for kinds in ("engine.preempting",), ("engine.dead",), ("engine.starting",), ("engine.restarted", "engine.ready"):
        out.append(first(kinds, after))
        after = out[-1]["start"]
    return out


def told(path, killed, started, ready):
    preempting, dead, starting, back = incident(path)
    wrong = []
    for e, title, at in (dead, "dead", killed), (starting, "starting", started), (back, "ready", ready):
        late = e["start"] - float(at)
        print("%s: %.1f s after it was so, lasted %s" % (title, late, e["lasted_seconds"]))
        if not -1 <= late <= LATE:
            wrong.append("%s: told %.1f s after it was so" % (title, late))
    # Each ended when the next began, so how long they lasted is told too.
    if abs(dead["end"] - starting["start"]) > 0.1 or abs(starting["end"] - back["start"]) > 0.1:
        wrong.append("dead, starting and ready don't follow each other: %r" % [(e["start"], e["end"]) for e in (dead, starting, back)])
    if not preempting["end"] or preempting["end"] > starting["start"]:
        wrong.append("preempting outlived the engine: %r" % preempting["end"])
    if not preempting["evidence"] or "preemptions" not in preempting["evidence"][0]["expr"]:
        wrong.append("preempting has no evidence: %r" % preempting["evidence"])
    if not re.search(r"gone|EngineCore|refused|Engine core", dead["cause"]):
        wrong.append("dead without a reason: %r" % dead["cause"])
    for w in wrong:
        print(w)
    return not wrong


def cursor(path):
    m = CURSOR.search(open(path, encoding="utf-8").read())
    if not m:
        sys.exit("%s: no time of a cursor" % path)
    return m[1]


UNITS = {"": 1, "%": 0.01, "k": 1e3, "M": 1e6, "GiB": 2**30, "MiB": 2**20, "ms": 1e-3, "s": 1, "tok/s": 1, "/s": 1, "µs": 1e-6}


def shown(text):
    """(value, half of its last digit) of a number with its unit; None for a dash."""
    if text.startswith("—"):
        return None
    if m := re.match(r"≤?(?:(\d+)h)?(?:(\d+)m)(?:(\d+)s)?(?![\w])", text):  # 1m47s
        h, minutes, s = (int(x or 0) for x in m.groups())
        return 3600.0 * h + 60 * minutes + s, 60 if h else 1
    m = re.match(r"([<≤]?)([\d,]+(?:\.(\d+))?)\s*([kM](?!iB))?\s*(%|GiB|MiB|tok/s|ms|µs|s\b|/s|)", text)
    unit = UNITS[m[4] or ""] * UNITS[m[5]]
    value = float(m[2].replace(",", "")) * unit
    if m[1] == "<":
        return 0.0, value
    if m[5] == "%" and m[2] == "99":
        return value, unit  # nearly full isn't full
    return value, max(0.5 * 10 ** -len(m[3] or "") * unit, 0.005 * value if len(m[2]) > 4 else 0)  # three digits


CPU = 'sum(rate(node_cpu_seconds_total{job="node",mode!~"idle|iowait|steal"}[$w])) / sum(rate(node_cpu_seconds_total{job="node"}[$w]))'
# Panel: what stands on the screen, as (label, expression). The number is the first after the label.
PANELS = {
    "queue": [("running", "engine:running"), ("waiting", "engine:waiting"), ("preempted", "sum(engine:preemptions)"),
              ("finished", "sum(engine:requests_finished)"), ("errors", "sum(engine:errors)")],
    "throughput": [("decode", "engine:decode_tokens"), ("prefill", "engine:prefill_tokens"), ("output", "engine:output_length_mean")],
    "KV cache": [("used", "engine:kv_usage"), ("prefix hit", "engine:prefix_hit_ratio")],
    "host": [("CPU", CPU), ("memory", "node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes"), ("load", "node_load1")],
}
MEANS = {"TTFT": "ttft", "ITL": "itl", "E2E": "e2e"}


def ask(command, expr, at):
    p = subprocess.run(command + [expr, "--at", at, "--json"], capture_output=True, text=True)
    if p.returncode:
        sys.exit("query %s at %s: exit status %d: %s" % (expr, at, p.returncode, p.stderr))
    doc = json.loads(p.stdout)
    doc = doc.get("data", doc)
    return [(x["metric"], float(x["value"][1])) for x in doc["result"]]


def one(answer):
    values = [v for _, v in answer if not math.isnan(v)]
    return values[0] if len(values) == 1 else None


def panels(path, *command):
    command = list(command)
    screen = open(path, encoding="utf-8").read()
    # With its day: 00:16:45 alone would be into the session.
    at = datetime.datetime.combine(datetime.date.today(), datetime.time.fromisoformat(cursor(path)))
    if at > datetime.datetime.now():
        at -= datetime.timedelta(days=1)
    at = at.strftime("%Y-%m-%d %H:%M:%S")
    compared, wrong = {}, []

    def compare(panel, label, text, want, expr):
        got = shown(text)
        compared[panel] = compared.get(panel, 0) + 1
        if (got is None) != (want is None):
            wrong.append("%s, %s: the screen says %r, PromQL %r: %s" % (panel, label, text.strip(), want, expr))
        elif got and abs(got[0] - want) > got[1] * 1.001 + 1e-12:
            wrong.append("%s, %s: the screen says %r, PromQL %r: %s" % (panel, label, text.strip(), want, expr))

    for panel, rows in PANELS.items():
        for label, expr in rows:
            # Two panels have a row of the name "decode": the one of latencies has a bucket after it.
            m = re.search(r"(?<![\w,.])%s {2,}(<?[\d—][^│\n]*)" % re.escape(label), screen)
            if m:
                compare(panel, label, m[1], one(ask(command, expr, at)), expr)
    for label, name in MEANS.items():
        m = re.search(r"\b%s +(≤\S+|—\S*) +(?:≤\S+|—\S*) +(?:≤\S+|—\S*) +([<\d—][^│\n]*)" % label, screen)
        if not m:
            # No value: the row gives the reason in its place, or a dash.
            m = re.search(r"\b%s {2,}(—|no|none)\b|\b%s {2,}—" % (label, label), screen)
            if m:
                compare("latency", label, "—", one(ask(command, "engine:%s_mean" % name, at)), name)
            continue
        compare("latency", label, m[2], one(ask(command, "engine:%s_mean" % name, at)), name)
        # The median's bucket: the least upper bound under which half of the observations are.
        buckets = sorted((float(x["le"]), v) for x, v in ask(command, "engine:%s_buckets" % name, at))
        bound = next((le for le, v in buckets if v >= 0.5 * buckets[-1][1]), None) if buckets and buckets[-1][1] > 0 else None
        compare("latency", label + " p50", m[1], bound, name)
    for panel in list(PANELS) + ["latency"]:
        if not compared.get(panel):
            wrong.append("no number of the panel %r was found" % panel)
    print("at %s: %s" % (at, ", ".join("%s %d numbers" % x for x in compared.items())))
    for w in wrong:
        print(w)
    return sum(compared.values()) >= 5 and not wrong


def jumped(path, times):
    seen = [line.strip() for line in open(times)]
    missed = []
    for e in incident(path):
        # The screen shows whole seconds of local time.
        near = {datetime.datetime.fromtimestamp(e["start"] + d).strftime("%H:%M:%S") for d in (0, 1)}
        if not near & set(seen):
            missed.append("%s at %s" % (e["kind"], sorted(near)[0]))
    print("jumped to %s" % ", ".join(seen))
    for m in missed:
        print("not to " + m)
    return not missed


def main(how, *args):
    if how == "told":
        return told(*args)
    if how == "cursor":
        print(cursor(*args))
        return True
    if how == "panels":
        return panels(*args)
    if how == "jumped":
        return jumped(*args)
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:] or ["help"]) else 1)
