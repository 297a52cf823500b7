#include "store/repair_door.hpp"

#include "base/error.hpp"
#include "store/store.hpp"

namespace mentedb::store {

bool RepairDoor::may_repair() const { return !store_.options().read_only; }

Result<Writer> RepairDoor::lock() const { return store_.writer(); }

Result<Writer> RepairDoor::lock_and_redo() const {
  MENTEDB_TRY_ASSIGN(Writer writer, store_.writer());
  MENTEDB_TRY(writer.redo_log());
  return writer;
}

std::unexpected<Error> RepairDoor::refuse(const std::string& what) const {
  return base::failf(ErrorCode::busy,
                     "{} cannot be read as it is and this engine may not repair it; run: mentedb recover --dir '{}'",
                     what, store_.files().path().string());
}

}  // namespace mentedb::store
