#include "vfs/filesystem_kind.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include <linux/magic.h>

#include "support/results.hpp"
#include "vfs/posix_error.hpp"

namespace mentedb::vfs {
namespace {

TEST(FilesystemKind, NetworkAndHostSharedOnesAreNamed) {
  const std::pair<std::uint64_t, std::string_view> shared[] = {
      {NFS_SUPER_MAGIC, "NFS"},   {SMB_SUPER_MAGIC, "SMB"},     {CIFS_SUPER_MAGIC, "CIFS"}, {SMB2_SUPER_MAGIC, "SMB2"},
      {V9FS_MAGIC, "9p"},         {CEPH_SUPER_MAGIC, "Ceph"},   {AFS_SUPER_MAGIC, "AFS"},   {AFS_FS_MAGIC, "kAFS"},
      {CODA_SUPER_MAGIC, "Coda"}, {OCFS2_SUPER_MAGIC, "OCFS2"},
  };
  for (const auto& [type, name] : shared) {
    const auto reason = unsupported_filesystem_reason(type);
    ASSERT_TRUE(reason) << name;
    EXPECT_NE(reason->find(name), std::string::npos) << *reason;
  }
}

TEST(FilesystemKind, LocalOnesMayBeTried) {
  for (const std::uint64_t type :
       {std::uint64_t{EXT4_SUPER_MAGIC}, std::uint64_t{XFS_SUPER_MAGIC}, std::uint64_t{BTRFS_SUPER_MAGIC},
        std::uint64_t{TMPFS_MAGIC}, std::uint64_t{OVERLAYFS_SUPER_MAGIC}, std::uint64_t{FUSE_SUPER_MAGIC},
        std::uint64_t{0}}) {
    EXPECT_FALSE(unsupported_filesystem_reason(type)) << std::hex << type;
  }
}

TEST(ErrnoError, KeepsTheErrnoAndSaysWhatToDo) {
  const auto of = [](int error) -> Result<void> { return errno_error(error, "write", "store/pages.db"); };
  const std::pair<int, ErrorCode> codes[] = {
      {ENOENT, ErrorCode::not_found},
      {EEXIST, ErrorCode::already_exists},
      {ENOTDIR, ErrorCode::invalid_argument},
      {ELOOP, ErrorCode::invalid_argument},
      {ENOSPC, ErrorCode::no_space},
      {EDQUOT, ErrorCode::no_space},
      {EFBIG, ErrorCode::no_space},
      {EACCES, ErrorCode::permission_denied},
      {EROFS, ErrorCode::read_only},
      {ENOMEM, ErrorCode::out_of_memory},
      {EIO, ErrorCode::io_error},
      {EMFILE, ErrorCode::io_error},
      {EBADF, ErrorCode::io_error},
  };
  for (const auto& [error, code] : codes) {
    EXPECT_TRUE(test::is_error(of(error), code, "cannot write store/pages.db: ")) << error;
    EXPECT_EQ(of(error).error().os_error, error);
  }
  for (int error = 1; error < 134; ++error) EXPECT_NE(of(error).error().message.find("; "), std::string::npos) << error;
}

}  // namespace
}  // namespace mentedb::vfs
