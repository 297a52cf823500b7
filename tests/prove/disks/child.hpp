// A forked process that does one thing and says in a sentence what went wrong, so that a crash or a hang of the engine
// is a finding and not the end of the campaign.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>

namespace mentedb::prove {

class Child {
 public:
  /// Runs `work` in the child; what it returns is its report, empty when all is well.
  explicit Child(const std::function<std::string()>& work);
  ~Child();  ///< kills it when it still runs
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;

  void kill();
  /// The report. A death by a signal (other than after `kill`) and a time-out are reported, too.
  std::string wait(std::chrono::seconds timeout = std::chrono::seconds(300));

 private:
  pid_t pid_ = -1;
  int report_ = -1;
  bool killed_ = false;
};

inline std::string run_in_child(const std::function<std::string()>& work) { return Child(work).wait(); }

}  // namespace mentedb::prove
