// SPDX-License-Identifier: Apache-2.0
// The op table's harness asserts with doctest, whose own code must stand in one file of a program.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
