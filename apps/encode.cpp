// SPDX-License-Identifier: Apache-2.0
#include "apps/encode.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>

#include "apps/cli.h"
#include "apps/names.h"
#include "apps/run_folder.h"
#include "apps/train.h"

namespace fovea::apps {
namespace {

/// "60x80" or "60"
Size2d parse_size(const std::string& text) {
  const char* const end = text.data() + text.size();
  Size2d size = 0;
  const auto height = std::from_chars(text.data(), end, size.height);
  bool well = height.ec == std::errc{};
  if (well && height.ptr != end && *height.ptr == 'x') {
    const auto width = std::from_chars(height.ptr + 1, end, size.width);
    well = width.ec == std::errc{} && width.ptr == end;
  } else {
    size.width = size.height;
    well = well && height.ptr == end;
  }
  if (!well || size.height < 1 || size.width < 1 || size.height > 65535 || size.width > 65535)
    throw UsageError(fmt::format("--size {}: expected HEIGHTxWIDTH in pixels, as 60x80", text));
  return size;
}

}  // namespace

void register_encode(CLI::App& program, Action& action) {
  const auto request = std::make_shared<EncodeRequest>();
  const auto size = std::make_shared<std::string>();
  CLI::App* command =
      program.add_subcommand("encode", "Write a trained model's answer to a movie: rates or maps");
  command->add_option("RUN", request->run, "Run folder")->required();
  command
      ->add_option(
          "MOVIE", request->movie,
          "A video, a folder of PNG or JPEG files, a recording, or an array (.npy .npz .safetensors .h5)")
      ->required();
  command->add_option("--out", request->out, "The npz file to write")->required();
  command
      ->add_option(
          "--what", request->what,
          "rates of the cells; maps of the filters' rates, without the selection of the cells' places; auto: "
          "maps if the model has them")
      ->capture_default_str();
  command
      ->add_option(
          "--contrast", request->contrast,
          "match: the movie's mean and SD become 0 and 1; keep: grey levels 0..255 by mean and SD of the "
          "training movie; none: the numbers are what the model gets")
      ->capture_default_str();
  command->add_option("--stimulus", request->stimulus, "Which array of a file; of a recording, test or train")
      ->default_str("the only movie, or test");
  command->add_option("--fps", request->fps, "Frames a second")
      ->default_str("the video's own; 100 without any");
  command->add_flag("--crop", request->square, "Cut out the largest square in the middle");
  command
      ->add_option("--size", *size, "HEIGHTxWIDTH of the frames: areas are averaged, or pixels interpolated")
      ->default_str("the movie's; the model's where it reads one size only");
  command->add_option("--every", request->every, "Only each so many-th bin of 10 ms")->capture_default_str();
  command->add_option("--pool", request->pool, "Average each map down to so many rows and columns")
      ->default_str("as they are");
  command->add_option("--checkpoint", request->checkpoint, "best, latest, or a step")->capture_default_str();
  command
      ->add_option("--device", request->device, "auto (the GPU if there is one), cpu, simt, cuda or cuda:N")
      ->capture_default_str();
  command->callback([request, size, &action] {
    action = [request, size] {
      check_choice("--what", request->what, {"auto", "rates", "maps"});
      check_choice("--contrast", request->contrast, {"match", "keep", "none"});
      check_device_name(request->device);
      if (!size->empty()) request->size = parse_size(*size);
      if (request->every < 1)
        throw UsageError(fmt::format("--every {}: expected at least 1", request->every));
      if (request->pool < 0) throw UsageError(fmt::format("--pool {}: expected at least 1", request->pool));
      if (request->fps < 0) throw UsageError(fmt::format("--fps {}: expected more than 0", request->fps));
      if (request->out.extension() != ".npz")
        throw UsageError(fmt::format("--out {}: expected a name that ends in .npz", request->out.string()));
      (void)find_checkpoint(request->run,
                            request->checkpoint);  // a wrong name fails before anything is loaded
      return encode_movie(*request);
    };
  });
}

}  // namespace fovea::apps
