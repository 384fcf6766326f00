#!/usr/bin/env bash
# Kernel cases, compute-sanitizer and speed on a card, built by its own nvcc:
#
#   bash scripts/cuda-kernels.sh [--build FOLDER] [--out FOLDER] [--arch 90a] [--parts cases,sanitize,grid] [--sweep] [--torch]
#
# Writes cases.json, sanitize.json, grid.jsonl and attention.jsonl (torch.jsonl and attention-torch.jsonl beside them)
# into the out folder. The cases must give the hashes that the
# emulator gave (test/cuda/kernel_hashes.txt), three times each.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/cuda-kernels out= arch=90a parts=cases,grid sweep=0 torch=0
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --arch) arch=$2; shift 2 ;;
    --parts) parts=$2; shift 2 ;;
    --sweep) sweep=1; shift ;;
    --torch) torch=1; shift ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
done
out=${out:-$build}
build=$build/$arch # objects of other cards are no use here
mkdir -p "$build" "$out"
nvcc=${NVCC:-$(command -v nvcc || ls /usr/local/cuda/bin/nvcc "$root/build/cuda-toolkit/bin/nvcc" 2>/dev/null | head -n 1)}
flags=(-std=c++20 -O3 --fmad=false -x cu -I "$root/native"
  -gencode "arch=compute_$arch,code=sm_$arch")

compile() { # SOURCE…: one object each, side by side; those that nothing changed since are kept for the next part
  printf '%s\n' "$@" | xargs -P "$(nproc)" -I {} sh -c '
    source=$1 object=$2/$(basename "$1").o; shift 2
    [ -f "$object" ] && [ -z "$(find native test/cuda bench/cuda scripts/cuda-kernels.sh -type f -newer "$object" -print -quit)" ] && exit
    "$@" -c "$source" -o "$object" || { echo "cannot compile $source" >&2; exit 255; }' sh {} "$build" "$nvcc" "${flags[@]}"
}
objects() { for source in "$@"; do echo "$build/$(basename "$source").o"; done; }
cd "$root"
kernels=$(ls native/kernels/*/*_cuda.cu native/kernels/*/*_cuda.cc)
began=$SECONDS
compile $kernels test/cuda/kernel_check.cc bench/cuda/gemm_grid.cc bench/cuda/attention_grid.cc
"$nvcc" $(objects $kernels test/cuda/kernel_check.cc) -o "$build/kernel_check"
"$nvcc" $(objects native/kernels/gemm/gemm_cuda.cu bench/cuda/gemm_grid.cc) -o "$build/gemm_grid"
"$nvcc" $(objects $(ls native/kernels/attention/*_cuda.cu native/kernels/attention/*work_cuda.cc) bench/cuda/attention_grid.cc) -o "$build/attention_grid"
echo "built in $((SECONDS - began)) s"

status=0
if [[ $parts == *cases* ]]; then
  timeout 100 "$build/kernel_check" --hashes test/cuda/kernel_hashes.txt --times 3 --json "$out/cases.json" || status=1
fi
# Of each kernel the smallest case.
if [[ $parts == *sanitize* ]]; then
  sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer)
  results=() bad=0
  for tool in memcheck racecheck synccheck; do
    for filter in 'N=48 K=16' 'norm rms C=64' 'rope bf16' embed gather fold 'bf16 D=20' 'f32 D=64' 'sample V=7'; do
      code=0
      timeout --kill-after=5 25 "$sanitizer" --tool "$tool" --error-exitcode 7 "$build/kernel_check" --filter "$filter" \
        >"$out/sanitize.one" 2>&1 || code=$?
      results+=("{\"tool\": \"$tool\", \"filter\": \"$filter\", \"exit\": $code}")
      cat "$out/sanitize.one" >>"$out/sanitize.log"
      if [ $code != 0 ]; then
        bad=$((bad + 1)) status=1
        echo "$tool \"$filter\": $code"
        grep -m 5 '=========' "$out/sanitize.one" || true
      fi
      printf '{"part": 4, "failed": %s, "results": [%s]}\n' "$bad" "$(IFS=, && echo "${results[*]}")" >"$out/sanitize.json"
    done
  done
fi
if [[ $parts == *grid* ]]; then
  timeout 180 "$build/gemm_grid" --json "$out/grid.jsonl" --sweep $sweep || status=1
  timeout 60 "$build/attention_grid" --json "$out/attention.jsonl" || status=1
  if [ $torch = 1 ]; then timeout 60 python3 bench/cuda/attention_torch.py "$out/attention-torch.jsonl" || status=1; fi
  if [ $torch = 1 ]; then timeout 120 python3 bench/cuda/gemm_torch.py "$out/torch.jsonl" || status=1; fi
fi
exit $status
