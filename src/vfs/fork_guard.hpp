// A forked child must not use its parent's engine, and must not keep its parent's lock.
//
// flock(2) belongs to the open file description, and a child inherits that. So a child that does nothing would keep the
// lock of a killed parent for as long as the child lives. The atfork handler of the child closes every registered
// descriptor. Closing a duplicate does not unlock. An engine compares `process_token` to learn that it is in a child.
//
// Another thread may fork at any time. A descriptor that was registered at its first lock could be in a child already,
// and the parent's lock then held on in the child. So every file of a store is registered when it is opened, and no
// fork comes between the two.
#pragma once

#include <cstdint>

namespace mentedb::vfs {

/// Differs between a process and its forked children, and is the same for all threads. Costs one load after the first
/// call.
std::uint64_t process_token();

/// While it lives, no thread forks. Open the descriptor meanwhile, and register it.
class NoFork {
 public:
  /// Makes room for one descriptor, so that `add` needs no memory.
  NoFork();
  ~NoFork();
  NoFork(const NoFork&) = delete;
  NoFork& operator=(const NoFork&) = delete;
  /// A forked child closes this descriptor.
  void add(int descriptor);
};

/// Call it only in the process that registered the descriptor: in a child the number may be that of another file.
void close_registered(int descriptor);

}  // namespace mentedb::vfs
