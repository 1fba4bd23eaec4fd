#!/bin/sh
# Runs Node 24 or newer with the arguments given: the system's where it is new enough, for the system keeps it up to
# date; else the one that npm has installed (tools/node). npm puts that one's folder first on the path, so the folders
# node_modules/.bin are passed over.
system=''
IFS=:
for folder in $PATH; do
  case "$folder" in */node_modules/.bin) continue ;; esac
  if [ -x "$folder/node" ] && [ ! -d "$folder/node" ]; then
    system="$folder/node"
    break
  fi
done
unset IFS
major=0
if [ -n "$system" ]; then
  version=$("$system" --version 2>/dev/null)
  major=${version#v}
  major=${major%%.*}
fi
if [ "$major" -ge 24 ] 2>/dev/null; then exec "$system" "$@"; fi
own="$(dirname "$0")/../node_modules/.bin/node"
if [ -x "$own" ]; then exec "$own" "$@"; fi
echo "verit: Node 24 or newer is needed; the system has ${version:-none}, and npm has none for this platform." >&2
echo "Install Node 24 (https://nodejs.org), then run npm ci again." >&2
exit 1
