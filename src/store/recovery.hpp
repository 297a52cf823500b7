// Recovery: a function of the log, the pages and the id index. It may be killed anywhere and run again (I9), and runs
// while readers and other processes are alive. It has two forms:
//   recover    starts at the checkpoint. For open() after a reboot, a reader's repair, recover(), the checkpoint after
//   a
//              failed sync (R7), and wherever the other form does not do.
//   take_over  starts at the cached tail that a dead lock holder left in doubt (R5, ADR 16).
#pragma once

#include <cstdint>
#include <optional>

#include <mentedb/error.hpp>

#include "index/id_index.hpp"
#include "pages/buffer_pool.hpp"
#include "shared/shared_state.hpp"
#include "store/apply.hpp"
#include "store/files.hpp"
#include "store/poison.hpp"
#include "wal/log.hpp"

namespace mentedb::store {

/// The parts of the store that recovery works on. Only a lock holder has all of these.
struct RecoveryParts {
  StoreFiles& files;
  const pages::BufferPool& pool;
  shared::SharedState& state;
  index::IdIndex& index;
  Applier& applier;
  Poison& poison;
};

struct Recovered {
  wal::Tail tail;            ///< where the next batch goes
  format::LogHeader header;  ///< of the epoch
  std::uint64_t reapplied;   ///< logged operations that were not in their pages; RedoMode::check leaves them so
};

/// `mode` repair becomes rewrite while `sync pending` is set (R7). `new_index`: the id index is rebuilt also when it
/// looks as if it fitted.
/// @errors `corruption`, `io_error`, `no_space`, ...; after any of them it may be called again
Result<Recovered> recover(const RecoveryParts& parts, RedoMode mode, bool new_index = false);

/// Completes what the last lock holder was doing when it died: at most one batch. The caller knows that the page cache
/// was not lost since that holder (R3).
/// @return nothing when there may be more to do: then `recover` has to do it
/// @errors as `recover`
Result<std::optional<Recovered>> take_over(const RecoveryParts& parts);

}  // namespace mentedb::store
