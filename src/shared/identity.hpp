// The identity of a store and of this boot. The header of a file that can be made anew (ids-N.idx, queue-N.shm) has to
// agree with it.
#pragma once

#include <mentedb/ids.hpp>

#include "vfs/vfs.hpp"

namespace mentedb::shared {

struct Identity {
  UuidBytes store_id{};
  UuidBytes incarnation{};
  UuidBytes boot_id{};
  vfs::FileId pages;  ///< a copied pages.db has another one
};

}  // namespace mentedb::shared
