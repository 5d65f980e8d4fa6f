#!/bin/sh
# Rebuilds the programs with Debian's clang, lld, wasi-libc and libclang-rt-14-dev-wasm32.
cd "$(dirname "$0")" || exit 1
for program in syscalls pingpong nothing spin compute forks; do
  clang --target=wasm32-wasi --sysroot=/usr -O2 -s -o "$program.wasm" "$program.c" || exit 1
done
clang --target=wasm32-wasi --sysroot=/usr -O2 -s -o ../migrate/pause.wasm ../migrate/pause.c || exit 1
