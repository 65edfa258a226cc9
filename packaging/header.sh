#!/bin/sh
# Secondsite: @TITLE@ @VERSION@ for @PLATFORM@. One file: this script, then a tar.gz with its own Node.
#   sh FILE [install] [OPTION...]   checks the machine and the file, unpacks, installs (as root); --help tells the options
#   sh FILE verify                  only checks the file
#   sh FILE extract FOLDER          only unpacks
# Exit status: 2 usage, 3 the file is damaged, 4 the machine is not supported, 5 no room, 6 not root, 7 the new version
# did not come up (the one before runs again), 8 the enrolment was refused, 1 the rest.
set -eu
umask 022
export LC_ALL=C
payload_offset=@OFFSET@
payload_sha256=@SHA256@
payload_unpacked_kib=@UNPACKED_KIB@
target=@FOLDER@
name=@NAME@
fail() { code=$1; shift; echo "$name: $*" >&2; exit "$code"; }
self=$0
case $self in */*) ;; *) self=./$self ;; esac
[ -r "$self" ] || fail 2 "run it as 'sh FILE', so that it can read itself"
payload() { tail -c "+$payload_offset" "$self"; }
verify() {
  command -v sha256sum >/dev/null || fail 4 'this machine has no sha256sum (coreutils)'
  [ "$(payload | sha256sum | cut -c 1-64)" = "$payload_sha256" ] ||
    fail 3 "$self is damaged: its content is not what its checksum says. Copy it again."
}
unpack() { payload | gzip -dc | tar -xf - -C "$1" --no-same-owner; }
action=install
case ${1:-} in
  install) shift ;;
  verify) verify; echo "$name @VERSION@ @PLATFORM@: the file is whole"; exit 0 ;;
  extract)
    [ $# -eq 2 ] || fail 2 "usage: sh $self extract FOLDER"
    verify; mkdir -p "$2"; unpack "$2"; exit 0 ;;
  -* | '') ;;
  *) fail 2 "there is no '$1': install, verify or extract" ;;
esac
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) platform=linux-x64 ;;
  Linux-aarch64) platform=linux-arm64 ;;
  *) platform="$(uname -s)-$(uname -m)" ;;
esac
[ "$platform" = @PLATFORM@ ] || fail 4 "this machine is $platform, the package is for @PLATFORM@"
[ "$(id -u)" = 0 ] || fail 6 'installing needs root: run it with sudo'
for program in bash tar gzip; do
  command -v "$program" >/dev/null || fail 4 "this machine has no $program, which is needed"
done
verify
mkdir -p "$target"
free_kib=$(df -Pk "$target" | awk 'NR == 2 { print $4 }')
[ "$free_kib" -gt $((payload_unpacked_kib + 51200)) ] ||
  fail 5 "$target has $free_kib KiB free; $((payload_unpacked_kib + 51200)) KiB are needed"
unpacked=$(mktemp -d "$target/.unpacked.XXXXXX")
trap 'rm -rf "$unpacked"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$unpacked"
unpack "$unpacked" || fail 5 "it could not be unpacked into $unpacked"
"$unpacked/runtime/node" --version >/dev/null 2>"$unpacked/why" ||
  fail 4 "the runtime does not run here (glibc 2.28 or newer is needed): $(head -n 1 "$unpacked/why")"
"$unpacked/bin/$name" install --from "$unpacked" "$@"
exit 0
