#!/bin/sh
# Runs the tests: those that can share a process in groups (group-tests.mjs), each other file in its own; with --long
# those files that npm test leaves out. Node keeps what it has compiled in build/, which halves the time that a process
# takes to start.
set -eu
cd "$(dirname "$0")/.."
export NODE_COMPILE_CACHE="$PWD/build/compile-cache"
files=$(sh scripts/node.sh scripts/group-tests.mjs "$@")
[ $# -gt 0 ] || files="$(echo build/tests/*.test.mjs) $files"
# Some tests wait more than they compute, so one more runs than there are cores on a small machine.
# shellcheck disable=SC2086 # names of files, one a word
sh scripts/node.sh --test --test-concurrency=3 --test-reporter=spec $files
[ $# -gt 0 ] || echo "npm run test:long runs $(sh scripts/node.sh scripts/group-tests.mjs --long | wc -l) more files."
