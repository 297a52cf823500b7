#include "base/random.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <unistd.h>

namespace mentedb::base {
namespace {

bool from_device(std::span<std::byte> out) {
  const int device = ::open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  if (device < 0) return false;
  while (!out.empty()) {
    const ssize_t got = ::read(device, out.data(), out.size());
    if (got <= 0) break;
    out = out.subspan(static_cast<std::size_t>(got));
  }
  ::close(device);
  return out.empty();
}

}  // namespace

void fill_random(std::span<std::byte> out) {
  constexpr std::size_t kMost = 256;  // the most that one getentropy(3) gives
  while (!out.empty()) {
    const auto part = out.first(std::min(out.size(), kMost));
    if (getentropy(part.data(), part.size()) != 0 && !from_device(part)) {
      std::perror("mentedb: the kernel gives no random numbers (getentropy, /dev/urandom)");
      std::abort();
    }
    out = out.subspan(part.size());
  }
}

}  // namespace mentedb::base
