#!/bin/sh
# Makes the two secrets that docker-compose.yml needs, once: ./deploy/make-secrets.sh [FILE]
# Keep a copy of KEYTURN_ROOT_KEY apart from the database: without it no stored credential can be recognised again.
set -eu
file=${1:-.env}
if [ -e "$file" ]; then
  echo "$file exists already; nothing was changed." >&2
  exit 1
fi
umask 077
random() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }
{
  # Goes into a URL, so without the characters that mean something there.
  echo "POSTGRES_PASSWORD=$(random | tr -d '/+=')"
  echo "KEYTURN_ROOT_KEY=v1:$(random)"
} >"$file"
echo "$file written."
