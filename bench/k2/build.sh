#!/bin/sh
# Rebuilds the program with Debian's clang, lld, wasi-libc and libclang-rt-14-dev-wasm32.
cd "$(dirname "$0")" || exit 1
clang --target=wasm32-wasi --sysroot=/usr -O2 -s -o light.wasm light.c
