// Who owns which memory in the tests with many writers. A memory has one writer (a slot, whatever process fills it
// at the time), but for the shared pair, which all of them change inside transactions.
#pragma once

#include <cstdint>

namespace mentedb::test {

inline constexpr std::uint64_t kWriterSlots = 4;
/// Never deleted: any reader may insist on finding all of them.
inline constexpr std::uint64_t kPermanentKeys = 32;
/// Stored, updated and deleted by their writer.
inline constexpr std::uint64_t kPrivateKeys = 12;

inline std::uint64_t private_key(std::uint64_t slot, std::uint64_t i) { return 1'000 * (slot + 1) + i; }
/// The first of two memories that are always written together.
inline std::uint64_t pair_key(std::uint64_t slot) { return 10'000 + 10 * slot; }
/// Two memories with one version that counts up by 1 with every transaction of any writer.
inline constexpr std::uint64_t kSharedKey = 20'000;

}  // namespace mentedb::test
