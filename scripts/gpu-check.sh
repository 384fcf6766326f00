#!/usr/bin/env bash
# What only a card can tell, in one go. Needs nvcc 13, a C++ compiler and CMake there; no network, no Node.
#
#   scripts/gpu-check.sh [--parts 1,2,5] [--out FOLDER] [--emulated] [--limit SECONDS]
#
#   1  driver, card, conformance of every function of native/cuda/ptx.h against the emulator     15 s
#   2  every kernel case three times, against the hashes that the emulator gave                   30 s
#   3  golden models (test/device): trusted outputs, equal bits however asked, the emulator's hashes  60 s
#   4  compute-sanitizer (memcheck, racecheck, synccheck) on the smallest case of each kernel     60 s
#   5  copy and matmul rates, gemm and attention beside torch of the same run, held to the bars   90 s
#   6  a decoder of 8B with random weights: decode of siblings, trees of solutions, of their floors; beside transformers  90 s
#
# Every part runs in a process group of its own that --limit (240, of part 6 360; emulated 1200) ends, building included, and writes
# FOLDER/partN.json as it ends; where it did not, the reason stands there, and what it had written is partN-so-far.json. FOLDER
# is $OUT where that is set, else build/gpu-check. --emulated is a dry run of parts 1 to 3 on the emulated device, and of 6 with
# a tiny decoder, whose figures say nothing. Exit code: how many parts failed.
set -uo pipefail
cd "$(dirname "$0")/.."
parts=1 out=${OUT:-build/gpu-check} emulated=0 limit=0 alone=
while (($#)); do
  case $1 in
    --parts) parts=$2 && shift 2 ;;
    --out) out=$2 && shift 2 ;;
    --emulated) emulated=1 && shift ;;
    --limit) limit=$2 && shift 2 ;;
    --alone) alone=$2 && shift 2 ;; # this process is that part's
    *) echo "unknown option $1" >&2 && exit 64 ;;
  esac
done
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=build/gpu
jobs=$(nproc)

# The card's own architecture, as CMake's list: 9.0 means 90a.
card_targets() {
  local capability
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .)
  case $capability in
    90) echo '90a=90a' ;;
    80 | 86 | 89) echo "80=$capability" ;;
    [1-9][0-9]*) echo '80=ptx' ;;
    *) return 1 ;;
  esac
}

build() { # TARGET…
  if ((emulated)); then
    cmake -S . -B "$work-emulated" -DMMPRM_TESTS_DIR="$PWD/$work-emulated" >"$out/configure.log" 2>&1 || return 1
    cmake --build "$work-emulated" --target "$@" --parallel "$jobs" >"$out/build.log" 2>&1
    return
  fi
  local targets nvcc
  targets=$(card_targets) || { echo "no card: nvidia-smi names none" | tee "$out/build.log" && return 1; }
  nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc build/cuda-toolkit/bin/nvcc 2>/dev/null | head -n 1)
  [[ $nvcc ]] || { echo "no nvcc on the path, in /usr/local/cuda or in build/cuda-toolkit" | tee "$out/build.log" && return 1; }
  cmake -S . -B "$work" -DMMPRM_CUDA=ON "-DMMPRM_CUDA_TARGETS=$targets" -DCMAKE_CUDA_COMPILER="$nvcc" \
    -DMMPRM_TESTS_DIR="$PWD/$work" >"$out/configure.log" 2>&1 || return 1
  cmake --build "$work" --target "$@" --parallel "$jobs" >"$out/build.log" 2>&1
}

# failure PART WHAT: a part that could not even begin says so where its result would be.
failure() {
  printf '{"part": %s, "failed": 1, "error": "%s"}\n' "$1" "$2" >"$out/part$1.json"
  echo "part $1: $2"
  return 1
}

part1() {
  local program=$work/conformance
  if ((emulated)); then
    build conformance_dry_run || { tail -n 20 "$out/configure.log" "$out/build.log"; failure 1 "does not build"; return 1; }
    program=$work-emulated/conformance_dry_run
  else
    nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total,clocks.max.sm,clocks.max.mem,power.limit \
      --format=csv | tee "$out/card.csv"
    build conformance || { tail -n 20 "$out/configure.log" "$out/build.log"; failure 1 "does not build"; return 1; }
  fi
  timeout --kill-after=5 120 "$program" --out "$out/part1.json"
}

part2() {
  if ((emulated)); then
    build kernel_check || { tail -n 20 "$out/configure.log" "$out/build.log"; failure 2 "does not build"; return 1; }
    timeout --kill-after=5 600 "$work-emulated/kernel_check" --hashes test/cuda/kernel_hashes.txt --json "$out/part2.json"
    return
  fi
  kernels cases 2 && mv "$out/cases.json" "$out/part2.json"
}

# A library of the device and a program that loads it, as an engine does. (MODELS=WORD: some models alone.)
part3() {
  local place=$work device=cuda library=mm_prm_cuda limit=120
  ((emulated)) && place=$work-emulated device=emulated library=mm_prm_cuda_emulated limit=900
  build device_check "$library" || { tail -n 20 "$out/configure.log" "$out/build.log"; failure 3 "does not build"; return 1; }
  echo "built: $(stat -c '%n %s bytes' "$place/$library.so")"
  timeout --kill-after=5 "$limit" "$place/device_check" --device "$device" --models "${MODELS:-}" \
    --hashes test/device/model_hashes.txt --json "$out/part3.json"
}

part4() {
  ((emulated)) && { failure 4 "compute-sanitizer needs a card"; return 1; }
  rm -f "$out/sanitize.log"
  kernels sanitize 4
  local status=$?
  [[ -f $out/sanitize.json ]] && mv "$out/sanitize.json" "$out/part4.json"
  return "$status"
}

part5() {
  ((emulated)) && { failure 5 "an emulator has no speed"; return 1; }
  local torch=
  python3 -c 'import torch' 2>/dev/null && torch=--torch
  kernels grid 5 $torch
  python3 bench/cuda/judge.py "$out" >"$out/part5.json"
}

# The rates of the card itself come from torch, in the same run.
part6() {
  local place=$work library=mm_prm_cuda rates copy matmul
  ((emulated)) && place=$work-emulated library=mm_prm_cuda_emulated
  build decoder_rates "$library" || { tail -n 20 "$out/configure.log" "$out/build.log"; failure 6 "does not build"; return 1; }
  if ((emulated)); then
    timeout --kill-after=5 300 "$place/decoder_rates" --device emulated --shape tiny --copy-tbs 1e-9 --matmul-tflops 1e-9 \
      --json "$out/part6.json"
    return
  fi
  rates=$(timeout 60 python3 -c 'import sys; sys.path.insert(0, "bench/cuda"); import attention_torch
r = attention_torch.roofs(); print(r["copy_tbs"], r["matmul_tflops"])') || echo "no rates: torch is not there"
  read -r copy matmul <<<"$rates"
  local status=0
  timeout --kill-after=5 120 "$place/decoder_rates" --copy-tbs "${copy:-0}" --matmul-tflops "${matmul:-0}" --json "$out/part6.json" ||
    status=1
  [[ -s $out/part6.json ]] || return 1
  timeout --kill-after=5 120 python3 bench/cuda/transformers_peer.py "$out/part6.json" || status=1
  return "$status"
}

# kernels WHAT PART [OPTION]: builds and runs them for the card's own architecture.
kernels() {
  local what=$1 part=$2 capability
  shift 2
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .)
  [[ $capability ]] || { failure "$part" "no card: nvidia-smi names none"; return 1; }
  [[ $capability == 90 ]] && capability=90a
  (cd "$out" && rm -f cases.json sanitize.json grid.jsonl torch.jsonl attention.jsonl attention-torch.jsonl) # of an earlier run
  bash scripts/cuda-kernels.sh --build "$work-kernels" --out "$out" --arch "$capability" --parts "$what" "$@" ||
    { [[ -f $out/cases.json ]] && mv "$out/cases.json" "$out/part$part.json" || failure "$part" "see above"; return 1; }
}

if [[ $alone ]]; then
  "part$alone" || exit 1
  exit 0
fi

# What is there of a part that did not end by itself, and why.
broken() { # PART WHY
  [[ -s $out/part$1.json ]] && mv "$out/part$1.json" "$out/part$1-so-far.json"
  failure "$1" "$2"
}

failed=0 running=
trap '[[ $running ]] && kill "$running"; exit 130' INT TERM
for part in ${parts//,/ }; do
  began=$SECONDS
  echo "==> part $part"
  if [[ $(type -t "part$part") != function ]]; then
    echo "there is no part $part" && failed=$((failed + 1)) && continue
  fi
  rm -f "$out/part$part.json" "$out/part$part-so-far.json"
  options=(--alone "$part" --out "$out")
  ((emulated)) && options+=(--emulated)
  most=$((limit > 0 ? limit : emulated ? 1200 : part == 6 ? 360 : 240)) # of 6: its build and the limits of its three programs
  timeout --kill-after=10 "$most" bash scripts/gpu-check.sh "${options[@]}" &
  running=$!
  wait "$running"
  status=$?
  running=
  if ((status == 124 || status == 137)); then
    broken "$part" "not done after $most s"
  elif [[ ! -s $out/part$part.json ]]; then
    broken "$part" "ended with $status and wrote nothing" || status=1
  elif ((status)) && grep -q '"failed": 0\b' "$out/part$part.json"; then # killed half way, by a limit of its own
    broken "$part" "ended with $status before it was done"
  fi
  if ((status == 0)); then echo "<== part $part: $((SECONDS - began)) s"; else failed=$((failed + 1)) && echo "<== part $part FAILED: $((SECONDS - began)) s"; fi
done
exit "$failed"
