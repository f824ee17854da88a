// In coroutines, where gtest's ASSERT_ macros (which return) do not work: ends the coroutine, a Task<void>, after a failure.
#pragma once

#include <gtest/gtest.h>

#define CO_ASSERT_TRUE(...)                       \
  do {                                            \
    if (!static_cast<bool>(__VA_ARGS__)) {        \
      ADD_FAILURE() << "not true: " #__VA_ARGS__; \
      co_return;                                  \
    }                                             \
  } while (false)
