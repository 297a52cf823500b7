// The POSIX seam with one thing changed: a sync left out, as a broken engine would (the campaign has to notice), or
// another boot id, as after a power cut.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vfs/vfs.hpp"

namespace mentedb::prove {

enum class Breakage {
  none,
  log_unsynced,    ///< fdatasync of wal.log is left out (I1)
  pages_unsynced,  ///< fdatasync of pages.db is left out: the log is reset too early (I7)
  sync_retried,    ///< a sync that failed is called once more and its second answer believed
};
constexpr Breakage kBreakages[] = {Breakage::log_unsynced, Breakage::pages_unsynced, Breakage::sync_retried};
const char* name_of(Breakage breakage);

enum class Boot { same, next };

/// Lives for ever.
vfs::Vfs& altered_vfs(Breakage breakage, Boot boot);

}  // namespace mentedb::prove
