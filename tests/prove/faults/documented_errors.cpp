#include "documented_errors.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <vector>

namespace mentedb::faults {
namespace {

using enum ErrorCode;
using Codes = std::vector<ErrorCode>;

Codes operator+(const Codes& a, const Codes& b) {
  Codes all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

struct Call {
  std::string_view name;
  Codes codes;
};

const std::vector<Call>& calls() {
  // "Any call", "any write" and "a read" of the class comment in storage_engine.hpp.
  static const Codes any{closed, forked, out_of_memory, io_error, permission_denied, read_only, no_space};
  static const Codes write = any + Codes{busy, poisoned, incompatible, corruption};
  static const Codes read = any + Codes{busy, poisoned, incompatible, corruption};
  static const Codes store = write + Codes{invalid_argument, capacity_exceeded};
  static const Codes opening =
      any + Codes{busy, incompatible, corruption, unsupported_filesystem, invalid_argument, not_found};
  static const Codes verifying = any + Codes{not_found, incompatible, invalid_argument};
  static const Codes inspect = verifying + Codes{corruption};
  static const std::vector<Call> table{
      {"open", opening},
      {"store_memory", store},
      {"store_memory_if_absent", store + Codes{already_exists}},
      {"store_memories", store},
      {"update_memory", store + Codes{not_found}},
      {"delete_memory", write + Codes{not_found}},
      {"transact", store + Codes{not_found, already_exists}},
      {"load_memory", read + Codes{not_found}},
      {"load_memory_page", read + Codes{not_found, invalid_argument}},
      {"find", read + Codes{not_found}},
      {"scan_all_memories", read},
      {"for_each_memory", read},
      {"changes_since", read + Codes{resync_required}},
      {"wait_for_change", any + Codes{incompatible}},
      {"allocate_page", write + Codes{capacity_exceeded}},
      {"write_page", write + Codes{not_found, invalid_argument, capacity_exceeded}},
      {"free_page", write + Codes{not_found}},
      {"read_page", read + Codes{not_found}},
      {"recover", write},
      {"checkpoint", write},
      {"erase_deleted", write},
      {"close", write + Codes{invalid_argument}},
      {"backup", read + Codes{already_exists, invalid_argument, not_found}},
      {"restore", opening + Codes{already_exists, poisoned}},
      {"verify", verifying},
      {"stats", read},
      {"salvage", opening + Codes{already_exists, poisoned}},
      {"inspect_page", inspect},
      {"inspect_log", inspect},
  };
  return table;
}

}  // namespace

bool is_documented(std::string_view call, ErrorCode code) {
  const auto found = std::ranges::find(calls(), call, &Call::name);
  if (found == calls().end()) {
    std::fprintf(stderr, "documented_errors.cpp does not know the call '%s'\n", std::string(call).c_str());
    std::exit(2);
  }
  return std::ranges::find(found->codes, code) != found->codes.end();
}

}  // namespace mentedb::faults
