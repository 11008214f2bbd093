#!/usr/bin/env bash
# Runs a program, and rotates its secret with `keyturn agent` while it runs.
# The files are in DIRECTORY, or in a temporary one, which is removed at the end.
# usage: CLIENT_ID=kti_… CLIENT_SECRET=kts_… ISSUER=https://auth.example.com ./run.sh [options of keyturn agent]
set -euo pipefail
directory=${DIRECTORY:-$(mktemp -d)}
program=
trap '[ -z "$program" ] || kill "$program"; [ -n "${DIRECTORY:-}" ] || rm -r "$directory"' EXIT
umask 077

export ISSUER CREDENTIALS_FILE="$directory/client.json" PID_FILE="$directory/program.pid"
printf '{"client_id":"%s","client_secret":"%s"}\n' "$CLIENT_ID" "$CLIENT_SECRET" > "$CREDENTIALS_FILE"

"${NODE:-node}" "$(dirname "$0")/program.js" &
program=$!
until [ -s "$PID_FILE" ]; do sleep 0.1; done

${KEYTURN:-keyturn} agent --issuer "$ISSUER" --file "$CREDENTIALS_FILE" --pid-file "$PID_FILE" "$@"
