#include "vfs/filesystem_kind.hpp"

#include <string_view>

#include <fmt/format.h>

namespace mentedb::vfs {
namespace {

struct Kind {
  std::uint64_t f_type;
  std::string_view name;
};

// Values from statfs(2) and linux/magic.h. FUSE is not listed, because a FUSE file system can be local or remote. There
// the self-test of open() decides.
constexpr Kind kShared[] = {
    {0x6969, "NFS"},       {0x517B, "SMB"},
    {0xFF534D42, "CIFS"},  {0xFE534D42, "SMB2"},
    {0x01021997, "9p"},    {0x00C36400, "Ceph"},
    {0x5346414F, "AFS"},   {0x6B414653, "kAFS"},
    {0x73757245, "Coda"},  {0x01161970, "GFS2"},
    {0x7461636F, "OCFS2"}, {0x0BD00BD0, "Lustre"},
    {0x47504653, "GPFS"},  {0x786F4256, "VirtualBox shared folder"},
    {0x564C, "NCP"},
};

}  // namespace

std::optional<std::string> unsupported_filesystem_reason(std::uint64_t f_type) {
  for (const Kind& kind : kShared) {
    if (kind.f_type == f_type) {
      return fmt::format("{} does not carry file locks and shared mappings between machines", kind.name);
    }
  }
  return std::nullopt;
}

}  // namespace mentedb::vfs
