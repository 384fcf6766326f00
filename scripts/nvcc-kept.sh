#!/usr/bin/env bash
# CMake's launcher of nvcc in scripts/cuda-compile.mjs: keeps beside each object what the compiler said (OBJECT.log, with
# ptxas's numbers) and the PTX (OBJECT.ptx/), so that they can be judged after an incremental build too.
set -uo pipefail
object=
for ((i = 1; i < $#; ++i)); do
  if [[ ${!i} == -o ]]; then
    next=$((i + 1))
    object=${!next}
  fi
done
[[ $object == *.o && " $* " == *" -c "* ]] || exec "$@"
rm -rf "$object.ptx"
mkdir -p "$object.ptx"
"$@" -Xptxas=-v --keep --keep-dir "$object.ptx" >"$object.log" 2>&1
status=$?
find "$object.ptx" -type f ! -name '*.ptx' -delete
((status == 0)) || cat "$object.log" >&2
exit "$status"
