#!/bin/sh
# How the image starts. No arguments: the main job, as `make repro`. `test`: all tests. Other arguments: that command.
set -eu

refuse() { # FOUND, EXPECTED, FIX
    echo "error: $PWD: found $1, expected $2; fix: $3" >&2
    exit 1
}

make_goals() { # the goals; make does not read a Makefile with Windows line ends
    [ -f Makefile ] || refuse "no Makefile" "the root folder of the repository" "cd there, and docker run -v \"\$PWD\":/workspace"
    [ -w . ] || refuse "no permission to write for user $(id -u)" "a folder of that user" "docker run --user \"\$(id -u):\$(id -g)\""
    tr -d '\r' <Makefile >"$HOME/Makefile"
    exec make -f "$HOME/Makefile" "$@"
}

[ -w "$HOME" ] || refuse "that $HOME is read-only" "a folder for caches" "docker run --tmpfs /tmp"
# a download, or a Git worktree whose repository is not mounted; the setting stays in this container
if ! git rev-parse --git-dir >/dev/null 2>&1; then
    mkdir -p "$HOME/.config/dvc"
    printf '[core]\n    no_scm = true\n' >"$HOME/.config/dvc/config"
fi

case ${1-} in
    '') make_goals run ;;
    test) make_goals "$@" ;;
    make) shift && make_goals "$@" ;;
    *) exec "$@" ;;
esac
