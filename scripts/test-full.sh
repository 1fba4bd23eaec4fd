#!/bin/sh
# Runs test/full: what takes minutes, or tests what only maintainers do. With --brief only what takes seconds, as CI
# does. Then the tests of commands once more, each command as a process of its own.
set -eu
cd "$(dirname "$0")/.."
export NODE_COMPILE_CACHE="$PWD/build/compile-cache"
brief='bench-cli docs-site locked-commands model-damage release same-bits-training sandbox'
files='test/full/*.test.ts'
[ $# -eq 0 ] || files=$(for name in $brief; do echo "test/full/$name.test.ts"; done)
# shellcheck disable=SC2086 # names of files, one a word
sh scripts/node.sh --test --test-concurrency=1 --test-reporter=spec $files
[ $# -eq 0 ] || exit 0
export VERIT_TEST_PROCESSES=1
exec sh scripts/node.sh --test --test-concurrency=2 --test-reporter=spec src/cli/*.test.ts test/*-cli.test.ts
