// A replacement for a damaged superblock, made from the rest of pages.db. Only salvage uses it.
#pragma once

#include <string>

namespace mentedb::offline {

class RawStore;

/// Makes the store's pages readable without a valid superblock. The page size is the one with which most memories
/// decode. The seed of the damaged block is used when a directory entry verifies with it. Else no checksum is compared.
/// Returns a sentence for the report that tells both. Needs pages.db.
std::string assume_lost_superblock(RawStore& store);

}  // namespace mentedb::offline
