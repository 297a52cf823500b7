// A store whose whole content follows from one number, however many processes write: so whoever looks at a copy can
// tell whether it is the store of one moment, and of which.
#pragma once

#include <cstdint>
#include <string>

#include <mentedb/storage_engine.hpp>

namespace mentedb::test {

/// Transaction number n writes n into the counter and stores, moves or deletes cell n modulo kLedgerCells.
inline constexpr std::uint64_t kLedgerCells = 97;

/// Makes transaction 0, unless the store has one: the counter alone.
Result<void> begin_ledger(StorageEngine& engine);
/// The next transaction; its number.
Result<std::uint64_t> advance_ledger(StorageEngine& engine);
/// The number of the last transaction.
Result<std::uint64_t> ledger_position(const StorageEngine& engine);
/// Empty when the content is that of one moment, else what is wrong.
std::string what_is_wrong_with_ledger(const StorageEngine& engine);

}  // namespace mentedb::test
