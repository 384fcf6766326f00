#!/usr/bin/env bash
# Gets nvcc and what reads its output from PyPI into build/cuda-toolkit, which then is a CUDA home (300 MB). Does nothing
# where these versions are there already. Not to get it is a failure.
#
#   scripts/cuda-toolkit.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
home=${1:-build/cuda-toolkit}
# The driver that 13.0 asks for is R580. cuobjdump and nvdisasm exist there from 13.2 on, and read what 13.0 wrote.
packages=(
  nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88
  nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
  nvidia-cuda-cuobjdump==13.2.51 nvidia-cuda-nvdisasm==13.2.51
)
if [[ -x $home/bin/nvcc && $(cat "$home/packages" 2>/dev/null) == "${packages[*]}" ]]; then
  echo "$home: already there"
  exit 0
fi
python3 -m pip --version >/dev/null || { echo "cuda-toolkit: python3 has no pip" >&2 && exit 1; }
mkdir -p "$(dirname "$home")"
site=$(mktemp -d "$(dirname "$home")/cuda-toolkit.XXXX")
trap 'rm -rf "$site"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --target "$site" "${packages[@]}"
# WHY: CMake's compiler test and every link look into lib64.
ln -s lib "$site/nvidia/cu13/lib64"
"$site/nvidia/cu13/bin/nvcc" --version | tail -n 1
printf '%s' "${packages[*]}" >"$site/nvidia/cu13/packages"
rm -rf "$home"
mv "$site/nvidia/cu13" "$home"
echo "$home: nvcc, ptxas, cuobjdump, nvdisasm, headers and the static runtime"
