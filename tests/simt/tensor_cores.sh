#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tensor_cores.sh NVCC SOURCE_DIR WORK_DIR
# Compiles the test kernels of the tensor core wrappers for sm_80 and sm_90a and demands, kernel by kernel, the PTX
# instructions that the wrappers stand for, that ptxas takes them, and that no kernel spills. Prints registers.
set -euo pipefail
nvcc=$1 source=$2 work=$3
mkdir -p "$work"

failed=0
for architecture in 80 90a; do
  options=(-std=c++20 -I "$source" --expt-relaxed-constexpr -Werror=all-warnings)
  ptx=$work/tensor_cores_$architecture.ptx report=$work/ptxas_$architecture.txt
  "$nvcc" "${options[@]}" -ptx -arch="compute_$architecture" -o "$ptx" "$source/tests/simt/tensor_cores.cu"
  "$nvcc" "${options[@]}" -cubin -gencode "arch=compute_$architecture,code=sm_$architecture" -Xptxas=-v \
    -o "$work/tensor_cores_$architecture.cubin" "$source/tests/simt/tensor_cores.cu" 2>"$report" || {
    cat "$report"
    exit 1
  }
  # want KERNEL INSTRUCTION: it is in the kernel whose mangled name holds KERNEL
  want() {
    if ! awk -v kernel="$1" -v instruction="$2" '
      /^\.visible \.entry/ { on = index($0, kernel) > 0 }
      on && index($0, instruction) { found = 1 }
      END { exit !found }' "$ptx"; then
      echo "sm_$architecture: $1 has no $2"
      failed=1
    fi
  }
  want mma_kernelILNS0_3MmaE0 mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32
  want mma_kernelILNS0_3MmaE1 mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
  want mma_kernelILNS0_3MmaE2 mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
  for n in 1 2 4; do
    want "load_matrices_kernelILi${n}ELb0" "ldmatrix.sync.aligned.m8n8.x$n.shared.b16"
    want "load_matrices_kernelILi${n}ELb1" "ldmatrix.sync.aligned.m8n8.x$n.trans.shared.b16"
  done
  want async_copy_kernelILi4 'cp.async.ca.shared.global'
  want async_copy_kernelILi8 'cp.async.ca.shared.global'
  want async_copy_kernelILi16 'cp.async.cg.shared.global'
  want use_to_tf32 cvt.rna.tf32.f32
  want use_to_bf16_pair cvt.rn.bf16x2.f32
  for instruction in mma.sync.aligned.m16n8k16.row.col.f32.bf16 ldmatrix.sync.aligned.m8n8.x4.shared \
    ldmatrix.sync.aligned.m8n8.x4.trans.shared cp.async.cg.shared.global cp.async.commit_group cp.async.wait_group; do
    want product_kernel "$instruction"
  done
  if grep -E '[1-9][0-9]* bytes spill' "$report"; then failed=1; fi
  sed -n "s/.*entry function '\([^']*\)'.*/\1/p; s/.*Used \([0-9]* registers\).*/  \1/p" "$report" |
    awk -v architecture="$architecture" '/^_/ { name = $0; next } { print "sm_" architecture $0 ": " name }'
done
exit "$failed"
