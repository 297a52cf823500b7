// Steps: every call into the seam that has an effect or can be observed is one step of a simulated process. A hook
// sees each step before it happens and decides its fate; this is where tests cut power, kill and fail calls.
//
// Rules
// - Steps are numbered from 0 per SimDisk, in the order they happen, whichever process takes them.
// - now, random_bytes, boot_id, process_token, path, is_direct and closing a handle are no steps.
// - The hook runs without any lock of the simulator: it may use the SimDisk (pending, clone, after_power_cut), run
//   other SimDisks to the end, and kill, stop or continue processes.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace mentedb::test {

enum class StepKind : std::uint8_t {
  open_directory,
  create_directory,
  remove_directory,
  open,
  id_of,
  remove,
  sync_directory,
  list,
  file_id,
  size,
  read,
  write,
  write_slice,  ///< a further part of a write, see SimDiskOptions::tear_bytes
  sync,
  allocate,
  give_back,
  start_writeback,
  try_lock,
  lock,
  unlock,  ///< never throws: a kill or power cut shows at the process's next call
  lock_holder,
  try_claim,
  give_up_claim,
  is_claimed,
  map,
  populate,
  make_writable,
  copy,
  copy_slice,  ///< a further part of a Mapping::copy
  load,
  store,
  compare_exchange,
  write_mapped,  ///< Mapping::write
  wait,
  wake,  ///< never throws, as unlock
  resident,
  sleep,
};

/// The kind's name as written above.
std::string_view to_string(StepKind kind);

struct Step {
  std::uint64_t index = 0;
  std::uint32_t process = 0;
  StepKind kind = StepKind::open;
  std::string_view file;  ///< name within its directory, or the directory's path; valid during the hook only
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// How much of a failing write or sync happened all the same.
enum class Effect : std::uint8_t {
  none,
  partial,   ///< write: the first `bytes` bytes; sync: each unsynced sector by a coin
  complete,  ///< write: all of it; sync: all is durable
};

/// What the hook answers.
struct StepAction {
  enum class Kind : std::uint8_t { proceed, fail, kill, power_cut, stop };
  Kind kind = Kind::proceed;
  int os_error = 0;
  Effect effect = Effect::none;
  std::uint64_t bytes = 0;

  static StepAction proceed() { return {}; }
  /// The call fails with this errno. Calls that cannot fail ignore it. A failed sync has the model of sim_file.hpp.
  static StepAction fail(int os_error, Effect effect = Effect::none, std::uint64_t bytes = 0) {
    return {.kind = Kind::fail, .os_error = os_error, .effect = effect, .bytes = bytes};
  }
  /// The process dies before the step. A write with `bytes` > 0 leaves that much of its data, rounded down to the end
  /// of a 512-byte sector of the file.
  static StepAction kill(std::uint64_t bytes = 0) { return {.kind = Kind::kill, .bytes = bytes}; }
  /// The machine loses power before the step: every process on it dies.
  static StepAction power_cut() { return {.kind = Kind::power_cut}; }
  /// SIGSTOP before the step; needs a SimScheduler. Once continued, the hook is asked again.
  static StepAction stop() { return {.kind = Kind::stop}; }
};

using StepHook = std::function<StepAction(const Step&)>;

/// Thrown from a seam call of a process that dies there. Not a std::exception, so that no handler takes it for one.
struct ProcessKilled {
  std::uint32_t process = 0;
};

/// Thrown from a seam call of every process of a machine whose power was cut.
struct PowerCut {};

/// True when a power cut or a kill before the step leaves something else than one after it.
inline bool changes_something(StepKind kind) {
  switch (kind) {
    case StepKind::write:
    case StepKind::write_slice:
    case StepKind::sync:
    case StepKind::sync_directory:
    case StepKind::allocate:
    case StepKind::give_back:
    case StepKind::open:
    case StepKind::remove:
    case StepKind::create_directory:
    case StepKind::open_directory:
    case StepKind::store:
    case StepKind::compare_exchange:
    case StepKind::write_mapped:
      return true;
    default:
      return false;
  }
}

}  // namespace mentedb::test
