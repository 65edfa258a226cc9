#!/bin/sh
# Keeps a service running where there is no systemd: starts it again five seconds after it ended, until SIGTERM.
# Only the service's own process is told to stop: a freeze's watchdog has to outlive it.
# Usage: supervise PIDFILE LOGFILE COMMAND...
set -u
umask 077
pidfile=$1 logfile=$2
shift 2
child=
finish() {
  trap '' TERM INT
  if [ -n "$child" ]; then
    kill -TERM "$child" 2>/dev/null
    wait "$child" 2>/dev/null
  fi
  rm -f "$pidfile"
  exit 0
}
trap finish TERM INT
trap '' HUP
echo $$ >"$pidfile"
while :; do
  if [ "$(stat -c %s "$logfile" 2>/dev/null || echo 0)" -gt 8388608 ]; then mv -f "$logfile" "$logfile.1"; fi
  "$@" </dev/null >>"$logfile" 2>&1 &
  child=$!
  wait "$child"
  code=$?
  child=
  echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) It ended with status $code and starts again in 5 s." >>"$logfile"
  sleep 5 &
  wait $!
done
