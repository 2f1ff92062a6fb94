// SPDX-License-Identifier: Apache-2.0
#include "apps/doctor/system.h"

#include <fmt/format.h>

#include <fstream>

namespace fovea::apps {
namespace {

/// The value of NAME=value or NAME="value", as os-release has them.
std::string unquoted(const std::string& line) {
  std::string value = line.substr(line.find('=') + 1);
  if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front())
    value = value.substr(1, value.size() - 2);
  return value;
}

}  // namespace

System read_system(const std::filesystem::path& os_release) {
  System system;
  std::string id, version, name;
  std::ifstream file(os_release);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("ID=")) id = unquoted(line);
    if (line.starts_with("VERSION_ID=")) version = unquoted(line);
    if (line.starts_with("PRETTY_NAME=")) name = unquoted(line);
  }
  if (id == "debian" && version == "12") system.kind = System::Kind::debian_12;
  if (id == "ubuntu" && version == "22.04") system.kind = System::Kind::ubuntu_22_04;
  if (id == "ubuntu" && version == "24.04") system.kind = System::Kind::ubuntu_24_04;
  if (!name.empty())
    system.name = name;
  else if (!id.empty())
    system.name = version.empty() ? id : id + " " + version;
  return system;
}

std::string install_command(const System& system, const std::string& packages) {
  if (system.kind == System::Kind::other) return "install what Debian calls " + packages;
  return fmt::format("{}apt-get install -y {}", system.root ? "" : "sudo ", packages);
}

std::string install_command(const System& system, const Commands& commands) {
  const auto command = [&](const std::string& text) {
    return text.find_first_of(" /") == std::string::npos ? install_command(system, text) : text;
  };
  switch (system.kind) {
    case System::Kind::debian_12:
      return command(commands.debian_12);
    case System::Kind::ubuntu_22_04:
      return command(commands.ubuntu_22_04);
    case System::Kind::ubuntu_24_04:
      return command(commands.ubuntu_24_04);
    case System::Kind::other:
      break;
  }
  return command(commands.debian_name);
}

}  // namespace fovea::apps
