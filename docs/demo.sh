#!/bin/sh
# The whole road on the built-in data set: make two files, look at one, train on both, read the scores.
# Needs `poisonkit` and `benchmark` on the PATH (`make demo` sees to that). Usage: docs/demo.sh FOLDER
set -eu
out=${1:-demo}

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

run poisonkit make --dataset signs --rate 0 -o "$out/data"
run poisonkit make --dataset signs --trigger square --per-patch --rate 0.01 -o "$out/data"
run poisonkit show "$out/data/signs-square-patch8-0.01-s0.h5"
run poisonkit preview "$out/data/signs-square-patch8-0.01-s0.h5" -o "$out/preview.png"
run benchmark train "$out/data/signs-clean.h5" "$out/data/signs-square-patch8-0.01-s0.h5" --preset tiny --runs "$out/runs"
run benchmark show "$out/runs"

printf '\nData sets: %s/data   preview: %s/preview.png   both runs: %s/runs\n' "$out" "$out" "$out"
