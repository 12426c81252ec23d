"""outcomes.py ALLOWED <go-test-json - a line a package, everything that a failed test said, and an error for each test that was
skipped and does not match the regular expression ALLOWED."""
import collections
import json
import re
import sys

allowed = re.compile(sys.argv[1])
said = collections.defaultdict(list)
bad = []
for line in sys.stdin:
    try:
        e = json.loads(line)
    except ValueError:
        print(line, end="")  # of a compiler
        continue
    package, test = e.get("Package", ""), e.get("Test", "")
    key, action = (package, test), e["Action"]
    if action in ("output", "build-output"):
        said[key].append(e["Output"])
        if action == "build-output":
            print(e["Output"], end="")
    elif action == "fail":
        bad.append("%s %s failed" % key)
        print("".join(said.pop(key, [])), end="")
    elif action == "skip" and test and not allowed.search(test):
        bad.append("%s %s was skipped, and no other step runs it" % key)
        print("".join(said.pop(key, [])), end="")
    elif action in ("pass", "skip"):
        said.pop(key, None)
        if not test:
            print("ok" if action == "pass" else "--", package, "%.1f s" % e.get("Elapsed", 0))
for b in bad:
    print("FAILED", b)
sys.exit(bool(bad))
