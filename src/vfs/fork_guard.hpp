// A forked child must not use its parent's engine, and must not keep its parent's lock.
//
// flock(2) belongs to the open file description, and a child inherits that. So a child that does nothing would keep the
// lock of a killed parent for as long as the child lives. The atfork handler of the child closes every registered lock
// descriptor. Closing a duplicate does not unlock. An engine compares `process_token` to learn that it is in a child.
#pragma once

#include <cstdint>

namespace mentedb::vfs {

/// Differs between a process and its forked children, and is the same for all threads. Costs one load after the first
/// call.
std::uint64_t process_token();

/// A forked child closes this descriptor.
void register_lock_descriptor(int descriptor);
/// Call it only in the process that registered the descriptor: in a child the number may be that of another file.
void unregister_lock_descriptor(int descriptor);

}  // namespace mentedb::vfs
