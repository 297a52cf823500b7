#include "engine/destination.hpp"

#include <new>

#include "base/error.hpp"
#include "engine/store.hpp"

namespace mentedb::engine {

namespace {

// As far as it goes: the error that led here is the one to tell.
void remove_all(vfs::Vfs& vfs, const std::filesystem::path& path, vfs::Directory& directory) {
  try {
    static_cast<void>(directory.remove(kPagesName));  // first: what is left without it opens for nobody
    if (const auto names = directory.list()) {
      for (const std::string& name : *names) static_cast<void>(directory.remove(name));
    }
    static_cast<void>(vfs.remove_directory(path));
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): as above
  }
}

}  // namespace

Result<void> fill_new_directory(vfs::Vfs& vfs, const std::filesystem::path& path,
                                const std::function<Result<void>(vfs::Directory&)>& fill) {
  MENTEDB_TRY_ASSIGN(const auto directory, vfs.create_directory(path));
  try {
    auto filled = fill(*directory);
    if (!filled) remove_all(vfs, path, *directory);
    return filled;
  } catch (const std::bad_alloc&) {
    remove_all(vfs, path, *directory);
    throw;
  }
}

}  // namespace mentedb::engine
