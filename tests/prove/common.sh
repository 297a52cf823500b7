# shellcheck shell=bash disable=SC2034
# What the campaigns share. Sourced by tests/prove/NAME/run, which is called from the repository's root as
#
#   run --budget slice|full|N|Ns --seed S      or      run --replay LINE
#
# and ends with one line: "NAME: <counts>, seed S, <seconds> s, N violations". Exit status as tools/prove says. Every
# violation is a line "VIOLATION <what> | replay: tools/prove NAME --replay '<line>'".
set -euo pipefail

budget=slice seed=1 replay=""  # the campaign reads them
while (($#)); do
  case $1 in
    --budget) budget=$2 ;;
    --seed) seed=$2 ;;
    --replay) replay=$2 ;;
    *)
      echo "unknown argument '$1'; call it through tools/prove" >&2
      exit 2
      ;;
  esac
  shift 2
done

# build_targets PRESET TARGET...: builds them, quietly unless that fails. MENTEDB_PROVE_BUILD=0 takes what is there.
build_targets() {
  local preset=$1 log
  shift
  [[ ${MENTEDB_PROVE_BUILD-1} != 0 ]] || return 0
  log=$(mktemp)
  if ! { [[ -f build/$preset/CMakeCache.txt ]] || cmake --preset "$preset"; } > "$log" 2>&1 ||
    ! cmake --build --preset "$preset" --parallel "$(nproc)" --target "$@" >> "$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    exit 1
  fi
  rm -f "$log"
}
