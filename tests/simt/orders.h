// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "kernels/simt/grid.h"

namespace fovea {

/// Calls test(grid) once per order of turns; a failure names the order.
template <class F>
void in_all_orders(F&& test) {
  struct Named {
    simt::Order order;
    const char* name;
  };
  for (const Named& n : {Named{simt::Order::forward, "forward"}, Named{simt::Order::reversed, "reversed"},
                         Named{simt::Order::shuffled, "shuffled"}}) {
    const std::string name = n.name;
    CAPTURE(name);
    simt::Grid grid(n.order);
    test(grid);
  }
}

/// The text of the KernelFault that f throws; empty if it throws none.
template <class F>
std::string fault_of(F&& f) {
  try {
    f();
  } catch (const simt::KernelFault& fault) {
    return fault.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace fovea
