#!/usr/bin/env bash
# Measures everything that is claimed about a GPU, in less than eight minutes; one JSON line per claim.
#
#     benchmarks/on_gpu.sh --out=claims.jsonl [--wheels=DIR] [--python=python3] [--only=PARTS] [--tiny]
#
# --wheels names a folder of wheels of the packages that the machine lacks; it needs no network. --tiny
# takes a few small steps on any device, to test this script; --only=train,tests leaves out all parts with
# other names, which are environment, train, extraction, scoring and tests. Every part has its own limit in seconds and
# all have one together; the file holds every claim that was measured until then. The most important parts
# come first. Errors go to OUT.log.
set -u
cd "$(dirname "$0")/.." || exit 1

out="" wheels="" python=python3 tiny="" only=""
for argument in "$@"; do
  case "$argument" in
    --out=*) out=${argument#*=} ;;
    --wheels=*) wheels=${argument#*=} ;;
    --python=*) python=${argument#*=} ;;
    --only=*) only=,${argument#*=}, ;;
    --tiny) tiny=--tiny ;;
    *) echo "error: unknown argument $argument; valid: --out --wheels --python --only --tiny" >&2; exit 2 ;;
  esac
done
if [ -z "$out" ]; then
  echo "error: --out is missing; name the file of the claims, for example --out=claims.jsonl" >&2
  exit 2
fi
TOTAL=470 # seconds for everything
: >"$out" && : >"$out.log" || exit 1

if [ -n "$wheels" ]; then
  site=$(mktemp -d) || exit 1
  trap 'rm -rf "$site"' EXIT
  "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" \
    "$wheels"/*.whl >>"$out.log" 2>&1 || { echo "error: no wheel of $wheels fits; see $out.log" >&2; exit 1; }
  export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
# The sides that are compared share the memory of the GPU.
export XLA_PYTHON_CLIENT_MEM_FRACTION=0.2
if [ -n "$tiny" ]; then export OMP_NUM_THREADS=1; fi

# part LIMIT NAME ARGUMENTS: measures one part, and writes a line if it fails or takes too long.
part() {
  local limit=$1 name=$2 status
  shift 2
  if [ -n "$only" ] && [ "${only/,$name,/}" = "$only" ]; then return; fi
  if [ -n "$tiny" ]; then limit=$((4 * limit)); fi # a busy CPU is slow
  local left=$((TOTAL - SECONDS))
  [ "$limit" -gt "$left" ] && limit=$left
  if [ "$limit" -lt 10 ]; then
    echo "{\"claim\": \"skipped\", \"part\": \"$name $*\", \"error\": \"no time is left\"}" | tee -a "$out"
    return
  fi
  if [ "$name" = tests ]; then set -- "$@" --limit=$((limit - 5)); fi
  # timeout sends its signal to all processes of the part.
  timeout --kill-after=3 "$limit" "$python" benchmarks/gpu_claims.py "$name" "$@" $tiny --out="$out" \
    2>>"$out.log"
  status=$?
  if [ "$status" -ne 0 ]; then
    [ "$status" = 124 ] || [ "$status" = 137 ] && status="stopped after $limit s"
    echo "{\"claim\": \"failed\", \"part\": \"$name $*\", \"error\": \"$status\"}" | tee -a "$out"
  fi
}

part 30 environment
part 100 train --model=kvasir --precision=float32
part 100 train --model=features --precision=float32
part 70 extraction --precision=float32
part 45 scoring --model=kvasir
part 80 tests
part 90 train --model=features --precision=bfloat16
part 90 train --model=kvasir --precision=bfloat16
part 60 extraction --precision=bfloat16
part 45 scoring --model=features
part 45 scoring --model=kvasir --precision=bfloat16
echo "$(wc -l <"$out") lines in $out after $SECONDS s"
