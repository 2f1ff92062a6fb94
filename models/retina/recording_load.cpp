// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "models/retina/known_recording.h"
#include "models/retina/recording_arrays.h"
#include "models/retina/recording_file.h"
#include "models/retina/spikes.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

/// Finds the parts of a recording in the arrays of a file; says what it had to work out.
class Loader {
 public:
  Loader(const std::filesystem::path& path, const Device& host, std::string response)
      : arrays_(path, host), host_(host), response_(std::move(response)) {}

  RecordingData load() {
    if (const auto known = recognise(arrays_.path())) {
      data_.notes.push_back(fmt::format("this is {}", known->name));
      known_blocks_ = known->blocks;
    }
    data_.metadata = arrays_.metadata();
    if (const std::size_t slash = response_.find('/'); slash != std::string::npos)
      load_interneurons(response_.substr(0, slash));
    else
      load_ganglion_cells();
    return std::move(data_);
  }

 private:
  bool rates() const { return response_ == kFiringRate; }
  std::string path_of(const std::string& part) const { return part + "/response/" + response_; }

  void load_ganglion_cells() {
    if (!arrays_.contains("train/stimulus"))
      if (const std::string name = arrays_.ending_in("/detrended_membrane_potential"); !name.empty())
        arrays_.bad(
            fmt::format("holds potentials of interneurons; choose which with data.response={}", name));
    const std::int64_t frames = arrays_.frames("train/stimulus");
    const std::int64_t test_frames = arrays_.frames("test/stimulus");
    train_time_ = arrays_.times("train/time", frames);
    read_blocks(frames);
    data_.train_counts = read_counts("train", frames, data_.blocks, train_time_);
    data_.train_rate =
        read_response("train", arrays_.responses(path_of("train"), frames, rates()), data_.train_counts);
    if (data_.train_counts.defined() && data_.train_counts.shape() != data_.train_rate.shape())
      arrays_.bad(fmt::format("train/response/binned {} and {} {} differ in shape",
                              data_.train_counts.shape(), path_of("train"), data_.train_rate.shape()));
    read_test(test_frames);
    data_.stas = read_stas();
    // The largest arrays come last: what does not fit together is refused before.
    data_.train_stimulus = arrays_.movie("train/stimulus");
    data_.test_stimulus = arrays_.movie("test/stimulus");
    if (data_.test_stimulus.shape().without(0) != data_.train_stimulus.shape().without(0))
      arrays_.bad(fmt::format("train/stimulus {} and test/stimulus {} differ in height or width",
                              data_.train_stimulus.shape(), data_.test_stimulus.shape()));
    if (data_.test_stimulus.dtype() != data_.train_stimulus.dtype()) {
      data_.train_stimulus = data_.train_stimulus.to(DType::f32);
      data_.test_stimulus = data_.test_stimulus.to(DType::f32);
    }
  }

  /// A recording of interneurons has one movie and no repeats: its last fifth is the test.
  void load_interneurons(const std::string& stimulus) {
    constexpr std::int64_t kTestShare = 5;
    const std::int64_t frames = arrays_.frames(stimulus + "/stimuli");
    const Tensor response = arrays_.responses(response_, frames, false);
    if (!response.defined()) arrays_.missing(response_);
    const Tensor movie = padded(arrays_.movie(stimulus + "/stimuli"));
    const std::int64_t train = frames - frames / kTestShare;
    data_.train_stimulus = slice(movie, 0, 0, train);
    data_.test_stimulus = slice(movie, 0, train, frames);
    data_.train_rate = slice(response, 1, 0, train).contiguous();
    data_.test_rate = slice(response, 1, train, frames).contiguous();
    data_.test_repeats = unsqueeze(data_.test_rate, 0);
    data_.blocks = {train};
    data_.metadata.emplace("stimulus", stimulus);
    data_.notes.push_back(fmt::format("the last {} of {} frames are the test movie", frames - train, frames));
  }

  /// Values of 0 and 1 become -1 and 1, and a smaller frame lies in the middle of a grey one of our size.
  Tensor padded(const Tensor& movie) {
    Tensor x = movie.to(DType::f32);
    auto values = x.to_vector<float>();
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    if (*low == 0.0f && *high == 1.0f) {
      for (float& v : values) v = 2 * v - 1;
      x = Tensor::from(values, x.shape(), host_, "stimulus");
    }
    const std::int64_t height = x.size(1), width = x.size(2);
    if (height > kSize || width > kSize || (height == kSize && width == kSize)) return x;
    const Tensor frame = Tensor::zeros({x.size(0), kSize, kSize}, DType::f32, host_, "stimulus");
    const std::int64_t top = (kSize - height) / 2, left = (kSize - width) / 2;
    slice(slice(frame, 1, top, top + height), 2, left, left + width).copy_from(x);
    data_.notes.push_back(fmt::format("frames of {} x {} stand in the middle of grey ones of {} x {}", height,
                                      width, kSize, kSize));
    return frame;
  }

  /// From train/blocks, else where train/time jumps, else what is known of the file, else one.
  void read_blocks(std::int64_t frames) {
    data_.blocks = {frames};
    if (arrays_.contains("train/blocks")) {
      data_.blocks = arrays_.blocks("train/blocks", frames);
      return;
    }
    if (train_time_.size() > 1) find_jumps();
    if (data_.blocks.size() > 1 || known_blocks_ == 0) return;
    data_.blocks.assign(static_cast<std::size_t>(known_blocks_), frames / known_blocks_);
    data_.blocks.back() += frames % known_blocks_;
    data_.notes.push_back(fmt::format("its {} blocks are known", known_blocks_));
  }
  void find_jumps() {
    constexpr std::size_t kMostBlocks = 1000;
    std::vector<double> step;
    for (std::size_t t = 1; t < train_time_.size(); ++t) step.push_back(train_time_[t] - train_time_[t - 1]);
    std::vector<double> sorted = step;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2),
                     sorted.end());
    const double usual = sorted[sorted.size() / 2];
    std::vector<std::int64_t> blocks{1};
    for (const double s : step) {
      if (std::abs(s - usual) > 0.5 * std::abs(usual)) blocks.push_back(0);
      ++blocks.back();
    }
    if (std::abs(usual - kFrame_s) > 0.01 * kFrame_s)
      data_.notes.push_back(fmt::format("train/time has steps of {:.4g} ms, and models take them for {:g} ms",
                                        1000 * usual, 1000 * kFrame_s));
    if (blocks.size() > kMostBlocks) {
      data_.notes.push_back("train/time is irregular, so it tells no blocks");
    } else if (blocks.size() > 1) {
      data_.notes.push_back(fmt::format("train/time jumps between {} blocks", blocks.size()));
      data_.blocks = std::move(blocks);
    }
  }

  /// Counts of a part's bins from its dataset, else from spike times; undefined if there are neither.
  Tensor read_counts(const std::string& part, std::int64_t frames, const std::vector<std::int64_t>& blocks,
                     const std::vector<double>& time) {
    const std::string binned = part + "/response/binned";
    if (arrays_.contains(binned)) return arrays_.responses(binned, frames, true);
    const std::vector<std::string> names = arrays_.cells("spikes");
    if (names.empty() || time.empty() || !rates()) return {};
    const auto cells = static_cast<std::int64_t>(names.size());
    std::vector<float> counts(static_cast<std::size_t>(cells * frames));
    for (std::size_t cell = 0; cell < names.size(); ++cell) {
      float* row = counts.data() + cell * static_cast<std::size_t>(frames);
      for (const double spike : arrays_.numbers(names[cell])) {
        std::size_t first = 0;  // of a block, whose bins lie one after the other
        for (const std::int64_t block : blocks) {
          const std::size_t end = first + static_cast<std::size_t>(block);
          const auto at = std::upper_bound(time.begin() + static_cast<std::ptrdiff_t>(first),
                                           time.begin() + static_cast<std::ptrdiff_t>(end), spike) -
                          time.begin() - 1;
          if (at >= static_cast<std::ptrdiff_t>(first) &&
              spike < time[static_cast<std::size_t>(at)] + 1.5 * kFrame_s) {
            row[at] += 1;
            break;
          }
          first = end;
        }
      }
    }
    data_.notes.push_back(fmt::format("{} is missing: spikes counted from spikes/", binned));
    return Tensor::from(counts, {cells, frames}, host_, "counts");
  }

  /// The dataset that was asked for, else rates made from counts.
  Tensor read_response(const std::string& part, const Tensor& response, const Tensor& counts) {
    if (response.defined()) return response;
    if (!rates() || !counts.defined()) arrays_.missing(path_of(part));
    data_.notes.push_back(fmt::format("{} is missing: rates made from spike counts", path_of(part)));
    return rates_of(counts, part + "/response/binned",
                    part == "train" ? data_.blocks : std::vector{counts.size(1)});
  }

  /// Rates of counts [rows, T], each block on its own (spikes.h says how).
  Tensor rates_of(const Tensor& counts, const std::string& name, const std::vector<std::int64_t>& blocks) {
    const auto values = counts.to_vector<float>();
    arrays_.need_counts(values, name, counts.shape());
    std::vector<float> rates;
    rates.reserve(values.size());
    for (std::size_t first = 0; first < values.size();)
      for (const std::int64_t block : blocks) {
        const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first);
        const std::vector<std::uint16_t> piece(begin, begin + block);
        const std::vector<float> rate = estimate_rate(piece);
        rates.insert(rates.end(), rate.begin(), rate.end());
        first += static_cast<std::size_t>(block);
      }
    return Tensor::from(rates, counts.shape(), host_, "response");
  }

  void read_test(std::int64_t frames) {
    const std::int64_t cells = data_.cells();
    data_.test_repeats = arrays_.repeats("test/repeats", response_, cells, frames, rates());
    data_.test_repeat_counts = arrays_.repeats("test/repeat_counts", response_, cells, frames, true);
    Tensor& repeats = data_.test_repeats;
    data_.test_rate = arrays_.responses(path_of("test"), frames, rates());
    if (repeats.defined() && rates() && are_counts(repeats, data_.test_rate)) {
      data_.notes.push_back("test/repeats holds spike counts: rates made from them");
      data_.test_repeat_counts = repeats;
      repeats = reshape(rates_of(reshape(repeats, {-1, frames}), "test/repeats", {frames}), repeats.shape());
    }
    if (!data_.test_rate.defined() && repeats.defined()) {
      data_.notes.push_back(fmt::format("{} is missing: the mean of the repeats", path_of("test")));
      data_.test_rate = Tensor::zeros({cells, frames}, DType::f32, host_, "response");
      mean_of_repeats();
    } else if (!data_.test_rate.defined()) {
      const Tensor counts = read_counts("test", frames, {frames}, arrays_.times("test/time", frames));
      data_.test_rate = read_response("test", {}, counts);
    }
    if (data_.test_rate.size(0) != cells)
      arrays_.bad(fmt::format("{} {} has {} cells, {} {} has {}", path_of("test"), data_.test_rate.shape(),
                              data_.test_rate.size(0), path_of("train"), data_.train_rate.shape(), cells));
    if (!repeats.defined()) {
      data_.notes.push_back("test/repeats is missing: the mean response stands for a single repeat");
      repeats = unsqueeze(data_.test_rate, 0);
    }
    data_.test_true_rate = arrays_.responses("test/true_rate", frames, true);
    if (data_.test_true_rate.defined() && data_.test_true_rate.size(0) != cells)
      arrays_.bad(fmt::format("test/true_rate {} has {} cells, {} {} has {}", data_.test_true_rate.shape(),
                              data_.test_true_rate.size(0), path_of("train"), data_.train_rate.shape(),
                              cells));
  }

  /// Whole numbers, and far fewer than the rate in Hz, if that is known: a count is a hundredth of it.
  static bool are_counts(const Tensor& repeats, const Tensor& rate) {
    if (!RecordingArrays::whole_numbers(repeats)) return false;
    const auto mean = [](const Tensor& x) {
      double sum = 0;
      for (const float v : x.to_vector<float>()) sum += static_cast<double>(v);
      return sum / static_cast<double>(x.numel());
    };
    return !rate.defined() || mean(repeats) < 0.1 * mean(rate);
  }

  void mean_of_repeats() {
    const auto all = data_.test_repeats.to_vector<float>();
    float* mean = data_.test_rate.data();
    const auto count = static_cast<std::size_t>(data_.test_rate.numel());
    const auto trials = static_cast<float>(data_.test_repeats.size(0));
    for (std::size_t i = 0; i < all.size(); ++i) mean[i % count] += all[i] / trials;
  }

  Tensor read_stas() {
    std::vector<std::string> names = arrays_.cells("train/stas");
    if (names.empty()) names = arrays_.cells("stas");
    if (static_cast<std::int64_t>(names.size()) != data_.cells()) return {};
    return arrays_.joined(names, 3);
  }

  RecordingArrays arrays_;
  Device host_;
  std::string response_;
  RecordingData data_;
  std::vector<double> train_time_;
  int known_blocks_ = 0;
};

}  // namespace

RecordingData load_recording(const std::filesystem::path& path, const Device& device,
                             const std::string& response) {
  return Loader(path, device, response).load();
}

}  // namespace fovea::retina
