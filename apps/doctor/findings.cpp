// SPDX-License-Identifier: Apache-2.0
#include "apps/doctor/findings.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <sstream>

namespace fovea::apps {
namespace {

namespace fs = std::filesystem;
using Is = Finding::Is;

const char* const kToolkit = "get CUDA Toolkit 12 or newer: https://developer.nvidia.com/cuda-downloads";

/// A package of Python for a system that has none: in a folder of its own, which the system leaves alone.
std::string by_pip(const System& system, const std::string& name) {
  return fmt::format(
      "{} && python3 -m venv ~/fovea-python && ~/fovea-python/bin/pip install {} && "
      "export PATH=~/fovea-python/bin:$PATH",
      install_command(system, "python3-venv"), name);
}

/// The program of this name in the folders of `path`; empty if there is none.
fs::path find_program(const std::string& path, const std::string& name) {
  std::istringstream folders(path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const fs::path file = fs::path(folder) / name;
    std::error_code error;
    if (!folder.empty() && fs::is_regular_file(file, error) && access(file.c_str(), X_OK) == 0) return file;
  }
  return {};
}

/// What a command writes to stdout, at most the first 4 KiB; empty if it fails.
std::string output_of(const std::string& command) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  if (pipe == nullptr) return {};
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), pipe.get()));
  for (char rest[4096]; std::fread(rest, 1, sizeof rest, pipe.get()) > 0;) {
  }
  return text;
}

std::string shell_word(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

/// The first word of a text that looks like a version: digits with a dot in between.
std::string version_in(const std::string& text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (std::isdigit(static_cast<unsigned char>(text[i])) == 0) continue;
    std::size_t end = i;
    while (end < text.size() &&
           (std::isdigit(static_cast<unsigned char>(text[end])) != 0 || text[end] == '.'))
      ++end;
    const std::string word = text.substr(i, end - i);
    if (word.find('.') != std::string::npos)
      return word.ends_with('.') ? word.substr(0, word.size() - 1) : word;
    i = end;
  }
  return {};
}

Finding tool(const Surroundings& where, const std::string& name, const std::string& purpose,
             const std::string& version_option, const std::string& get) {
  const fs::path program = find_program(where.path, name);
  if (program.empty()) return {name, purpose, Is::missing, "not on PATH", get};
  const std::string output = output_of(shell_word(program.string()) + " " + version_option + " 2>/dev/null");
  // nvcc's own version follows the word "release"; the years of its copyright come first.
  const std::size_t release = output.find("release ");
  const std::string version = version_in(release == std::string::npos ? output : output.substr(release));
  return {
      name, purpose, Is::there, version.empty() ? program.string() : version + ", " + program.string(), {}};
}

Finding python_module(const Surroundings& where, const System& system, const std::string& name,
                      const std::string& module, const std::string& purpose) {
  const fs::path python = find_program(where.path, "python3");
  const std::string script =
      fmt::format("import importlib.util as u; print(u.find_spec('{}') is not None)", module);
  if (!python.empty() && output_of(shell_word(python.string()) + " -c " + shell_word(script) + " 2>/dev/null")
                             .starts_with("True"))
    return {name, purpose, Is::there, "a module of " + python.string(), {}};
  const std::string package = "python3-" + module, pip = by_pip(system, module);
  const bool of_system =
      python.empty() || python.parent_path() == "/usr/bin" || python.parent_path() == "/bin";
  return {name, purpose, Is::missing, python.empty() ? "no python3" : "not a module of " + python.string(),
          of_system ? install_command(system, Commands{package, pip, pip, package})
                    : fmt::format("python3 -m pip install {}", module)};
}

/// A file in one of the folders where headers or libraries are.
std::string find_file(const Surroundings& where, std::initializer_list<const char*> names) {
  for (const char* folder :
       {"usr/include", "usr/include/x86_64-linux-gnu", "usr/local/include", "usr/local/cuda/include"})
    for (const char* name : names) {
      const fs::path file = where.root / folder / name;
      std::error_code error;
      if (fs::exists(file, error)) return file.string();
    }
  return {};
}

Finding header(const Surroundings& where, const std::string& name, const std::string& purpose,
               std::initializer_list<const char*> headers, const std::string& get) {
  const std::string file = find_file(where, headers);
  if (file.empty()) return {name, purpose, Is::missing, "header not found", get};
  return {name, purpose, Is::there, file, {}};
}

/// A data set of a package, told by one of its files.
Finding packaged(const Surroundings& where, const System& system, const std::string& package,
                 const std::string& purpose, const std::string& file) {
  const fs::path path = where.root / file;
  std::error_code error;
  if (!fs::exists(path, error))
    return {package, purpose, Is::missing, "no " + path.string(), install_command(system, package)};
  return {package, purpose, Is::there, path.string(), {}};
}

Finding recordings(const Surroundings& where) {
  const std::string name = "simulated recordings", purpose = "training and probing retina models";
  std::int64_t files = 0, bytes = 0;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(where.cache, error))
    if (entry.path().extension() == ".safetensors" || entry.path().extension() == ".h5") {
      ++files;
      bytes += static_cast<std::int64_t>(entry.file_size());
    }
  if (files == 0) return {name, purpose, Is::missing, "none in " + where.cache.string(), "fovea data retina"};
  return {name,
          purpose,
          Is::there,
          fmt::format("{} {}, {} in {}", files, files == 1 ? "file" : "files", bytes_text(bytes),
                      where.cache.string()),
          {}};
}

}  // namespace

std::vector<Finding> find_data(const Surroundings& where, const System& system) {
  return {
      recordings(where),
      packaged(where, system, "mate-backgrounds", "photographs as natural stimuli",
               "usr/share/backgrounds/mate/nature"),
      packaged(where, system, "dataset-fashion-mnist", "classification",
               "usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz"),
      packaged(where, system, "opencv-doc", "video clips",
               "usr/share/doc/opencv-doc/examples/data/vtest.avi"),
      {"UCF-11", "recognition of actions in video", Is::by_hand, "no package has it",
       "get UCF11 (YouTube Action) from the University of Central Florida, unpack it, and name its folder "
       "with --data"},
      {"recordings of a lab", "retina models of real cells", Is::by_hand, "no package has them",
       "get HDF5 files as models/retina/README.md describes them, and name one with --data"},
  };
}

std::vector<Finding> find_tools(const Surroundings& where, const System& system) {
  // C++20 in CUDA sources starts with version 12; older systems package an older one.
  const std::string nvcc = install_command(
      system,
      Commands{kToolkit, kToolkit,
               install_command(system, "nvidia-cuda-toolkit g++-12") + " && export CUDAHOSTCXX=g++-12",
               kToolkit});
  return {
      tool(where, "ffmpeg", "reading video", "-version", install_command(system, "ffmpeg")),
      tool(where, "python3", "searching settings with Optuna; coverage", "--version",
           install_command(system, "python3")),
      python_module(where, system, "optuna", "optuna", "searching settings"),
      tool(where, "gdb", "stepping through kernels", "--version", install_command(system, "gdb")),
      tool(where, "nvcc", "building for GPUs", "--version", nvcc),
  };
}

std::vector<Finding> find_peers(const Surroundings& where, const System& system) {
  const std::string cudnn = "get cuDNN: https://developer.nvidia.com/cudnn-downloads";
  return {
      header(where, "oneDNN", "comparison on the CPU", {"dnnl.hpp", "oneapi/dnnl/dnnl.hpp"},
             install_command(system, "libdnnl-dev")),
      python_module(where, system, "PyTorch", "torch", "comparison of training steps"),
      header(where, "cuDNN", "comparison on the GPU", {"cudnn.h"},
             install_command(system, Commands{cudnn, "nvidia-cudnn", "nvidia-cudnn", cudnn})),
  };
}

std::string get_cuda(const Machine& machine, const System& system, bool built_with_cuda) {
  if (!machine.nvidia_gpu) return {};
  if (!built_with_cuda) return "install nvcc (see tools), then build again";
  const std::string debian =
      install_command(system, "nvidia-driver") + " (from Debian's non-free), then restart";
  const std::string ubuntu = std::string(system.root ? "" : "sudo ") + "ubuntu-drivers install, then restart";
  return install_command(
      system, Commands{debian, ubuntu, ubuntu, "get NVIDIA's driver: https://www.nvidia.com/drivers"});
}

}  // namespace fovea::apps
