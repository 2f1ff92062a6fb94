// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "apps/exit_code.h"

namespace fovea::apps {

/// While one exists, the first Ctrl-C (SIGINT) or SIGTERM only asks: the trainer finishes its step, saves and
/// returns exit_code(). The second ends the program at once, with the cursor back on the terminal.
/// One at a time; a signal belongs to the process, which is why there is state behind it.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool requested() const;
  /// kInterrupted after SIGINT, kTerminated after SIGTERM, kDone if neither came
  ExitCode exit_code() const;
};

/// Told by the progress line, so that a program that dies by a signal gives the cursor back.
void cursor_is_hidden(bool hidden);

}  // namespace fovea::apps
