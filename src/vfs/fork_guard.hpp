// What a forked child may not do: use its parent's engine or keep its parent's lock alive.
//
// flock(2) belongs to the open file description, which a child inherits: a child that merely exists would keep a
// killed parent's lock for ever. So the child's atfork handler closes every registered lock descriptor (closing
// a duplicate does not unlock), and `process_token` tells an engine that it is in a child.
#pragma once

#include <cstdint>

namespace mentedb::vfs {

/// Differs between a process and its forked children (not between threads). One load once initialised.
std::uint64_t process_token();

/// Descriptors that a forked child must not keep.
void register_lock_descriptor(int descriptor);
/// Only in the process that registered it: in a child the number may stand for another file.
void unregister_lock_descriptor(int descriptor);

}  // namespace mentedb::vfs
