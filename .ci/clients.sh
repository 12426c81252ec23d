# clients.sh - sourced by the scripts here: clients of an engine on loopback that are nothing but curl, and its own numbers.
#
# The caller sets url, model and work (a directory). Every loop ends by itself: after 100 requests per client, and each
# request after five minutes.
#
#   load_starts [CLIENTS]   start that many clients ($PITWALL_CI_CLIENTS, else 6), who want $PITWALL_CI_TOKENS tokens (48) each time
#   load_ends               let them finish their requests; $work/client.N then has a line per request: status, prompt and
#                           output tokens as the server counted them in the answer
#   metrics FILE            keep a /metrics page
#   value FILE NAME         the sum of a metric on it
#   queued                  wait until the engine says that requests wait; sets running and waiting
#   quiet FILE              wait until the engine is at rest, and keep its page
#   served_model            the first model of /v1/models

agrees() { python3 -B "$ci/agrees.py" "$@"; }
metrics() { curl -fsS -m 20 "$url/metrics" -o "$1"; }
value() { agrees value "$1" "$2"; }

served_model() { curl -fsS -m 20 "$url/v1/models" | python3 -c 'import json, sys; print(json.load(sys.stdin)["data"][0]["id"])'; }

client() {
  local i prompt
  # Some 300 tokens that all clients share, so that whole blocks (128 tokens on a CPU) can hit the prefix cache.
  prompt=$(for i in $(seq 45); do printf 'Lap %d of the race. ' "$i"; done)
  for i in $(seq 100); do
    if [ ! -d "$work" ] || [ -e "$work/stop" ]; then break; fi
    curl -sS -m 300 -o "$work/reply.$1" -w '%{http_code}' "$url/v1/completions" -H 'Content-Type: application/json' -d "{
      \"model\": \"$model\", \"prompt\": \"$prompt Client $1, lap $i:\", \"max_tokens\": ${PITWALL_CI_TOKENS:-48}, \"ignore_eos\": true, \"temperature\": 0}" >"$work/code.$1"
    python3 -c '
import json, sys
usage = json.load(open(sys.argv[2])).get("usage", {})
print(sys.argv[1], usage.get("prompt_tokens"), usage.get("completion_tokens"))' "$(cat "$work/code.$1")" "$work/reply.$1"
  done >>"$work/client.$1"
}

load_starts() {
  local n
  case $url in http://127.0.0.1:*) ;; *) die "no load on $url: only on 127.0.0.1" ;; esac
  rm -f "$work/stop"
  clients=()
  for n in $(seq "${1:-${PITWALL_CI_CLIENTS:-6}}"); do
    client "$n" 2>>"$work/clients.log" &
    clients+=($!)
  done
}

load_ends() {
  touch "$work/stop"
  wait "${clients[@]}"
}

queued() {
  local i
  for i in $(seq 60); do
    metrics "$work/queued"
    running=$(value "$work/queued" vllm:num_requests_running) waiting=$(value "$work/queued" vllm:num_requests_waiting)
    running=${running%.0} waiting=${waiting%.0}
    [ "$waiting" = 0 ] || return 0
    sleep 1
  done
  die "no request waits at $url after a minute: too few clients (PITWALL_CI_CLIENTS)"
}

# Two pages 6 s apart: longer than pitwall's longest interval of scrapes.
quiet() {
  local i
  for i in $(seq 30); do
    metrics "$work/quiet.1"
    sleep 6
    metrics "$work/quiet.2"
    if [ "$(value "$work/quiet.2" vllm:num_requests_running)" = 0.0 ] && agrees still "$work/quiet.1" "$work/quiet.2" >"$work/still"; then
      cp "$work/quiet.2" "$1"
      return 0
    fi
  done
  cat "$work/still"
  die "the engine did not come to rest in three minutes"
}
