// MENTEDB_ASSERT ends the process at a programming error, also in a release build. It never tests the result of a
// system call or bytes from disk: a failure of these is an Error (mentedb/error.hpp).
#pragma once

#include <cstdio>
#include <cstdlib>

namespace mentedb::base {

[[noreturn]] inline void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "mentedb: assertion failed: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace mentedb::base

#define MENTEDB_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::mentedb::base::assertion_failed(#condition, __FILE__, __LINE__))
