# shellcheck shell=bash disable=SC2034
# Shared by the scripts in dev/. Sourced, not run.

# The folder for what is expensive to make: survives a checkout, may be deleted at any time.
dev_cache=${XDG_CACHE_HOME:-$HOME/.cache}/infra-dev
dev_started=$(date +%s)

# say TEXT: a line of progress with the seconds since the script started.
# To standard error, or to the descriptor in say_to where that goes to a log.
say() { printf '%5d s  %s\n' "$(($(date +%s) - dev_started))" "$*" >&"${say_to:-2}"; }

# fail WHAT [HINT...]: the error, what to do about it, the end.
fail() {
  printf 'error: %s\n' "$1" >&"${say_to:-2}"
  shift
  [ $# = 0 ] || printf '       %s\n' "$@" >&"${say_to:-2}"
  exit 1
}

# need_space FOLDER GIBIBYTES PURPOSE: stops when the file system of the folder has less than that left.
need_space() {
  local free
  free=$(df --output=avail -BG "$1" | tail -1 | tr -dc 0-9)
  [ "$free" -ge "$2" ] || fail "$3 needs $2 GiB, and the file system of $1 has $free GiB left" "make room there and run this again"
}

# install_packages PACKAGE...: Debian packages. Runs at the same time wait for each other.
install_packages() {
  command -v apt-get >/dev/null || fail "this needs the Debian packages $*, and there is no apt-get here" "install what they hold and run this again"
  [ "$(id -u)" = 0 ] || fail "installing the packages $* needs root" "run this as root, or install them and run it again"
  local log=/var/log/infra-dev-apt.log
  say "installing $*"
  (
    flock 8
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
  ) 8>/run/lock/infra-dev-apt.lock >"$log" 2>&1 </dev/null && return
  tail -5 "$log" >&2
  fail "apt-get could not install $*" "is there a network, and does a Debian mirror answer? the whole output is in $log"
}
