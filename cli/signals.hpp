// Ctrl-C, termination and closed pipes.
#pragma once

namespace mentedb::cli {

/// SIGINT and SIGTERM set a flag and interrupt system calls, so that a command ends at the next good moment. A second
/// signal ends the process at once. SIGPIPE is ignored: writes answer EPIPE.
void install_signal_handlers();

/// True once SIGINT or SIGTERM has arrived.
bool interrupted() noexcept;

}  // namespace mentedb::cli
