#include "signals.hpp"

#include <csignal>
#include <initializer_list>

namespace mentedb::cli {
namespace {

volatile std::sig_atomic_t arrived = 0;

void on_signal(int /*number*/) { arrived = 1; }

}  // namespace

void install_signal_handlers() {
  struct sigaction action{};
  action.sa_handler = on_signal;
  // No SA_RESTART: a read from a terminal or pipe must return. SA_RESETHAND: the second signal kills.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before{};
    // A shell starts background jobs with SIGINT ignored. An ignored signal stays ignored.
    if (sigaction(number, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) {
      sigaction(number, &action, nullptr);
    }
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // past ulimit -f a write answers EFBIG, which has a sentence
}

bool interrupted() noexcept { return arrived != 0; }

}  // namespace mentedb::cli
