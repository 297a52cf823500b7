// Programming errors end the process, also in release builds. Never used on the result of a system call or on
// bytes from disk: those are errors (see mentedb/error.hpp).
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
