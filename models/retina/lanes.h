// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The loops of the simulator run on the widest vectors of the processor. They are plain loops that compilers
/// vectorise; wider vectors change how many elements go at a time and nothing else, since no sum is reordered
/// and no multiplication is fused with an addition unless the source says fma. So the bits stay the same.
namespace fovea::retina {

// A target attribute, not a file compiled with other flags: what is not inlined here stays code for any
// processor, so nothing that the linker might share holds an instruction that another one lacks.
#if defined(__x86_64__)

template <class Work>
[[gnu::target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"), gnu::flatten]] void on_avx512(
    const Work& work) {
  work();
}

template <class Work>
[[gnu::target("avx2,fma"), gnu::flatten]] void on_avx2(const Work& work) {
  work();
}

/// Calls work(), compiled for this processor as far as it can be inlined.
template <class Work>
void on_widest_lanes(const Work& work) {
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
    on_avx512(work);
  else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    on_avx2(work);
  else
    work();
}

#else

template <class Work>
void on_widest_lanes(const Work& work) {
  work();
}

#endif

}  // namespace fovea::retina
