// A stand-in for a damaged superblock, made from the rest of the files. Only salvage uses it.
#pragma once

#include <string>

namespace mentedb::offline {

class RawStore;

/// Makes the store's pages readable without its superblock: the page size is the one with which most pages make sense,
/// the seed of the checksums is what stands in the damaged block when directory entries verify with it. Returns a
/// sentence that says what was found. Needs pages.db.
std::string assume_lost_superblock(RawStore& store);

}  // namespace mentedb::offline
