#include "errnos.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace mentedb::faults {

std::string name_of_errno(int number) {
  const char* name = strerrorname_np(number);
  return name == nullptr ? std::to_string(number) : name;
}

int errno_of_name(std::string_view name) {
  for (int number = 1; number < 200; ++number) {
    const char* known = strerrorname_np(number);
    if (known != nullptr && name == known) return number;
  }
  return 0;
}

const std::vector<int>& errnos_of(test::StepKind kind) {
  using test::StepKind;
  // A path is looked up, a descriptor made.
  static const std::vector<int> open_directory{EACCES, EPERM, EIO,    ENOSPC,  EDQUOT, ENOMEM,       EMFILE,
                                               ENFILE, ELOOP, ENOENT, ENOTDIR, EROFS,  ENAMETOOLONG, EMLINK};
  static const std::vector<int> create_directory{EACCES, EPERM,  EIO,     ENOSPC, EDQUOT, ENOMEM,       EMFILE, ENFILE,
                                                 ELOOP,  ENOENT, ENOTDIR, EROFS,  EEXIST, ENAMETOOLONG, EMLINK};
  static const std::vector<int> open{EACCES, EPERM,   EIO,       ENOSPC,  EDQUOT, ENOMEM, EMFILE,
                                     ENFILE, ELOOP,   ENOENT,    ENOTDIR, EROFS,  ESTALE, ENODEV,
                                     ENXIO,  ETXTBSY, EOVERFLOW, EBUSY,   EINVAL, EAGAIN};
  static const std::vector<int> id_of{EACCES, EIO, ELOOP, ENOENT, ENOMEM, ENOTDIR, ESTALE, EOVERFLOW};
  static const std::vector<int> remove{EACCES, EPERM, EBUSY, EIO, ENOENT, ENOMEM, EROFS, ELOOP, ENOTDIR, EISDIR};
  static const std::vector<int> remove_directory{EACCES, EPERM, EBUSY, EIO, ENOENT, ENOMEM, EROFS, ENOTEMPTY, ENOTDIR};
  static const std::vector<int> sync{EIO, ENOSPC, EDQUOT, EROFS, EINVAL};
  static const std::vector<int> list{EMFILE, ENFILE, ENOMEM, EIO, ENOENT, EACCES};
  static const std::vector<int> status{ENOMEM, EIO, ESTALE, EOVERFLOW};
  static const std::vector<int> read{EIO, EINVAL, ENOMEM, EAGAIN, ESTALE};
  static const std::vector<int> write{EIO, ENOSPC, EDQUOT, EFBIG, EINVAL, EPERM, ENOMEM, EAGAIN, ESTALE, EROFS};
  static const std::vector<int> allocate{EFBIG,  EIO,     ENODEV, ENOSPC, EDQUOT, EPERM,
                                         ESPIPE, ETXTBSY, EINVAL, ENOSYS, EROFS};
  static const std::vector<int> lock{ENOLCK, EINVAL, EIO};
  static const std::vector<int> map{EACCES, EAGAIN, EINVAL, ENFILE, ENODEV, ENOMEM, EPERM, EOVERFLOW, ETXTBSY};
  static const std::vector<int> populate{EIO, ENOMEM, EHWPOISON, EAGAIN};
  static const std::vector<int> make_writable{EIO, ENOSPC, EROFS, ENOMEM, EHWPOISON, EAGAIN};
  static const std::vector<int> none{};
  switch (kind) {
    case StepKind::open_directory:
      return open_directory;
    case StepKind::create_directory:
      return create_directory;
    case StepKind::open:
      return open;
    case StepKind::id_of:
      return id_of;
    case StepKind::remove:
      return remove;
    case StepKind::remove_directory:
      return remove_directory;
    case StepKind::sync:
    case StepKind::sync_directory:
      return sync;
    case StepKind::list:
      return list;
    case StepKind::file_id:
    case StepKind::size:
      return status;
    case StepKind::read:
      return read;
    case StepKind::write:
      return write;
    case StepKind::allocate:
    case StepKind::give_back:
      return allocate;
    case StepKind::try_lock:
    case StepKind::lock:
      return lock;
    case StepKind::map:
      return map;
    case StepKind::populate:
      return populate;
    case StepKind::make_writable:
      return make_writable;
    default:
      return none;  // memory, or a call that has no error to report
  }
}

bool is_about_names(int number) {
  constexpr int kAll[] = {ENOENT, ENOTDIR, ELOOP, EEXIST, EISDIR, ENAMETOOLONG, ESTALE};
  return std::ranges::find(kAll, number) != std::end(kAll);
}

}  // namespace mentedb::faults
