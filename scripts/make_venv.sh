#!/bin/sh
# make_venv.sh PYTHON FOLDER GOAL [remake]: make the virtual environment FOLDER with PYTHON, or keep one that fits.
# The range of Python versions is requires-python of pyproject.toml. An environment whose Python lies in the range is
# kept; with `remake`, only if its version is that of PYTHON. GOAL is the goal of make that the error names as the fix.
set -eu
python=$1 folder=$2 goal=$3 remake=${4:-}
range=$(sed -n 's/^requires-python = "\(.*\)"$/\1/p' "$(dirname "$0")/../pyproject.toml")
low=$(expr "$range" : '>=3\.\([0-9]*\),') high=$(expr "$range" : '.*,<3\.\([0-9]*\)$')

minor() { # 12 for Python 3.12; nothing where the command is absent, fails, or is no Python 3
    "$1" -c 'import sys; print(sys.version_info[1] if sys.version_info[0] == 3 else "")' 2>/dev/null || true
}

fits() { # a minor version
    [ -n "$1" ] && [ "$1" -ge "$low" ] && [ "$1" -lt "$high" ]
}

# an interrupted try leaves no pip; that of a folder that was moved fails, and that of a copy belongs to the original
home=$("$folder/bin/pip" --version 2>/dev/null | sed -n 's/.* from \(.*\)\/lib[^/]*\/python.*/\1/p' || true)
there=$([ ! "${home:-/}" -ef "$folder" ] || minor "$folder/bin/python")
if [ -z "$remake" ] && fits "$there"; then
    exit
fi
found=$(minor "$python")
if ! fits "$found"; then
    echo "error: $python: found ${found:+Python 3.}${found:-no Python 3}, expected $range; fix: make $goal PYTHON=python3.12" >&2
    exit 1
fi
[ "$found" = "$there" ] || "$python" -m venv --clear "$folder"
