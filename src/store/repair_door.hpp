// The one door from a reader to the lock, for what does not verify however often the reader looks: a writer died or was
// stopped in the middle, or the bytes are damaged and the log still has a copy of them.
#pragma once

#include <mentedb/error.hpp>

#include "store/writer.hpp"

namespace mentedb::store {

class RepairDoor {
 public:
  explicit RepairDoor(Store& store) : store_(store) {}

  /// False for an engine that may not write.
  bool may_repair() const;
  /// Waits for the lock. Then the operations of a dead writer are complete, and nothing changes as long as the Writer
  /// lives. @errors as Writer::acquire
  Result<Writer> lock() const;
  /// The same, and replays the log into the pages. Bytes that do not verify then have no copy in the log.
  Result<Writer> lock_and_redo() const;
  /// "{what} cannot be read as it is ...", for an engine that may not write. @errors `busy`
  std::unexpected<Error> refuse(const std::string& what) const;

 private:
  Store& store_;
};

}  // namespace mentedb::store
