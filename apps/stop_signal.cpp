// SPDX-License-Identifier: Apache-2.0
#include "apps/stop_signal.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cassert>

namespace fovea::apps {
namespace {

// A signal handler can reach nothing but objects of static storage; these are lock-free and private to this
// file.
std::atomic<int> received{0};
std::atomic<bool> cursor_hidden{false};
std::atomic<bool> in_use{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

struct sigaction previous_interrupt, previous_terminate;

void on_signal(int signal) {
  int none = 0;
  if (received.compare_exchange_strong(none, signal)) return;
  if (cursor_hidden) {
    constexpr char kShow[] = "\033[?25h\n";
    (void)!::write(STDERR_FILENO, kShow, sizeof kShow - 1);
  }
  ::signal(signal, SIG_DFL);
  ::raise(signal);  // delivered when this handler returns
}

}  // namespace

StopSignal::StopSignal() {
  [[maybe_unused]] const bool second = in_use.exchange(true);
  assert(!second && "two StopSignals at a time");
  received = 0;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // files half read or written go on
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &previous_interrupt);
  ::sigaction(SIGTERM, &action, &previous_terminate);
}

StopSignal::~StopSignal() {
  ::sigaction(SIGINT, &previous_interrupt, nullptr);
  ::sigaction(SIGTERM, &previous_terminate, nullptr);
  in_use = false;
}

bool StopSignal::requested() const { return received != 0; }

ExitCode StopSignal::exit_code() const {
  switch (received) {
    case SIGINT:
      return kInterrupted;
    case SIGTERM:
      return kTerminated;
    default:
      return kDone;
  }
}

void cursor_is_hidden(bool hidden) { cursor_hidden = hidden; }

}  // namespace fovea::apps
