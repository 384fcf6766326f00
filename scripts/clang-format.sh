#!/usr/bin/env bash
# Checks the layout of the C++ sources. Other major versions lay out some lines differently: they do not judge.
set -euo pipefail
cd "$(dirname "$0")/.."
version=14
if ! command -v clang-format >/dev/null; then
  echo "clang-format is not installed: the layout of C++ sources is NOT checked"
elif ! clang-format --version | grep -q "version $version\."; then
  echo "$(clang-format --version) is not version $version: the layout of C++ sources is NOT checked"
else
  sources=('*.cc' '*.h' '*.cu' '*.cuh')
  git ls-files -z "${sources[@]}" | xargs -0 clang-format --dry-run --Werror
  echo "clang-format: $(git ls-files "${sources[@]}" | wc -l) files checked"
fi
