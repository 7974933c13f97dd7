#!/bin/sh
# Runs the corpora's own script over each of its manifests and prints its tables; the tests beside this file judge what
# the script cannot know, such as that no key is at hand for a signature that only names one.
# Usage: CORPORA=folder PYTHON=interpreter score.sh; `score.sh judge FILE [CONTENT...]` judges one document, with what its
# record on standard input has of contents that are known by their digest alone.
set -eu

if [ "${1:-}" = judge ]; then
    shift
    file=$1
    shift
    count=$#
    while [ "$count" -gt 0 ]; do
        set -- "$@" --detached "$1"
        shift
        count=$((count - 1))
    done
    record=
    # Whoever asks by hand may leave open a standard input on which nothing comes.
    [ -t 0 ] || record=$(timeout 5 cat) || true
    case $record in
    *'"digest_b64"'*)
        digests=$(printf '%s' "$record" | "$PYTHON" -c '
import json, sys
for one in json.load(sys.stdin).get("detached") or []:
    if isinstance(one, dict):
        print(one["digest_alg"], one["digest_b64"], sep=":")
')
        for digest in $digests; do
            set -- "$@" --detached-digest "$digest"
        done
        ;;
    esac
    exec "$PYTHON" -m services.verifier check "$file" "$@" --integrity --json
fi

trust="--anchor $CORPORA/files/pkits/certs/TrustAnchorRootCertificate.crt"
trust="$trust --intermediate $CORPORA/files/pkits/certs --crl $CORPORA/files/pkits/crls"
record="'$PYTHON' -m services.verifier check --record"
bad=0
score() {
    echo "== $1"
    "$PYTHON" "$CORPORA/score.py" --manifest "$CORPORA/$1" --cmd "$2" --jobs "$(nproc)" --timeout 60 --list || bad=1
}
score manifest.json "PYTHON='$PYTHON' '$0' judge {file} {detached}"
score pkits.json "$record"
score pkits_smime.json "$record $trust"
score limbo_manifest.json "$record"
gated=$bad
score xmldsig.json "PYTHON='$PYTHON' '$0' judge {file} {detached}"
exit "$gated"
