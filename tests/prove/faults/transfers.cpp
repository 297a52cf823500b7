// Reads and writes that transfer less than asked, calls that a signal interrupts, and errors after a part was written,
// at the system call itself: the real files and the real POSIX binding.
//
//   short K        every read and write transfers at most K bytes
//   short-once N K only the N-th
//   eintr N        the N-th read, write or sync is interrupted once; eintr-every: every second one
//   cut N ERRNO    the N-th write transfers a half, and the next write fails
//
// Interrupted and short calls must not show at all: the answer is success. After an error the answer is a documented
// one, and the store holds the state before the call or after it.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "campaign.hpp"
#include "documented_errors.hpp"
#include "errnos.hpp"
#include "real_calls.hpp"
#include "wrapped_calls.hpp"

namespace mentedb::faults {
namespace {

namespace fs = std::filesystem;

enum class Mode { none, short_all, short_once, eintr_once, eintr_every, cut };

// Of the call under way; plain variables, since the hook may be asked inside any function of libc.
struct Plan {
  Mode mode = Mode::none;
  std::uint64_t index = 0;
  std::size_t bytes = 0;
  int number = 0;
  std::uint64_t calls = 0;  ///< reads, writes and syncs so far
  std::uint64_t writes = 0;
  bool cut_open = false;  ///< the next write fails
};
Plan plan;

// Direct I/O transfers whole sectors, on any device.
std::size_t at_most(int descriptor, std::size_t wanted, std::size_t bytes) {
  constexpr std::size_t kSector = 512;
  if ((fcntl(descriptor, F_GETFL) & O_DIRECT) != 0) wanted = std::max(wanted / kSector * kSector, kSector);
  return std::min(std::max<std::size_t>(wanted, 1), bytes);
}

Transfer on_call(WrappedCall call, int descriptor, off_t, const void*, std::size_t bytes) {
  const std::uint64_t number = plan.calls++;
  const bool is_write = call == WrappedCall::write;
  const std::uint64_t write_number = is_write ? plan.writes++ : 0;
  switch (plan.mode) {
    case Mode::none:
      break;
    case Mode::short_all:
      return {.bytes = at_most(descriptor, plan.bytes, bytes)};
    case Mode::short_once:
      if (number == plan.index) return {.bytes = at_most(descriptor, plan.bytes, bytes)};
      break;
    case Mode::eintr_once:
      if (number == plan.index) return {.bytes = bytes, .os_error = EINTR};
      break;
    case Mode::eintr_every:
      if (number % 2 == 0) return {.bytes = bytes, .os_error = EINTR};
      break;
    case Mode::cut:
      if (is_write && std::exchange(plan.cut_open, false)) return {.bytes = bytes, .os_error = plan.number};
      if (is_write && write_number == plan.index) {
        plan.cut_open = true;
        return {.bytes = at_most(descriptor, bytes / 2, bytes)};
      }
      break;
  }
  return {.bytes = bytes};
}

Plan plan_of(const Case& words) {
  Plan result;
  const std::string& how = words.at(2);
  const auto number = [&](std::size_t at) { return std::strtoull(words.at(at).c_str(), nullptr, 10); };
  if (how == "short") {
    result.mode = Mode::short_all;
    result.bytes = number(3);
  } else if (how == "short-once") {
    result.mode = Mode::short_once;
    result.index = number(3);
    result.bytes = number(4);
  } else if (how == "eintr") {
    result.mode = Mode::eintr_once;
    result.index = number(3);
  } else if (how == "eintr-every") {
    result.mode = Mode::eintr_every;
  } else if (how == "cut") {
    result.mode = Mode::cut;
    result.index = number(3);
    result.number = errno_of_name(words.at(4));
  }
  return result;
}

struct Outcome {
  std::vector<std::string> wrong;
  Plan after;
};

Outcome attempt(Images& images, const RealCall& call, const Plan& wanted) {
  Outcome outcome;
  const auto violation = [&](const std::string& what) { outcome.wrong.push_back(call.name + ": " + what); };
  Subject subject = images.begin(call);
  subject.enter = [&] {
    plan = wanted;
    transfer_hook = on_call;
  };
  subject.leave = [&] {
    transfer_hook = nullptr;
    outcome.after = plan;
  };
  const Result<void> result = call.run(subject);
  if (!result && wanted.mode != Mode::cut) {
    violation(fmt::format("answered {}: {}", to_string(result.error().code), result.error().message));
  }
  if (!result && !is_documented(call.function, result.error().code)) {
    violation(fmt::format("answered {}, which is not documented: {}", to_string(result.error().code),
                          result.error().message));
  }
  std::vector<Model> allowed{subject.intended};
  const bool durable = !result && result.error().message.starts_with("durable, not yet visible");
  if (!result && result.error().code == ErrorCode::no_space) allowed = {subject.model};  // "nothing changed"
  if (!result && result.error().code != ErrorCode::no_space && !durable) allowed.push_back(subject.model);
  if (const std::string problem = check_real_store(subject, allowed); !problem.empty()) {
    violation(fmt::format("{} (answer: {})", problem, result ? "success" : result.error().message));
  }
  if (!result && fs::exists(subject.copy)) violation("a failed copy left its destination behind");
  return outcome;
}

}  // namespace

int run_transfers(Campaign& campaign, const Case* replay) {
  Images images;
  std::vector<Case> cases;
  for (const RealCall& call : real_calls()) {
    if (replay != nullptr) break;
    const Outcome outcome = attempt(images, call, {});
    if (!outcome.wrong.empty()) {
      std::fprintf(stderr, "without a fault: %s\n", outcome.wrong.front().c_str());
      return 2;
    }
    const auto add = [&](std::vector<std::string> rest) {
      Case one{"transfers", call.name};
      one.insert(one.end(), rest.begin(), rest.end());
      cases.push_back(std::move(one));
    };
    if (outcome.after.calls == 0) continue;
    for (const char* bytes : {"61", "512", "4096"}) add({"short", bytes});
    add({"eintr-every"});
    for (std::uint64_t n = 0; n < outcome.after.calls; ++n) {
      add({"eintr", std::to_string(n)});
      for (const char* bytes : {"1", "31", "512", "4608"}) add({"short-once", std::to_string(n), bytes});
    }
    for (std::uint64_t n = 0; n < outcome.after.writes; ++n) {
      for (const char* number : {"ENOSPC", "EDQUOT", "EFBIG", "EIO"}) add({"cut", std::to_string(n), number});
    }
  }
  if (replay != nullptr) cases = {*replay};
  campaign.run(std::move(cases), [&](const Case& one) {
    const RealCall* call = find_call(one.at(1));
    if (call == nullptr) return std::vector<std::string>{"there is no such call"};
    return attempt(images, *call, plan_of(one)).wrong;
  });
  return campaign.finish();
}

}  // namespace mentedb::faults
