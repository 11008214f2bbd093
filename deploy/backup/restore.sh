#!/bin/sh
# Restores a backup into an empty database, completely or not at all:
#   DATABASE_URL=postgres://… ./deploy/backup/restore.sh FILE
# Then run `keyturn migrate` and `keyturn after-restore` before a server starts.
set -eu
file=${1:?usage: DATABASE_URL=postgres://… $0 FILE}
: "${DATABASE_URL:?names the database}"
tables=$(psql --no-psqlrc -Atqc "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'" "$DATABASE_URL")
if [ "$tables" != 0 ]; then
  echo "The database is not empty; nothing was changed." >&2
  exit 1
fi
list=$(mktemp)
trap 'rm -f "$list"' EXIT
# These policies name a role that this server may not have. `keyturn migrate` creates both again.
pg_restore --list "$file" | grep -v ' POLICY .* own_organization ' >"$list"
pg_restore --exit-on-error --single-transaction --no-owner --no-privileges --use-list="$list" --dbname="$DATABASE_URL" "$file"
echo 'Restored. Now: keyturn migrate, then keyturn after-restore, then start.' >&2
