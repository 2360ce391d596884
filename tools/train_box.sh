#!/usr/bin/env bash
# A box of time on a lent machine: the trainer runs on between calls, each call brings weights home.
#
#   tools/train_box.sh pack FOLDER PARTS BYTES      here: pictures into PARTS/0, PARTS/1, ... of BYTES
#   tools/train_box.sh start CORPUS OPTION...       there: `intnet train CORPUS OPTION...`, detached
#   tools/train_box.sh wait SECONDS                 there: follow it, copy weights and log to $OUT
set -euo pipefail
box=${BOX:-/tmp/box}

case "${1:-}" in
pack)
  part=0 used=0
  while IFS= read -r picture; do
    size=$(stat -c %s "$picture")
    if ((used + size > $4)); then part=$((part + 1)) used=0; fi
    mkdir -p "$3/$part" && cp "$picture" "$3/$part/" && used=$((used + size))
  done < <(find "$2" -maxdepth 1 -type f | sort)
  ;;
start)
  mkdir -p "$box"
  PYTHONPATH=$PWD setsid nohup python3 -m intnet.training.train "$2" \
    --out "$box/model.safetensors" "${@:3}" > "$box/log" 2>&1 < /dev/null &
  echo $! > "$box/pid"
  ;;
wait)
  timeout "$2" tail --pid="$(cat "$box/pid")" -f /dev/null || true
  tr '\r' '\n' < "$box/log" | tail -n 3
  for name in model.safetensors model.jsonl; do # there after five minutes
    if [[ -e $box/$name ]]; then cp "$box/$name" "$OUT"/; fi
  done
  ;;
*) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
