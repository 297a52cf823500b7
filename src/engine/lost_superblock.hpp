// A superblock that is damaged, made up from the rest of the files: for salvage alone.
#pragma once

#include <string>

namespace mentedb::engine {

class RawStore;

/// Makes the store's pages readable without its superblock: the page size is the one with which most pages make sense,
/// the seed of the checksums is what stands in the damaged block when directory entries verify with it. Returns a
/// sentence that says what was found. Needs pages.db.
std::string assume_lost_superblock(RawStore& store);

}  // namespace mentedb::engine
