// The one way from a reader to the lock, for bytes that do not verify after many looks. Either a writer died or stopped
// in the middle of a write, or the bytes are damaged. The log may still have a copy of them.
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
  /// The same, and redoes the log. Bytes that still do not verify have no copy in the log.
  Result<Writer> lock_and_redo() const;
  /// "{what} cannot be read as it is ...", for an engine that may not write. @errors `busy`
  std::unexpected<Error> refuse(const std::string& what) const;

 private:
  Store& store_;
};

}  // namespace mentedb::store
