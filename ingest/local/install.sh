# Installs Debian packages ("$@") for their programs only: no service is started or left enabled.
# Read by ingest/local/install.py; run as root. ROOT is another root folder, in tests.
set -eu
export DEBIAN_FRONTEND=noninteractive
policy="${ROOT:-}/usr/sbin/policy-rc.d"
clusters="${ROOT:-}/etc/postgresql-common/createcluster.conf"
packaged="${ROOT:-}/usr/share/postgresql-common/createcluster.conf"
made_policy='' made_clusters=''

restore() {
    [ -z "$made_policy" ] || rm -f "$policy"
    if [ -n "$made_clusters" ]; then
        rm -f "$clusters"
        [ ! -e "$packaged" ] || cp "$packaged" "$clusters"
    fi
}
trap restore EXIT
trap 'exit 143' TERM INT HUP

if [ ! -e "$policy" ]; then
    mkdir -p "${policy%/*}"
    made_policy=1
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
if [ ! -e "$clusters" ]; then
    mkdir -p "${clusters%/*}"
    made_clusters=1
    echo 'create_main_cluster = false' >"$clusters"
fi

apt-get -o DPkg::Lock::Timeout=300 update || echo 'apt-get update failed; trying with the lists at hand'
apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$@" </dev/null

if command -v systemctl >/dev/null; then
    for package in "$@"; do
        systemctl disable "$package.service" || true
    done
fi
