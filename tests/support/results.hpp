// Results in tests: the value, or a failure that shows the error's message.
#pragma once

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <mentedb/error.hpp>

namespace mentedb::test {

/// The value; an error ends the test with its message.
template <class T>
T must(Result<T>&& result) {
  if (!result) throw std::runtime_error(std::string(to_string(result.error().code)) + ": " + result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// True when the result is this error, and its message has these words.
template <class T>
::testing::AssertionResult is_error(const Result<T>& result, ErrorCode code, std::string_view words = "") {
  if (result) return ::testing::AssertionFailure() << "succeeded";
  const Error& error = result.error();
  if (error.code == code && error.message.find(words) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << to_string(error.code) << ": " << error.message;
}

template <class T>
::testing::AssertionResult ok(const Result<T>& result) {
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << to_string(result.error().code) << ": " << result.error().message;
}

}  // namespace mentedb::test
