// A test that cannot run says what it needs and fails: a run that skips tests proves nothing.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#define JPROF_REQUIRE_ROOT() \
  if (::geteuid() != 0) GTEST_FAIL() << "needs root: sudo ctest ..."
