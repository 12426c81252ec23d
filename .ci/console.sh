# console.sh - sourced by the scripts here: a terminal program in a private, detached tmux, and assertions on its screen.
#
#   console_open WxH COMMAND...     start it (with the environment of the caller)
#   console_shows REGEX [SECONDS]   wait until a line of the screen matches the extended regular expression (10 s)
#   console_lacks REGEX             no line matches now
#   console_keys KEY...             press tmux's keys
#   console_resize WxH
#   console_pid                     the process id of COMMAND
#   console_ended [SECONDS]         wait until COMMAND has ended (10 s); prints its exit status
#   console_quit_ms KEY             press KEY, wait for the end, print how long that took in ms
#   console_sane                    the terminal is as it was before COMMAND: line discipline, screen, cursor, mouse
#   console_screen                  print the screen; console_print leaves out the empty lines at its end
#   console_close                   end everything
#
# The tmux server is this script's own (tmux -S), started without a configuration file.
console_dir=$(mktemp -d)
console_socket=$console_dir/tmux

tm() { tmux -S "$console_socket" -f /dev/null "$@"; }

console_open() {
  local size=$1 line
  shift
  printf -v line '%q ' "$@"
  rm -f "$console_dir"/{pid,status,before,after}
  cat >"$console_dir/pane" <<EOF
stty -g >$console_dir/before
sh -c 'echo \$\$ >$console_dir/pid.new; mv $console_dir/pid.new $console_dir/pid; exec "\$@"' sh $line
echo \$? >$console_dir/status.new
stty -g >$console_dir/after
mv $console_dir/status.new $console_dir/status
exec sleep 7200
EOF
  # A terminal that can do what a present-day one can: UTF-8, true colour, focus events.
  tm -u start-server \; set -g default-terminal tmux-256color \; set -ga terminal-features ',*:RGB' \; \
    set -g focus-events on \; set -g history-limit 1000 \; \
    new-session -d -s c -x "${size%x*}" -y "${size#*x}" \
    env -u TMUX -u TMUX_PANE COLORTERM=truecolor LC_ALL=C.UTF-8 bash "$console_dir/pane"
}

console_screen() { tm capture-pane -p -t c; }

console_print() { printf '%s\n' "$(console_screen)"; }

console_shows() {
  local until=$((SECONDS + ${2:-10})) screen
  while :; do
    screen=$(console_screen 2>/dev/null) || true
    if grep -qE -- "$1" <<<"$screen"; then return 0; fi
    if [ -f "$console_dir/status" ]; then
      echo "the program has ended with exit status $(cat "$console_dir/status"), and no line matches: $1"
      break
    fi
    if [ $SECONDS -ge $until ]; then
      echo "no line matches after ${2:-10} s: $1"
      break
    fi
    sleep 0.2
  done
  printf '%s\n' "----- the screen" "$screen" "-----" # $() has cut the empty lines at its end
  return 1
}

console_lacks() {
  local screen
  screen=$(console_screen)
  ! grep -E -- "$1" <<<"$screen" || { echo "(should not be there)"; return 1; }
}

console_keys() { tm send-keys -t c "$@"; }

console_resize() { tm resize-window -t c -x "${1%x*}" -y "${1#*x}"; }

console_pid() {
  local until=$((SECONDS + 10))
  until [ -f "$console_dir/pid" ]; do
    [ $SECONDS -lt $until ] || { echo "the program did not start" >&2; return 1; }
    sleep 0.05
  done
  cat "$console_dir/pid"
}

console_ended() {
  local until=$((SECONDS + ${1:-10}))
  until [ -f "$console_dir/status" ]; do
    if [ $SECONDS -ge $until ]; then
      echo "still running after ${1:-10} s" >&2
      console_screen >&2
      return 1
    fi
    sleep 0.02
  done
  cat "$console_dir/status"
}

console_quit_ms() {
  local began
  began=$(date +%s%N)
  console_keys "$1"
  console_ended 10 >/dev/null || return 1
  echo $((($(date +%s%N) - began) / 1000000))
}

console_sane() {
  local flags
  console_ended 5 >/dev/null
  cmp "$console_dir/before" "$console_dir/after" || { echo "the line discipline differs: $(cat "$console_dir"/before "$console_dir"/after)"; return 1; }
  flags=$(tm display -p -t c 'alternate=#{alternate_on} cursor=#{cursor_flag} mouse=#{mouse_any_flag}#{mouse_button_flag}#{mouse_sgr_flag} keypad=#{keypad_flag}#{keypad_cursor_flag} insert=#{insert_flag} wrap=#{wrap_flag}')
  [ "$flags" = "alternate=0 cursor=1 mouse=000 keypad=00 insert=0 wrap=1" ] || { echo "terminal modes left on: $flags"; return 1; }
}

console_close() { tm kill-server 2>/dev/null || true; }

# A script that sets an EXIT trap of its own calls console_cleanup in it.
console_cleanup() {
  console_close
  rm -rf "$console_dir"
}
trap console_cleanup EXIT
