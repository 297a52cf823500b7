// The workloads of the crash campaign: two or three processes each, one for every way in which a store changes.
#pragma once

#include <vector>

#include "support/crash/crash_session.hpp"

namespace mentedb::test {

std::vector<Workload> crash_workloads();

}  // namespace mentedb::test
