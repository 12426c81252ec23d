# steps.sh - sourced by the scripts here: how they say what they do.
#
#   step NAME COMMAND...       a part of the whole, with its duration; what it prints passes through
#   check SENTENCE COMMAND...  one assertion: quiet when it holds, all that it printed when it doesn't
#   passed                     a part that is one assertion as a whole has been done
#   skipped SENTENCE           an assertion that can't be made here: said loudly, counted apart
#
# Each ends the script (through set -e) at the first failure. Outcomes are written to $PITWALL_CI_TALLY, a line each, where
# .ci/run has set it: it sums up what all scripts did.
set -euo pipefail
ci=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$ci")
tally=${PITWALL_CI_TALLY:-/dev/null}

step() {
  local name=$1 began=$SECONDS status=0
  shift
  printf '\n=== %s\n' "$name"
  # The subshell has a set -e of its own. That works only where step isn't itself part of a condition (if, ||, &&).
  set +e
  (set -e; "$@")
  status=$?
  set -e
  local outcome='done'
  [ $status = 0 ] || outcome="FAILED (exit status $status)"
  printf '=== %s: %s, %d s\n' "$name" "$outcome" $((SECONDS - began))
  return $status
}

check() {
  local sentence=$1 said status=0
  shift
  set +e
  said=$(set -e; "$@" 2>&1)
  status=$?
  set -e
  if [ $status = 0 ]; then
    passed
    printf '  ok      %s\n' "$sentence"
    return 0
  fi
  echo failed >>"$tally"
  printf '  FAILED  %s\n' "$sentence"
  printf '%s\n' "$said" | tail -n 150 | sed 's/^/          /'
  return 1
}

passed() { echo passed >>"$tally"; }

skipped() {
  echo skipped >>"$tally"
  printf '  !!! SKIPPED  %s\n' "$1"
}

# free_port prints a TCP port on 127.0.0.1 that nobody listens on.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# end_group PID ends a process group that was started with setsid, such as a vLLM server: API server, engine, worker.
end_group() {
  local i
  kill -- "-$1" 2>/dev/null || return 0
  for i in $(seq 100); do
    kill -0 -- "-$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -9 -- "-$1" 2>/dev/null || true
}

die() { echo "$(basename "$0"): error: $*" >&2; exit 1; }
