// Errno values by name, and which of them a call of the seam can report on Linux, after its manual pages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <mentedb/error.hpp>

#include "support/sim/sim_step.hpp"

namespace mentedb::faults {

std::string name_of_errno(int number);
/// 0 when the name is none.
int errno_of_name(std::string_view name);

/// What a method of the seam can report. EINTR is missing where the POSIX binding calls again.
const std::vector<int>& errnos_of(test::StepKind kind);

/// A fault that says something about the files themselves (the name leads nowhere), so that an answer like
/// `corruption` or `incompatible` is no false alarm.
bool is_about_names(int number);

}  // namespace mentedb::faults
