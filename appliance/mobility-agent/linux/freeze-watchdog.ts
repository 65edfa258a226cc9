/**
 * The watchdog of a freeze, a bash process of its own: `bash -c SCRIPT watchdog LIMIT_SECONDS MOUNT_POINT...`.
 * It freezes on the word `freeze`, and thaws on the word `thaw`, when its standard input ends because the agent died, or
 * when the limit is over. It says, one line each: `ready`; `frozen N` or `failed N WHY`; `thawed N` or `stuck N WHY`;
 * at the end `done asked`, `done closed` or `done late`.
 *
 * Nothing is ever written to the pipe 4: to read from it with a time limit is to sleep, without a process to clean up.
 * All that can happen comes through pipe 3, so one loop waits for everything. A freeze that hangs does not keep the
 * others from being thawed in time, and is thawed itself as soon as it comes to an end.
 */
export const freezeWatchdog = String.raw`
limit=$1; shift; mounts=("$@")
trap '' HUP INT QUIT TERM PIPE
export LC_ALL=C
{ echo -1000 > /proc/self/oom_score_adj; } 2>/dev/null
say() { echo "$*" 2>/dev/null; }
freeze() {
  local why
  if why=$(fsfreeze --freeze -- "${'$'}{mounts[$1]}" 2>&1); then echo "frozen $1"; else echo "failed $1 ${'$'}{why//$'\n'/ }"; fi >&3
}
thaw() {
  local why tries
  for ((tries = 0; tries < 100; tries++)); do
    if why=$(fsfreeze --unfreeze -- "${'$'}{mounts[$1]}" 2>&1); then say "thawed $1"; return; fi
    [[ $why == *'Invalid argument'* ]] && break
    read -r -t 0.05 -u 4
  done
  say "stuck $1 ${'$'}{why//$'\n'/ }"
}
exec 3<> <(:) 4<> <(:)
( while read -r word; do echo "agent $word"; done; echo 'agent closed' ) <&0 >&3 &
helpers=($!)
frozen=(); pending=0
say ready
while read -r what word why <&3; do
  case "$what $word" in
    'agent freeze')
      ( read -r -t "$limit" -u 4; echo 'clock late' ) >&3 &
      helpers+=($!)
      for n in "${'$'}{!mounts[@]}"; do freeze "$n" & ((pending++)); done ;;
    'agent thaw') end=asked; break ;;
    'agent closed') end=closed; break ;;
    'clock late') end=late; break ;;
    frozen*) ((pending--)); frozen+=("$word"); say "frozen $word" ;;
    failed*) ((pending--)); say "failed $word $why" ;;
  esac
done
thawing=()
for n in "${'$'}{frozen[@]}"; do thaw "$n" & thawing+=($!); done
for pid in "${'$'}{thawing[@]}"; do wait "$pid"; done
while ((pending > 0)) && read -r what word why <&3; do
  case $what in
    frozen) ((pending--)); thaw "$word" ;;
    failed) ((pending--)); say "failed $word $why" ;;
  esac
done
kill -KILL "${'$'}{helpers[@]}" 2>/dev/null
say "done $end"
`;
