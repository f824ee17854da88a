#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace archipel {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Code::invalid, "odd");
  return n / 2;
}

Result<int> quarter(int n) {
  ASSIGN_OR_RETURN(int h, half(n));
  ASSIGN_OR_RETURN(int q, half(h));
  return q;
}

Result<void> check_even(int n) {
  RETURN_IF_ERROR(half(n));
  return {};
}

TEST(Result, MacrosPassValuesAndErrorsOn) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_TRUE(check_even(2).has_value());
  EXPECT_EQ(check_even(3).error().code, Code::invalid);
}

TEST(Result, ErrnoBecomesTheCodeACallerDecidesOn) {
  EXPECT_EQ(fail_errno(ENOENT, "x").error().code, Code::not_found);
  EXPECT_EQ(fail_errno(EEXIST, "x").error().code, Code::exists);
  EXPECT_EQ(fail_errno(ENOSPC, "x").error().code, Code::unavailable);
  EXPECT_EQ(fail_errno(EIO, "x").error().code, Code::io);
  EXPECT_EQ(fail_errno(ENOSPC, "cannot write DIR/head").error().message,
            "cannot write DIR/head: No space left on device");
}

}  // namespace
}  // namespace archipel
