// Ctrl-C, termination and closed pipes.
#pragma once

namespace mentedb::cli {

/// SIGINT and SIGTERM set a flag and interrupt system calls, so that a command ends at the next good moment; a second
/// one ends the process at once. SIGPIPE is ignored: writes answer EPIPE.
void install_signal_handlers();

/// A signal to end has arrived.
bool interrupted() noexcept;

}  // namespace mentedb::cli
