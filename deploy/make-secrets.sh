#!/bin/sh
# Writes the secrets that docker-compose.yml needs: ./deploy/make-secrets.sh [FILE]
# Adds what is missing to an existing file and never replaces a value.
# Keep a copy of KEYTURN_ROOT_KEY apart from the database: without it, no stored credential can be verified.
set -eu
file=${1:-.env}
umask 077
random() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }
added=
add() { # NAME VALUE
  if [ -e "$file" ] && grep -q "^$1=" "$file"; then return; fi
  echo "$1=$2" >>"$file"
  added="$added $1"
}
# Passwords become parts of URLs, so they must not contain characters with a meaning there.
for name in POSTGRES_PASSWORD KEYTURN_MIGRATE_PASSWORD KEYTURN_SERVE_PASSWORD REDIS_PASSWORD; do
  add "$name" "$(random | tr -d '/+=')"
done
add KEYTURN_ROOT_KEY "v1:$(random)"
if [ -z "$added" ]; then
  echo "$file has all secrets already; nothing was changed." >&2
  exit 1
fi
echo "Added to $file:$added"
