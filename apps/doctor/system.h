// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace fovea::apps {

/// Which distribution this is, as far as commands to install something depend on it.
struct System {
  enum class Kind { debian_12, ubuntu_22_04, ubuntu_24_04, other };
  Kind kind = Kind::other;
  std::string name = "unknown";  ///< "Debian GNU/Linux 12 (bookworm)"
  bool root = false;             ///< whether apt-get may be called without sudo
};

/// Reads a file such as /etc/os-release; if it is not there the system is unknown.
System read_system(const std::filesystem::path& os_release);

/// "sudo apt-get install -y ffmpeg", without sudo for root; on an unknown system "install what Debian calls ffmpeg".
std::string install_command(const System& system, const std::string& packages);

/// The command for what Debian and Ubuntu package differently, or not at all.
struct Commands {
  std::string debian_12, ubuntu_22_04,
      ubuntu_24_04;         ///< names of packages, or a command if it holds a space or '/'
  std::string debian_name;  ///< for other systems
};
std::string install_command(const System& system, const Commands& commands);

}  // namespace fovea::apps
