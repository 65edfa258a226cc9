#!/bin/sh
# Starts the installed version with its own Node.
here=$(dirname "$(readlink -f "$0")")/..
exec "$here/runtime/node" --disable-warning=ExperimentalWarning "$here/app/@ENTRY@" @WORDS@"$@"
