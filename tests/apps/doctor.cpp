// SPDX-License-Identifier: Apache-2.0
#include "apps/doctor/doctor.h"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/temporary_folder.h"

namespace fovea::apps {
using test::has;
using test::TemporaryFolder;
namespace {

namespace fs = std::filesystem;

void write(const fs::path& file, std::string_view text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

/// A machine in a folder: nothing is on it but what a test puts there.
struct FakeMachine {
  TemporaryFolder folder;
  Surroundings where{.root = folder.path() / "root",
                     .os_release = folder.path() / "root/etc/os-release",
                     .path = (folder.path() / "bin").string(),
                     .cache = folder.path() / "cache",
                     .runs = folder.path() / "runs"};

  explicit FakeMachine(std::string_view os_release = "ID=debian\nVERSION_ID=\"12\"\n") {
    write(where.os_release, os_release);
  }
  void program(const std::string& name, const std::string& says) {
    const fs::path file = folder.path() / "bin" / name;
    write(file, "#!/bin/sh\n" + says + "\n");
    fs::permissions(file, fs::perms::owner_all);
  }
  System system() const { return read_system(where.os_release); }
};

const Finding& named(const std::vector<Finding>& findings, std::string_view name) {
  for (const Finding& finding : findings)
    if (finding.name == name) return finding;
  FAIL("no finding has the name " << std::string(name));
  return findings.front();
}

}  // namespace

TEST_CASE("doctor: systems and their commands") {
  using Kind = System::Kind;
  const auto kind = [](std::string_view text) { return FakeMachine(text).system().kind; };
  CHECK(kind("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n") ==
        Kind::debian_12);
  CHECK(kind("ID=ubuntu\nVERSION_ID=\"22.04\"\n") == Kind::ubuntu_22_04);
  CHECK(kind("ID=ubuntu\nVERSION_ID='24.04'\n") == Kind::ubuntu_24_04);
  CHECK(kind("ID=ubuntu\nVERSION_ID=\"20.04\"\n") == Kind::other);
  CHECK(kind("ID=debian\nVERSION_ID=\"13\"\n") == Kind::other);
  CHECK(kind("ID=arch\n") == Kind::other);
  CHECK(FakeMachine("ID=arch\n").system().name == "arch");
  CHECK(FakeMachine("ID=alpine\nVERSION_ID=3.20\n").system().name == "alpine 3.20");
  CHECK(read_system("/nonexistent/os-release").name == "unknown");

  System system{.kind = Kind::debian_12, .name = {}, .root = false};
  CHECK(install_command(system, "gdb") == "sudo apt-get install -y gdb");
  system.root = true;
  CHECK(install_command(system, "gdb") == "apt-get install -y gdb");
  system.kind = Kind::other;
  CHECK(install_command(system, "gdb") == "install what Debian calls gdb");
  const Commands commands{"a", "b", "get c", "d"};
  CHECK(install_command(system, commands) == "install what Debian calls d");
  system.kind = Kind::debian_12;
  CHECK(install_command(system, commands) == "apt-get install -y a");
  system.kind = Kind::ubuntu_22_04;
  CHECK(install_command(system, commands) == "apt-get install -y b");
  system.kind = Kind::ubuntu_24_04;
  CHECK(install_command(system, commands) == "get c");
}

TEST_CASE("doctor: processor, memory and what the control group allows") {
  FakeMachine fake;
  const fs::path root = fake.where.root;
  const Machine nothing = read_machine(root);
  CHECK(nothing.processor == "unknown");
  CHECK(nothing.cores >= 1);
  CHECK(nothing.isas.front() == "scalar");
  CHECK(!nothing.memory_bytes);
  CHECK(!nothing.memory_limit_bytes);
  CHECK(!nothing.nvidia_gpu);

  write(root / "proc/cpuinfo", "processor\t: 0\nmodel\t\t: 143\nmodel name\t: Some CPU @ 2.00GHz\n");
  write(root / "proc/meminfo", "MemTotal:       16384000 kB\nMemFree: 1 kB\nMemAvailable:    8192000 kB\n");
  write(root / "proc/self/cgroup", "0::/user.slice/run-1.scope\n");
  write(root / "sys/fs/cgroup/user.slice/memory.max", "4194304000\n");
  write(root / "sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
  write(root / "sys/fs/cgroup/user.slice/run-1.scope/memory.max", "max\n");
  write(root / "sys/fs/cgroup/user.slice/run-1.scope/cpu.max", "150000 100000\n");
  const Machine limited = read_machine(root);
  CHECK(limited.processor == "Some CPU @ 2.00GHz");
  CHECK(limited.memory_bytes == std::int64_t{16384000} * 1024);
  CHECK(limited.free_memory_bytes == std::int64_t{8192000} * 1024);
  CHECK(limited.memory_limit_bytes == 4194304000);
  CHECK(limited.core_limit == doctest::Approx(1.5));

  write(root / "sys/fs/cgroup/user.slice/memory.max", "max\n");
  write(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  CHECK(!read_machine(root).memory_limit_bytes);  // version 1's way to say "none"
  write(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", "1048576\n");
  CHECK(read_machine(root).memory_limit_bytes == 1048576);

  write(root / "sys/bus/pci/devices/0000:00:02.0/vendor", "0x8086\n");
  write(root / "sys/bus/pci/devices/0000:00:02.0/class", "0x030000\n");
  write(root / "sys/bus/pci/devices/0000:01:00.1/vendor", "0x10de\n");
  write(root / "sys/bus/pci/devices/0000:01:00.1/class", "0x040300\n");  // its loudspeakers
  CHECK(!read_machine(root).nvidia_gpu);
  write(root / "sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n");
  write(root / "sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n");
  CHECK(read_machine(root).nvidia_gpu);
  CHECK(!read_machine(root).nvidia_driver);
  write(root / "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Mon Jan 27\n");
  CHECK(read_machine(root).nvidia_driver == "570.86.15");
  write(root / "proc/driver/nvidia/version", "something else\n");
  CHECK(read_machine(root).nvidia_driver == "something else");

  CHECK(bytes_text(std::int64_t{3} << 30) == "3.0 GiB");
  CHECK(bytes_text(std::int64_t{5} << 20) == "5 MiB");
  CHECK(free_space(fake.folder.path() / "not/there/yet").value_or(-1) >= 0);
  CHECK(!free_space({}).has_value());
}

TEST_CASE("doctor: data sets, tools and peers that are missing come with the command that brings them") {
  for (const char* version : {"debian 12", "ubuntu 22.04", "ubuntu 24.04", "arch 0"}) {
    CAPTURE(std::string(version));
    const std::string name(version), id = name.substr(0, name.find(' ')),
                                     number = name.substr(name.find(' ') + 1);
    const FakeMachine fake("ID=" + id + "\nVERSION_ID=\"" + number + "\"\n");
    const System system = fake.system();
    std::vector<Finding> all = find_data(fake.where, system);
    for (const auto& more : {find_tools(fake.where, system), find_peers(fake.where, system)})
      all.insert(all.end(), more.begin(), more.end());
    for (const Finding& finding : all) {
      CHECK_MESSAGE(finding.is != Finding::Is::there, finding.name);
      CHECK_MESSAGE(!finding.get.empty(), finding.name);
      CHECK_MESSAGE(!finding.what.empty(), finding.name);
    }
    CHECK(named(all, "UCF-11").is == Finding::Is::by_hand);
    CHECK(named(all, "simulated recordings").get == "fovea data retina");
    const bool known = id != "arch";
    CHECK(named(all, "dataset-fashion-mnist").get ==
          (known ? "sudo apt-get install -y dataset-fashion-mnist"
                 : "install what Debian calls dataset-fashion-mnist"));
    // Old toolkits do not know C++20, and only Debian packages Optuna and PyTorch in the version we know.
    CHECK(has(named(all, "nvcc").get, "nvidia-cuda-toolkit") == (name == "ubuntu 24.04"));
    CHECK(has(named(all, "optuna").get, "pip install optuna") == (id == "ubuntu"));
    CHECK(has(named(all, "PyTorch").get, "python3-torch") == (id != "ubuntu"));
    CHECK(has(named(all, "cuDNN").get, "apt-get install -y nvidia-cudnn") == (id == "ubuntu"));
  }
}

TEST_CASE("doctor: what is there is found, with its version") {
  FakeMachine fake;
  fake.program("ffmpeg", "echo 'ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026'");
  fake.program("gdb", "exit 1");
  fake.program(
      "nvcc", "echo 'Copyright (c) 2005-2025 NVIDIA'; echo 'Cuda compilation tools, release 13.0, V13.0.88'");
  fake.program("python3",
               "case $2 in *optuna*) echo True ;; *torch*) echo False ;; *) echo Python 3.11.2 ;; esac");
  write(fake.folder.path() / "bin/not-executable", "");
  write(fake.where.root / "usr/include/dnnl.hpp", "");
  write(fake.where.root / "usr/share/backgrounds/mate/nature/a.jpg", "");
  write(fake.where.cache / "retina.safetensors", std::string(2 << 20, 'x'));
  write(fake.where.cache / "note.txt", "");
  const System system = fake.system();

  const auto tools = find_tools(fake.where, system);
  CHECK(named(tools, "ffmpeg").what.starts_with("5.1.9, "));
  CHECK(named(tools, "python3").what.starts_with("3.11.2, "));
  CHECK(named(tools, "nvcc").what.starts_with("13.0, "));
  CHECK(named(tools, "gdb").is == Finding::Is::there);
  CHECK(named(tools, "gdb").what == (fake.folder.path() / "bin/gdb").string());
  CHECK(named(tools, "optuna").is == Finding::Is::there);
  CHECK(named(tools, "optuna").get.empty());
  const auto peers = find_peers(fake.where, system);
  CHECK(named(peers, "oneDNN").is == Finding::Is::there);
  CHECK(named(peers, "PyTorch").is == Finding::Is::missing);
  CHECK(named(peers, "PyTorch").get == "python3 -m pip install torch");  // this python3 is not the system's
  const auto data = find_data(fake.where, system);
  CHECK(named(data, "simulated recordings").what.starts_with("1 file, 2 MiB in "));
  CHECK(named(data, "mate-backgrounds").is == Finding::Is::there);
}

TEST_CASE("doctor: the way to a GPU depends on what is in its way") {
  const FakeMachine debian, ubuntu("ID=ubuntu\nVERSION_ID=\"24.04\"\n");
  Machine machine;
  CHECK(get_cuda(machine, debian.system(), true).empty());
  machine.nvidia_gpu = true;
  CHECK(has(get_cuda(machine, debian.system(), false), "nvcc"));
  CHECK(has(get_cuda(machine, debian.system(), true), "sudo apt-get install -y nvidia-driver"));
  CHECK(has(get_cuda(machine, ubuntu.system(), true), "sudo ubuntu-drivers install"));
}

TEST_CASE("doctor: the numbers of the self-check are those of plain loops") {
  CHECK(check_device(Device::cpu({.threads = 2})) == "");
  for (const Isa isa : available_isas()) CHECK(check_device(Device::cpu({.threads = 1, .isa = isa})) == "");
  CHECK(check_device(Device::simt()) == "");
  const SelfCheck check = self_check_numbers();
  std::vector<float> y(8), dx(16), dw(18);
  const auto each = [](auto&& f) {
    for (std::size_t o = 0; o < 2; ++o)
      for (std::size_t at = 0; at < 4; ++at)
        for (std::size_t tap = 0; tap < 9; ++tap)
          f(o * 4 + at, (at / 2 + tap / 3) * 4 + at % 2 + tap % 3, o * 9 + tap);
  };
  each([&](auto i, auto j, auto k) { y[i] += check.x[j] * check.w[k]; });
  each([&](auto i, auto j, auto k) {
    dx[j] += 2 * y[i] * check.w[k];
    dw[k] += 2 * y[i] * check.x[j];
  });
  CHECK(check.y == y);
  CHECK(check.dx == dx);
  CHECK(check.dw == dw);
}

TEST_CASE("doctor: a device that computes something else fails it, in the text and in JSON") {
  const FakeMachine fake;
  Diagnosis found = diagnose(fake.where);
  CHECK(found.passed());
  CHECK(has(diagnosis_text(found), "Fovea can run here, on cpu, simt"));
  CHECK(has(diagnosis_text(found), "-> "));
  const nlohmann::ordered_json json = diagnosis_json(found);
  for (const char* key : {"machine", "build", "devices", "data", "tools", "peers"}) CHECK(json.contains(key));
  CHECK(json.at("passed") == true);
  CHECK(json.at("devices").at(0).at("name") == "cpu");
  CHECK(json.at("devices").at(0).at("passed") == true);
  CHECK(json.at("machine").at("memory_limit_bytes").is_null());
  CHECK(json.at("machine").at("isa") == json.at("machine").at("isas").back());
  CHECK(json.at("data").at(0).at("found") == false);

  found.devices.at(1).fault = "y[3] is 4, expected 5";
  CHECK(!found.passed());
  CHECK(has(diagnosis_text(found), "FAILED  simt"));
  CHECK(has(diagnosis_text(found), "y[3] is 4, expected 5"));
  CHECK(has(diagnosis_text(found), "cannot be trusted"));
  CHECK(diagnosis_json(found).at("passed") == false);
  CHECK(diagnosis_json(found).at("devices").at(1).at("fault") == "y[3] is 4, expected 5");
  found.devices.at(1).fault.clear();
  found.devices.at(0).there = false;
  CHECK(!found.passed());
}

}  // namespace fovea::apps
