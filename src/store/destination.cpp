#include "store/destination.hpp"

#include <new>

#include "base/error.hpp"
#include "store/files.hpp"

namespace mentedb::store {

namespace {

// False when a file or the directory is left. The errors of the removal are dropped: the caller reports the first
// error.
bool remove_all(vfs::Vfs& vfs, const std::filesystem::path& path, vfs::Directory& directory) {
  static_cast<void>(directory.remove(kPagesName));  // first: without it no engine opens the rest
  if (const auto names = directory.list()) {
    for (const std::string& name : *names) static_cast<void>(directory.remove(name));
  }
  return vfs.remove_directory(path).has_value();
}

}  // namespace

Result<void> fill_new_directory(vfs::Vfs& vfs, const std::filesystem::path& path,
                                const std::function<Result<void>(vfs::Directory&)>& fill) {
  MENTEDB_TRY_ASSIGN(const auto directory, vfs.create_directory(path));
  Result<void> filled;
  try {
    filled = fill(*directory);
  } catch (const std::bad_alloc&) {
    filled = std::unexpected(base::out_of_memory());
  }
  if (!filled) base::as_internal_error(filled.error());
  if (!filled && !remove_all(vfs, path, *directory)) {
    filled.error().message += fmt::format("; {} is not whole and could not be removed; remove it", path.string());
  }
  return filled;
}

}  // namespace mentedb::store
