// Ctrl-C, termination, a closed terminal and closed pipes.
#pragma once

namespace mentedb::cli {

/// SIGINT, SIGTERM and SIGHUP set a flag and interrupt system calls, so that a command ends at the next good moment. A
/// second signal ends the process at once. SIGPIPE and SIGXFSZ are ignored: writes answer EPIPE
/// and EFBIG.
void install_signal_handlers();

/// True once one of these signals has arrived.
bool interrupted() noexcept;

}  // namespace mentedb::cli
