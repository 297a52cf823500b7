// What the actors do. A role runs in a forked process, until the board says stop.
#pragma once

#include <array>
#include <chrono>
#include <string_view>

#include "writer.hpp"

namespace mentedb::prove {

enum class Role { writer, group_writer, reader, follower, keeper, opener, backup, count };
inline constexpr std::array<std::string_view, static_cast<std::size_t>(Role::count)> kRoleNames{
    "writer", "group writer", "reader", "follower", "checkpointer", "opener", "backup"};

/// Long: on a machine with much else to do a holder of the lock may not get the processor for half a minute.
inline constexpr std::chrono::seconds kLockTimeout(300);

/// How the actors of this round open the store.
Options round_options(const Config& config);

/// Nothing but reads by id, until the board says `go`.
void read_by_id(const Actor& actor);

void run_role(Role role, const Actor& actor);

/// One backup, opened, verified and judged: it holds one moment between its beginning and its end.
void make_backup(const Actor& actor, StorageEngine& engine, Witness& witness);

}  // namespace mentedb::prove
