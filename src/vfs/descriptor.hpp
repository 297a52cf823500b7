// The owner of a file descriptor. An allocation can fail between open(2) and the object that keeps the descriptor, and
// then the descriptor is closed here.
#pragma once

#include <utility>

#include <unistd.h>

namespace mentedb::vfs {

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }

  explicit operator bool() const { return number_ >= 0; }
  [[nodiscard]] int get() const { return number_; }
  /// Gives the descriptor to the caller, who closes it.
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

}  // namespace mentedb::vfs
