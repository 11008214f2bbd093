#!/bin/sh
# Writes all data of Keyturn that must not be lost to one file:
#   DATABASE_URL=postgres://… ./deploy/backup/backup.sh FILE
# Redis needs no backup, because its data expires within the hour. Do not store the root key with this file: together
# they open every sealed copy.
set -eu
file=${1:?usage: DATABASE_URL=postgres://… $0 FILE}
: "${DATABASE_URL:?names the database}"
umask 077
trap 'rm -f "$file.part"' EXIT
pg_dump --format=custom --no-owner --no-privileges --file="$file.part" "$DATABASE_URL"
# Check that the file can be read back.
pg_restore --list "$file.part" >/dev/null
mv "$file.part" "$file"
echo "$file written." >&2
