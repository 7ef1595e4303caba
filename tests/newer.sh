#!/usr/bin/env bash
# The project's tests inside another Debian: tests/newer.sh SUITE PYTEST-ARGUMENTS.. (`make newer` does it).
# The Debian is made by debootstrap from the machine's own mirror, kept in .local/newer and used again. What the machine's
# apt and pip are told of mirrors, proxies and certificates is told to those inside too, afresh each time.
# With PROVED set, what passed is written down in docs/proved.
# Exit status: pytest's; 69 when that Debian can't be had on this machine, whatever the project's state.
set -euo pipefail
cd "$(dirname "$0")/.."

suite=$1
shift
record=docs/proved/$suite.json
[ -z "${PROVED-}" ] || set -- --proved "$record" "$@"
kept=.local/newer
root=$PWD/$kept/$suite
unavailable=69

cannot() {
    printf '%s\n' "make newer: $1" >&2
    exit $unavailable
}

[ "$(id -u)" = 0 ] || cannot 'needs root, for chroot and mounts: run it as root'
unshare --mount --pid --fork true || cannot 'root may not make namespaces here: in a container, give it CAP_SYS_ADMIN'

# One run at a time: a second one would change the files under the first.
mkdir -p "$kept"
exec 9>"$kept/$suite.lock"
flock 9

# --- outside: make it, tell it what the machine knows -------------------------------------------------------------------

apt() { apt-get -o DPkg::Lock::Timeout=300 -qq "$@" </dev/null >&2; }

mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Component: main' | sed -n 1p
}

make_root() {
    local from script=
    if [ -z "$(mirror)" ] || ! command -v debootstrap >/dev/null; then
        apt update || cannot 'apt-get update failed: is the mirror of /etc/apt within reach?'
    fi
    command -v debootstrap >/dev/null ||
        DEBIAN_FRONTEND=noninteractive apt install --yes --no-install-recommends debootstrap ||
        cannot 'debootstrap is missing and could not be installed: apt-get install debootstrap'
    from=$(mirror)
    [ -n "$from" ] || cannot 'apt knows no mirror of Debian: apt-get indextargets shows none'
    # A suite that is newer than this machine's debootstrap is made as it makes the newest that it knows.
    [ -e "/usr/share/debootstrap/scripts/$suite" ] || script=sid
    rm -rf "$root" "$root.part"
    echo "making Debian $suite in ${root#"$PWD"/} from $from" >&2
    timeout 900 debootstrap --variant=minbase --include=python3-venv,make "$suite" "$root.part" "$from" $script >"$root.log" 2>&1 || {
        tail -n 20 "$root.log" >&2
        rm -rf "$root.part"
        cannot "$from did not give Debian $suite (the whole log: ${root#"$PWD"/}.log)"
    }
    printf 'deb %s %s main\n' "$from" "$suite" >"$root.part/etc/apt/sources.list"
    mv "$root.part" "$root"
}

# pip's settings, as a file, from what `pip config list` prints; what names a folder of this machine isn't there inside.
pip_settings() {
    python3 -c '
import ast, re, sys
told = {}
for line in sys.stdin:
    key, _, value = line.strip().partition("=")
    words = [word for word in ast.literal_eval(value).split() if not word.startswith("file:")]
    told[re.split("[.:]", key)[-1].removeprefix("default-")] = " ".join(words)
print("[global]")
for key in ("index-url", "extra-index-url", "trusted-host", "proxy", "cert", "timeout"):
    if told.get(key):
        print(f"{key} = {told[key]}")'
}

tell_root() {
    local each
    for each in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt; do
        [ ! -e "$each" ] || cat "$each" >"$root$each"
    done
    mkdir -p "$root/usr/local/share"
    [ ! -d /usr/local/share/ca-certificates ] || cp -rL /usr/local/share/ca-certificates "$root/usr/local/share/"
    apt-config dump Acquire | grep -E '^Acquire::(https?|Check|Retries)' >"$root/etc/apt/apt.conf.d/90machine" || true
    # What names a folder of this machine is left out: it isn't there inside.
    { .venv/bin/python -m pip config list || python3 -m pip config list || true; } 2>/dev/null | pip_settings >"$root/etc/pip.conf"
}

# The project as it stands here, committed or not; what was installed inside stays.
copy_project() {
    mkdir -p "$root/project"
    find "$root/project" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard |
            tar --create --no-recursion --ignore-failed-read --warning=no-failed-read --null --files-from=-
    else
        tar --create --exclude=./.local --exclude=./.venv --exclude=./build .
    fi | tar --extract --directory "$root/project"
    find "$root/tmp" -mindepth 1 -delete
}

[ -d "$root" ] || make_root
tell_root
copy_project

# --- inside: a namespace of its own, whose mounts and processes end with its first process ------------------------------

# shellcheck disable=SC2016  # expanded inside
inside='
set -eu
root=$1
shift
# A root of its own, not a mere chroot, in which no user namespace could be made.
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
cd "$root"
mkdir -p .machine
pivot_root . .machine
exec /bin/sh -c "
    umount --lazy /.machine
    set -e
    cd /project
    dpkg --configure -a >/dev/null </dev/null
    make install </dev/null
    exec .venv/bin/python -m pytest \"\$@\" </dev/null" sh "$@"
'
carried=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8)
for name in CI TERM COLUMNS http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [ -z "${!name-}" ] || carried+=("$name=${!name}")
done
# In the background with a trap, since a shell waits with its traps for what runs in front. A killed shell takes the
# namespace along (pdeathsig), a killed namespace all that runs in it (kill-child).
setpriv --pdeathsig KILL env --ignore-environment --default-signal=INT,QUIT "${carried[@]}" \
    unshare --mount --propagation private --pid --fork --kill-child sh -c "$inside" sh "$root" "$@" 9>&- &
running=$!
trap 'kill -KILL $running 2>/dev/null || true' EXIT
trap 'exit 143' TERM HUP
trap 'exit 130' INT
status=0
wait $running || status=$?
if [ $status = 0 ] && [ -e "$root/project/$record" ]; then
    mkdir -p "${record%/*}"
    cat "$root/project/$record" >"$record"
fi
exit $status
