#!/bin/sh
# Find a Python that is new enough and hand over to it: python3 -m setup "$@".
# A name on the PATH may be a shim that cannot run, or a python3-minimal without its
# library: so each one is tried.
cd "$(dirname "$0")/.." || exit 1
for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
    if "$name" -c 'import json, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        exec "$name" -m setup "$@"
    fi
done
echo "olrunbook needs Python 3.11 or newer, and none was found on the PATH." >&2
echo "  What you can do: install it (Debian 12, Ubuntu 24.04: apt-get install python3" >&2
echo "  python3-venv), or name one: make PYTHON=/path/to/python3.12 …" >&2
exit 2
