#!/usr/bin/env bash
# remusnet on a host, as docs/how-to/xl-remus.md says. May run again: installs what has changed.
set -euo pipefail
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PLACE=/opt/remusnet
cd "$TOP"
# pip would install the same version again each time.
digest=$(find remusnet/ tc_templates/ setup.cfg pyproject.toml requirements.lock -type f ! -path '*/__pycache__/*' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
if [ "$(cat $PLACE/installed 2>/dev/null)" != "$digest" ]; then
    python3 -m venv $PLACE
    # From a copy: pip leaves what it builds beside the source.
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cp -a LICENSE MANIFEST.in README.md pyproject.toml remusnet setup.cfg tc_templates "$work"
    $PLACE/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
    $PLACE/bin/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps --no-build-isolation "$work"
    echo "$digest" >$PLACE/installed
fi
ln -sfn $PLACE/bin/remusnet /usr/local/sbin/remusnet
remusnet xen install --default
