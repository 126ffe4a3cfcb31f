#!/bin/sh
# Makes configure from configure.ac. Needed in a git checkout only, not in a release tarball.
cd "$(dirname "$0")" || exit 1
for tool in autoreconf automake libtoolize pkg-config; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "autogen.sh: not found:$missing. Install them: apt-get install autoconf automake libtool pkg-config" >&2
    exit 1
fi
exec autoreconf --install --warnings=all "$@"
