#!/bin/sh
# Runs the RUN lines of the Dockerfile without Docker: in a fresh virtual environment, on copies of what it COPYs.
# It shows that the install lines work; it builds no image. Usage: tests/docker_lines.sh [EXTRAS]
set -eu
EXTRAS=${1:-benchmark}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
mkdir "$work/src"
sed -n 's/^COPY //p' "$root/Dockerfile" | while read -r line; do
    target=${line##* }
    mkdir -p "$work${target%/*}"
    for source in ${line% *}; do
        if [ -d "$root/$source" ]; then cp -r "$root/$source" "$work$target"; else cp "$root/$source" "$work$target"; fi
    done
done
sed -n 's/^RUN //p' "$root/Dockerfile" | sed "s#/src#$work/src#g" > "$work/lines.sh"
cat "$work/lines.sh"
PATH="$work/venv/bin:$PATH" EXTRAS="$EXTRAS" sh -eu "$work/lines.sh"
echo "the Dockerfile's install lines work (EXTRAS=$EXTRAS); no image was built"
