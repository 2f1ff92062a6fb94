// SPDX-License-Identifier: Apache-2.0
#include "apps/retina_data.h"

#include <doctest/doctest.h>

#include <cmath>

#include "apps/model_list.h"
#include "models/retina/recording_file.h"
#include "nn/data/hdf5.h"
#include "tensor/views.h"
#include "tests/apps/stderr_of.h"
#include "tests/apps/tiny_recording.h"
#include "tests/host.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {
using test::has;
using test::host;
using test::TemporaryFolder;
using test::text_of;
namespace {

using Assignments = std::vector<std::string>;

/// A recording of 700 and 500 frames, and what the settings make of it.
struct Scene {
  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "r.safetensors";

  explicit Scene(std::vector<std::int64_t> blocks = {700, 500}) { write_tiny_recording(path, blocks); }
  RetinaData load(const Assignments& settings = {}) const {
    Config config = default_config(find_model("ln"));
    config.set("data.path", path.string(), "test");
    config.set_text("model.history=40", "test");
    for (const std::string& setting : settings) config.set_text(setting, "test");
    return load_retina_data(config);
  }
  template <class E>
  std::string complaint(const Assignments& settings) const {
    const std::string text = text_of<E>([&] { load(settings); });
    REQUIRE_MESSAGE(text.starts_with(path.string()), text);
    return text.substr(path.string().size());
  }
};

std::int64_t samples(const RetinaData& data) { return data.train.size() + data.validation.size(); }

}  // namespace

TEST_CASE("retina data: cells, minutes, blocks and skipped frames") {
  const Scene scene;
  const RetinaData all = scene.load();
  CHECK(all.train.cells() == 2);
  CHECK(all.test.size() == 300 - 40);
  CHECK(all.test_repeats.shape() == Shape{3, 2, 260});

  const RetinaData one = scene.load({"data.cells=1"});
  CHECK(one.train.cells() == 1);
  CHECK(one.ceiling.size() == 1);
  CHECK(one.ceiling[0] == all.ceiling[1]);
  CHECK(select(one.recording.train_rate, 0, 0).to_vector<float>() ==
        select(all.recording.train_rate, 0, 1).to_vector<float>());
  CHECK(scene.complaint<UsageError>({"data.cells=0,2"}) ==
        ": cells: there is no cell 2, the recording has 0 to 1");

  // 0.15 min are 900 frames: 700, and 200 of the second block.
  const RetinaData less = scene.load({"data.minutes=0.15"});
  CHECK(less.recording.blocks == std::vector<std::int64_t>{700, 200});
  CHECK(less.train.movie().size(0) == 900);
  CHECK(less.test.size() == all.test.size());

  CHECK(scene.load({"data.blocks=3"}).recording.blocks == std::vector<std::int64_t>{400, 400, 400});
  const RetinaData late = scene.load({"data.skip=100"});
  for (const nn::WindowDataset::Run& run : late.train.runs())
    CHECK((run.first_frame >= 100 && !(run.first_frame >= 700 && run.first_frame < 800)));
  CHECK(samples(late) < samples(all));
  CHECK(late.test.size() == all.test.size());  // the test movie of a recording counts from its start
  CHECK(scene.complaint<IoError>({"data.skip=460"}) ==
        ": block 1 of the training movie has 500 frames, fewer than data.skip 460 + model.history 40 + 1");
  CHECK(scene.complaint<IoError>({"model.history=300"}) ==
        ": the test movie has 300 frames, fewer than data.skip 0 + model.history 300 + 1");
}

TEST_CASE("retina data: pieces that are held out are contiguous, and as long as asked for") {
  const Scene scene({1200});
  const RetinaData data = scene.load({"data.hold_out=0.3", "data.hold_out_seconds=2"});
  std::int64_t held = 0;
  for (const nn::WindowDataset::Run& run : data.validation.runs()) {
    CHECK((run.count + 40) % 200 == 0);
    held += run.count + 40;
    for (const nn::WindowDataset::Run& other : data.train.runs())  // no frame and no target in both
      CHECK((run.first_frame + run.count + 40 <= other.first_frame ||
             other.first_frame + other.count + 40 <= run.first_frame));
  }
  CHECK(held == 400);
}

TEST_CASE("retina data: a minute is skipped in blocks of two minutes or more, if nobody says otherwise") {
  const TemporaryFolder folder;
  retina::RecordingData recording;
  const auto zeros = [](const Shape& shape, DType dtype) { return Tensor::zeros(shape, dtype, host()); };
  recording.train_stimulus = zeros({12000, 50, 50}, DType::u8);
  recording.train_rate = zeros({1, 12000}, DType::f32);
  recording.blocks = {12000};
  recording.test_stimulus = zeros({300, 50, 50}, DType::u8);
  recording.test_rate = zeros({1, 300}, DType::f32);
  recording.test_repeats = zeros({1, 1, 300}, DType::f32);
  Scene scene;
  retina::save_recording(scene.path, recording);
  RetinaData data = scene.load();
  CHECK(data.train.runs()[0].first_frame >= 6000);
  for (const double ceiling : data.ceiling) CHECK(std::isnan(ceiling));
  const std::string told = StderrOf([&] { (void)scene.load(); }).text;
  for (const char* odd :
       {"the training movie is constant", "the test movie is constant",
        "the response of cell 0 never changes",
        "the test movie was shown once: nobody knows the noise ceiling, so scores have no share"})
    CHECK_MESSAGE(has(told, fmt::format("warning: {}: {}\n", scene.path.string(), odd)), told);
  recording.blocks = {11000, 1000};
  recording.train_rate = Tensor::full({1, 12000}, 300, DType::f32, host());
  select(select(recording.train_rate, 0, 0), 0, 7).fill(299);
  retina::save_recording(scene.path, recording);
  const std::string more = StderrOf([&] { data = scene.load(); }).text;
  CHECK(data.train.runs()[0].first_frame < 6000);
  CHECK(has(more, "cell 0 has 300 Hz on average: is that a rate in Hz?"));
  CHECK(has(more, "block 1 of the training movie has only 1000 frames"));
  recording.train_rate = Tensor::zeros({1, 12000}, DType::f32, host());
  select(select(recording.train_rate, 0, 0), 0, 7).fill(12);
  retina::save_recording(scene.path, recording);
  CHECK(has(StderrOf([&] { data = scene.load(); }).text,
            "cell 0 has 0.001 Hz on average: are its spike times in seconds, its rates in Hz?"));
}

TEST_CASE("retina data: each pixel by its own mean, another test movie, and the null model") {
  const Scene scene;
  const RetinaData all = scene.load(), pixel = scene.load({"data.normalize=pixel"});
  CHECK(pixel.pixels.mean.shape() == Shape{50, 50});
  CHECK_FALSE(all.pixels.mean.defined());
  CHECK(std::abs(pixel.train.normalization().mean) < 0.05f);
  CHECK(std::abs(pixel.train.normalization().sd - 1) < 0.05f);

  TemporaryFolder folder;
  const auto other = folder.path() / "other.safetensors";
  write_tiny_recording(other);
  retina::RecordingData changed = retina::load_recording(other, host());
  changed.test_rate = changed.test_rate.clone();
  changed.test_rate.fill(3);
  retina::save_recording(other, changed);
  CHECK(scene.load({"data.test=" + other.string()}).test.responses().to_vector<float>()[5] == 3);
  CHECK(all.test.responses().to_vector<float>()[5] != 3);

  const RetinaData null = scene.load({"data.shift_null=true"});
  CHECK(null.recording.train_rate.to_vector<float>() != all.recording.train_rate.to_vector<float>());
  CHECK(null.test.responses().to_vector<float>() == all.test.responses().to_vector<float>());
}

TEST_CASE("retina data: frames of another size than the models' are refused") {
  Scene scene;
  retina::RecordingData data = retina::load_recording(scene.path, host());
  data.train_stimulus = slice(data.train_stimulus, 2, 0, 40).contiguous();
  data.test_stimulus = slice(data.test_stimulus, 2, 0, 40).contiguous();
  retina::save_recording(scene.path, data);
  const std::string told =
      StderrOf([&] {
        CHECK(scene.complaint<IoError>({}) == ": its frames are [50, 40], the models see [50, 50]");
      }).text;
  CHECK(has(told, "its frames are [50, 40], the models see [50, 50]: average them to that size"));
}

TEST_CASE("retina data: names of stimuli, and where their recordings are kept") {
  const auto file = [](const char* stimulus) {
    return cached_recording({.stimulus = stimulus, .minutes = 2, .seed = 5}).filename().string();
  };
  CHECK(file("whitenoise") == file("white-noise"));
  CHECK(file("white-noise") ==
        std::string("retina-white-noise-2min-seed5.") + (nn::hdf5_version().empty() ? "safetensors" : "h5"));
  CHECK((file("natural") == file("photographs") || file("natural") == file("dead-leaves")));
  CHECK(text_of<UsageError>([&] { file("white-nois"); }) ==
        "--stimulus white-nois: expected natural, photographs, dead-leaves or white-noise; did you mean "
        "'white-noise'?");
}

}  // namespace fovea::apps
