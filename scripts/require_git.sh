#!/bin/sh
# require_git.sh: refuse before the work what would stop DVC's experiments after it. An experiment is a commit.
set -eu

refuse() { # FOUND, EXPECTED, FIX
    echo "error: found $1, expected $2; fix: $3" >&2
    exit 1
}

git rev-parse --quiet --verify HEAD:./dvc.yaml >/dev/null 2>&1 ||
    refuse "no Git repository that has dvc.yaml" "one, for experiments" "clone the project, or here: git init && git add . && git commit -m start && dvc config --local core.no_scm false"
git -c user.useConfigOnly=true var GIT_COMMITTER_IDENT >/dev/null 2>&1 ||
    refuse "no name and address of yours in Git" "both, for the commits of experiments" "git config user.name 'Your Name' && git config user.email you@example.org"
[ "$(git rev-parse --show-ref-format 2>/dev/null || true)" != reftable ] ||
    refuse "a Git repository with reftable" "refs in files, which DVC reads" "git refs migrate --ref-format=files"
