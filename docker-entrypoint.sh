#!/bin/sh
# No arguments: what `make repro` does. Arguments: that command instead.
set -e
if [ "$#" -gt 0 ]; then
    exec "$@"
fi
exec make run
