// Random bytes from the kernel.
#pragma once

#include <cstddef>
#include <span>

namespace mentedb::base {

/// Fills `out` from the kernel's generator. Where that refuses (a seccomp filter, no /dev/urandom) the program ends: an
/// id or a seed that may repeat would overwrite somebody's memory.
void fill_random(std::span<std::byte> out);

}  // namespace mentedb::base
