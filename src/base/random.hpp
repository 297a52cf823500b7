// Random bytes from the kernel.
#pragma once

#include <cstddef>
#include <span>

namespace mentedb::base {

/// Fills `out` from the kernel's generator. When the generator refuses (a seccomp filter and no /dev/urandom), the
/// process ends. The reason: an id that repeats would overwrite another memory, and a seed that repeats would let
/// bytes of another store verify.
void fill_random(std::span<std::byte> out);

}  // namespace mentedb::base
