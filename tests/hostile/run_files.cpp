// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <fstream>

#include "apps/atomic_file.h"
#include "apps/checkpoint.h"
#include "apps/config.h"
#include "apps/data_file.h"
#include "apps/metrics_log.h"
#include "apps/model_list.h"
#include "apps/report/report_data.h"
#include "tests/hostile/bad_file.h"
#include "tests/temporary_folder.h"

using namespace fovea;
using namespace fovea::test;

namespace {

void load_config(const std::filesystem::path& path) {
  apps::Config config = apps::default_config(apps::find_model("deep-retina"));
  config.load_toml(path);
}
void load_metrics(const std::filesystem::path& path) { (void)apps::MetricsLog::read(path); }
void load_checkpoint(const std::filesystem::path& path) { (void)apps::read_checkpoint(path); }
void load_report(const std::filesystem::path& path) {
  (void)apps::report_from_json(apps::read_file(path), path.string());
}
void load_any(const std::filesystem::path& path) { (void)apps::load_data_file(path); }

std::string repeated(const std::string& part, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += part;
  return text;
}

std::vector<BadFile> bad_configs() {
  return {
      {"binary zeros", std::string(100, '\0')},
      {"random bytes", "\x9c\x12\xf0\x01\x88\xe3\x5d\xaa\x10\x7e\x31\xc4"},
      {"not UTF-8", "[data]\npath = \"\xff\xfe\"\n"},
      {"a byte order mark of UTF-16", "\xff\xfe[\0d\0"},
      {"a megabyte and more", repeated("# comment\n", 110'000)},
      {"no value", "[train]\nbatch =\n"},
      {"no equals sign", "[train]\nbatch 16\n"},
      {"text that never closes", "[data]\npath = \"x\n"},
      {"raw escape in text", "[data]\npath = \"\x1b[2J\"\n"},
      {"table that never closes", "[train\nbatch = 16\n"},
      {"key twice", "[train]\nbatch = 16\nbatch = 32\n"},
      {"table twice", "[train]\n[train]\n"},
      {"table over a key", "train = 1\n[train]\nbatch = 16\n"},
      {"name of 1500 parts", "a" + repeated(".a", 1500) + " = 1\n"},
      {"table of 1500 parts", "[a" + repeated(".a", 1500) + "]\n"},
      {"lists 1500 deep", "[model]\nchannels = " + repeated("[", 1500) + repeated("]", 1500) + "\n"},
      {"inline tables 1500 deep", "model = " + repeated("{a = ", 1500) + "1" + repeated("}", 1500) + "\n"},
      {"integer above 2^63", "[train]\nbatch = 9223372036854775808\n"},
      {"integer below -2^63", "[train]\nbatch = -9223372036854775809\n"},
      {"integer out of range", "[train]\nbatch = 9223372036854775807\n"},
      {"negative steps", "[train]\nsteps = -5\n"},
      {"text for a number", "[train]\nbatch = \"16\"\n"},
      {"fraction for an integer", "[train]\nbatch = 16.5\n"},
      {"number for text", "[data]\npath = 3\n"},
      {"number for a list", "[model]\nchannels = 8\n"},
      {"list of texts", "[model]\nchannels = [\"8\", \"8\"]\n"},
      {"list of fractions", "[model]\nchannels = [8.0, 8]\n"},
      {"list out of range", "[model]\nkernels = [0, 8]\n"},
      {"date for a number", "[train]\nbatch = 1979-05-27\n"},
      {"truth for a number", "[optim]\nlr = true\n"},
      {"nan", "[optim]\nlr = nan\n"},
      {"infinity", "[optim]\nlr = inf\n"},
      {"unknown table", "[trian]\nbatch = 16\n"},
      {"unknown key", "[train]\nbacth = 16\n"},
      {"known key without its table", "batch = 16\n"},
      {"key with an escape sequence", "\"\\u001b[2J\" = 16\n"},
      {"key of 100000 letters", std::string(100'000, 'k') + " = 16\n"},
      {"value of 100000 letters", "[optim]\nname = \"" + std::string(100'000, 'v') + "\"\n"},
      {"array of tables", "[[train]]\nbatch = 16\n"},
      {"another model", "[model]\nname = \"ln\"\n"},
      {"value that is no choice", "[model]\nnorm = \"units\"\n"},
  };
}

std::vector<BadFile> bad_metrics() {
  const std::string good = "{\"step\":1,\"loss\":0.5}\n";
  return {
      {"not JSON", good + "nonsense\n" + good},
      {"torn in the middle", good + "{\"step\":2,\"lo\n" + good},
      {"a list", "[1]\n" + good},
      {"a number", "17\n" + good},
      {"an empty line", "\n" + good},
      {"no step", "{\"loss\":0.5}\n" + good},
      {"step in words", "{\"step\":\"one\"}\n" + good},
      {"step with a fraction", "{\"step\":1.5}\n" + good},
      {"figure in words", "{\"step\":1,\"loss\":\"low\"}\n" + good},
      {"figure that is true", "{\"step\":1,\"loss\":true}\n" + good},
      {"not UTF-8", "{\"step\":1,\"\xff\":1}\n" + good},
      {"binary zeros", std::string("\0\0\0\n", 4) + good},
      {"lists 100000 deep", "{\"step\":1,\"loss\":" + repeated("[", 100'000) + "\n" + good},
  };
}

std::vector<BadFile> bad_checkpoints() {
  const auto with = [](const std::string& notes) {
    return safetensors_bytes(
        R"({"__metadata__":{)" + notes + R"(},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
        "12345678");
  };
  return {
      {"empty", ""},
      {"random bytes", "\x9c\x12\xf0\x01\x88\xe3\x5d\xaa\x10\x7e\x31\xc4"},
      {"header of 2^63 bytes", little<std::uint64_t>(std::uint64_t{1} << 63) + "{}"},
      {"no notes",
       safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "12345678")},
      {"notes without a format", with("")},
      {"format of another program", with(R"("format":"pt")")},
      {"format without a number", with(R"("format":"fovea-run-")")},
      {"format with a number that is none", with(R"("format":"fovea-run-2x")")},
      {"format with a huge number", with(R"("format":"fovea-run-99999999999")")},
      {"an older format", with(R"("format":"fovea-run-1")")},
      {"a newer format", with(R"("format":"fovea-run-3")")},
      {"no checksum", with(R"("format":"fovea-run-2")")},
      {"a wrong checksum", with(R"("format":"fovea-run-2","checksum":"0000000000000000")")},
  };
}

/// A report of one trace and one filter, with one part changed.
std::string report(const std::string& part = {}, const std::string& by = {}) {
  std::string text =
      R"({"title":"t","run":"r","model":"m","baseline":"b","summary":"s","data_note":"d","trials":1,)"
      R"("cells":[{"name":"c","model":0.5,"baseline":null,"ceiling":1.0}],"loss_label":"l",)"
      R"("loss":[{"name":"x","step":[1,2],"value":[1,0.5]}],"correlation":[],)"
      R"("traces":[{"name":"c","start_s":0,"bin_s":0.01,"recorded_hz":[1,2],"recorded_low_hz":[1,1],)"
      R"("recorded_high_hz":[2,3],"predicted_hz":[1,2],"baseline_hz":[],"spikes_s":[],"correlation":0.5}],)"
      R"("filters":[{"name":"f","frames":2,"height":1,"width":2,"frame_s":0.01,"pixel_um":55,)"
      R"("slice_frames":[0,1],"slices":[[1,2],[3,4]],"space":[1,2],"time":[1,2],"separable_share":1}],)"
      R"("averages":[],"config":[["k","v"]],"provenance":[]})";
  if (const auto at = text.find(part); !part.empty()) text.replace(at, part.size(), by);
  return text;
}

std::vector<BadFile> bad_reports() {
  return {
      {"empty", ""},
      {"not JSON", "<html>"},
      {"a list", "[]"},
      {"no title", "{}"},
      {"title that is a number", report(R"("title":"t")", R"("title":1)")},
      {"not UTF-8", report(R"("t")", "\"\xff\"")},
      {"cut off", report().substr(0, 300)},
      {"steps without values", report(R"("value":[1,0.5])", R"("value":[1])")},
      {"prediction shorter than the recording", report(R"("predicted_hz":[1,2])", R"("predicted_hz":[1])")},
      {"baseline shorter than the recording", report(R"("baseline_hz":[])", R"("baseline_hz":[1])")},
      {"lower bounds without upper ones", report(R"("recorded_high_hz":[2,3])", R"("recorded_high_hz":[])")},
      {"bins of no length", report(R"("bin_s":0.01)", R"("bin_s":0)")},
      {"filter without frames", report(R"("frames":2)", R"("frames":0)")},
      {"filter of negative height", report(R"("height":1)", R"("height":-1)")},
      {"filter of 2^62 pixels", report(R"("width":2)", R"("width":4611686018427387904)")},
      {"filter wider than its pixels", report(R"("width":2)", R"("width":3)")},
      {"slice of too few pixels", report(R"([3,4])", "[3]")},
      {"slice without its frame", report(R"("slice_frames":[0,1])", R"("slice_frames":[0])")},
      {"space of too few pixels", report(R"("space":[1,2])", R"("space":[1])")},
      {"time of too few frames", report(R"("time":[1,2])", R"("time":[1])")},
      {"setting without a value", report(R"(["k","v"])", R"(["k"])")},
  };
}

std::vector<BadFile> bad_files() {
  return {
      {"empty", ""},
      {"one byte", "x"},
      {"a text file", "weights, weights, weights\n"},
      {"HDF5", "\x89HDF\r\n\x1a\n and more"},
      {"a PNG", "\x89PNG\r\n\x1a\n and more"},
      {"zip magic", "PK\x03\x04"},
      {"npy magic", "\x93NUMPY"},
      {"gzip magic", std::string("\x1f\x8b\x08\0", 4)},
      {"two zero bytes", std::string("\0\0", 2)},
      {"eight bytes and a brace", "12345678{"},
  };
}

}  // namespace

TEST_CASE("hostile configurations are refused in one line") {
  check_refused("config", bad_configs(), load_config);
  check_damaged("config", "[train]\nbatch = 16\n", load_config, {0, 7, 8, 17, 18});
}

TEST_CASE("hostile metrics.jsonl files are refused in one line") {
  check_refused("metrics", bad_metrics(), load_metrics);
}

TEST_CASE("hostile checkpoints are refused before memory is taken") {
  check_refused("checkpoint", bad_checkpoints(), load_checkpoint);
  const TemporaryFolder folder;
  const auto path = folder.path() / "c";
  apps::write_checkpoint(path,
                         {{{"model.w", Tensor::zeros({2}, DType::f32, Device::cpu({.threads = 1}))}}, {}});
  check_damaged("checkpoint", apps::read_file(path), load_checkpoint);
}

TEST_CASE("hostile report.json files are refused in one line") {
  check_refused("report", bad_reports(), load_report);
  check_damaged("report", report(), load_report);
}

TEST_CASE("files of no known kind are refused in one line") { check_refused("any", bad_files(), load_any); }
