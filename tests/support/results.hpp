// Results in tests: the value, or a failure that shows the error's message.
#pragma once

#include <gtest/gtest.h>

#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <mentedb/error.hpp>

namespace mentedb::test {

inline std::string text_of(const Error& error) { return std::string(to_string(error.code)) + ": " + error.message; }

/// The value; an error ends the test with its message and the line that did not expect it.
template <class T>
T must(Result<T>&& result, const std::source_location& at = std::source_location::current()) {
  if (!result) {
    const std::string_view file = at.file_name();
    throw std::runtime_error(std::string(file.substr(file.rfind('/') + 1)) + ":" + std::to_string(at.line()) + ": " +
                             text_of(result.error()));
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// True when the result is this error, and its message has these words.
template <class T>
::testing::AssertionResult is_error(const Result<T>& result, ErrorCode code, std::string_view words = "") {
  if (result) return ::testing::AssertionFailure() << "succeeded instead of " << to_string(code);
  const Error& error = result.error();
  if (error.code == code && error.message.find(words) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << text_of(error) << " instead of " << to_string(code);
}

/// True when the result is no error.
template <class T>
::testing::AssertionResult ok(const Result<T>& result) {
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << text_of(result.error());
}

}  // namespace mentedb::test
