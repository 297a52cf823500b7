// Who makes the calls of the seam that fail: a role is a disk as it is found, processes that are there already, and a
// script of engine calls.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "support/crash/script.hpp"
#include "support/sim/sim_vfs.hpp"

namespace mentedb::faults {

using test::Actor;
using test::Model;
using test::Operation;

/// An engine call with its name, as documented_errors.hpp spells it.
struct Call {
  std::string name;
  Operation operation;
  bool is_read = false;  ///< changes nothing, so it must succeed once the fault is over
  bool needs_engine = true;
  bool makes_copy = false;  ///< of the store, in kCopy
};

inline constexpr const char* kCopy = "/copy";

/// Begins the message of a call that answered something else than the store holds.
inline constexpr std::string_view kWrongAnswer = "WRONG ANSWER: ";

/// The message of a salvage that lists something as lost.
inline constexpr std::string_view kSomeLost = "some are lost";

struct Role {
  std::string name;
  Options options;
  std::shared_ptr<test::SimDisk> disk;  ///< cloned for every fault
  Model model;                          ///< what is on it
  std::vector<PageId> raw_pages;
  bool opened = false;    ///< the engine is open before the fault; else the first call opens it
  bool peer = false;      ///< another process has the store open
  bool takeover = false;  ///< another process dies in the middle of storing memory 50 before the fault
  std::vector<Call> calls;
};

/// All roles, in a fixed order.
std::vector<Role> make_roles();

}  // namespace mentedb::faults
