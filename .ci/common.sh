# shellcheck shell=bash
# Sourced by the scripts beside it: how they speak, how they install, where PostgreSQL lives.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT" || exit 1

# Builds read the committed query descriptions in .sqlx; a DATABASE_URL in the environment or in .env
# (which is for the running server) must not turn the compiler into a database client.
export SQLX_OFFLINE="${SQLX_OFFLINE:-true}"

say() { printf '\n==> %s\n' "$*" >&2; }
fail() {
  printf '\n!!! %s\n' "$*" >&2
  exit 1
}

# Runs a command as root when that needs no password; fails otherwise.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 1
  fi
}

# Runs a command as the unprivileged user that PostgreSQL insists on (initdb refuses root).
as_postgres_user() {
  if [ "$(id -u)" -eq 0 ]; then
    runuser -u postgres -- "$@"
  else
    "$@"
  fi
}

# The newest server binaries. Prints nothing when there are none.
postgres_bin_dir() {
  local found
  if [ -n "${PG_BIN_DIR:-}" ]; then
    found="$PG_BIN_DIR"
  else
    found="$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)"
    if [ -z "$found" ] && command -v pg_config >/dev/null; then
      found="$(pg_config --bindir)"
    fi
  fi
  if [ -n "$found" ] && [ -x "$found/initdb" ] && [ -x "$found/postgres" ]; then
    printf '%s\n' "$found"
  fi
}

# Kafka and Cassandra want Java 17 or newer.
java_is_new_enough() {
  local version
  version="$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)"
  [ -n "$version" ] && [ "$version" -ge 17 ]
}

# Whether somebody listens on 127.0.0.1 at this port.
port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port that nobody listens on now, below the range from which the kernel takes its own.
free_port() {
  local port tries=0
  while [ "$tries" -lt 200 ]; do
    port=$((20000 + RANDOM % 12000))
    if ! port_is_taken "$port"; then
      printf '%s\n' "$port"
      return 0
    fi
    tries=$((tries + 1))
  done
  return 1
}
