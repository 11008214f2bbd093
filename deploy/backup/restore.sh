#!/bin/sh
# Puts a backup into an empty database: DATABASE_URL=postgres://… ./deploy/backup/restore.sh FILE
# All of it or nothing. Then, before a server starts: keyturn migrate, and keyturn after-restore.
set -eu
file=${1:?usage: DATABASE_URL=postgres://… $0 FILE}
: "${DATABASE_URL:?names the database}"
tables=$(psql --no-psqlrc -Atqc "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'" "$DATABASE_URL")
if [ "$tables" != 0 ]; then
  echo "The database is not empty; nothing was changed." >&2
  exit 1
fi
pg_restore --exit-on-error --single-transaction --no-owner --no-privileges --dbname="$DATABASE_URL" "$file"
echo 'Restored. Now: keyturn migrate, then keyturn after-restore, then start.' >&2
