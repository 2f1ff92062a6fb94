// SPDX-License-Identifier: Apache-2.0
#include "apps/config.h"

#include <doctest/doctest.h>

#include <fstream>
#include <functional>

#include "apps/names.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {
using test::TemporaryFolder;
using test::text_of;
namespace {

std::vector<Key> keys() {
  std::vector<Key> keys = shared_keys();
  keys.push_back({"model.channels", std::vector<std::int64_t>{8, 8}, "filters", 1, 64});
  keys.push_back({"model.bias", true, "with bias"});
  return keys;
}

std::string error_of(const std::function<void(Config&)>& change) {
  Config config(keys());
  const std::string before = config.to_toml();
  const std::string text = text_of<UsageError>([&] { change(config); });
  CHECK(config.to_toml() == before);  // what is refused changes nothing
  CHECK(text.find('\n') == std::string::npos);
  return text;
}

}  // namespace

TEST_CASE("edit distance counts a swap of neighbours once") {
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("trian", "train") == 1);
  CHECK(edit_distance("ca", "abc") == 3);
  CHECK(edit_distance("same", "same") == 0);
}

TEST_CASE("the nearest name is near or absent") {
  const std::vector<std::string> names{"train.batch", "train.steps", "optim.lr"};
  CHECK(nearest_name("train.bacth", names) == "train.batch");
  CHECK(nearest_name("lr", names) == "optim.lr");
  CHECK(nearest_name("batch", names) == "train.batch");
  CHECK(nearest_name("zzz", names) == std::nullopt);
  CHECK(nearest_name("anything", {}) == std::nullopt);
  CHECK(did_you_mean("optim.lt", names) == "; did you mean 'optim.lr'?");
  CHECK(did_you_mean("zzz", names).empty());
}

TEST_CASE("later layers win and origins are kept") {
  Config config(keys());
  CHECK(config.real("optim.lr") == 1e-3);
  CHECK(config.origin("optim.lr") == "default");
  config.set("optim.lr", 0.5, "preset demo");
  config.load_toml_text(
      "# dots after a # are no names: .....................\n[train]\nbatch = 32\n[optim]\nlr = 1\nname = "
      "'sgd'\n[model]\nchannels = [4, 2]\nbias = false",
      "f.toml");
  CHECK(config.real("optim.lr") == 1.0);  // an integer where a number is expected is one
  CHECK(config.origin("optim.lr") == "f.toml:5");
  CHECK(config.integer("train.batch") == 32);
  CHECK(config.text("optim.name") == "sgd");
  CHECK(config.integers("model.channels") == std::vector<std::int64_t>{4, 2});
  CHECK_FALSE(config.flag("model.bias"));
  config.set_text(" optim.lr = 2e-2 ", "--set");
  CHECK(config.real("optim.lr") == 0.02);
  CHECK(config.origin("optim.lr") == "--set");
  config.set_text("model.channels=[1, 2,3]", "--set");
  CHECK(config.integers("model.channels") == std::vector<std::int64_t>{1, 2, 3});
  config.set_text("model.channels=7", "--set");
  CHECK(config.integers("model.channels") == std::vector<std::int64_t>{7});
  config.set_text("data.path=", "--set");
  CHECK(config.text("data.path").empty());
  config.set_text("data.path=\"a = b\"", "--set");
  CHECK(config.text("data.path") == "a = b");
}

TEST_CASE("config.toml reads back as equal settings and equal text") {
  Config config(keys());
  config.set_text("optim.lr=0.1", "--set");
  config.set_text("optim.weight_decay=1e-300", "--set");
  config.set_text("train.seed=900719925474099", "--set");
  config.set("data.path", std::string("a \"quoted\" \\ path\twith\nall of it, é"), "--data");
  const std::string text = config.to_toml();
  Config again(keys());
  again.load_toml_text(text, "config.toml");
  CHECK(again.to_toml() == text);
  for (const Key& key : config.keys()) CHECK(again.value(key.name) == config.value(key.name));
  CHECK(text.find("[train]\nbatch = 64\n") == 0);
  CHECK(text.find("lr = 0.1\n") != std::string::npos);
  CHECK(text.find("bias = true\n") != std::string::npos);
  CHECK(to_toml(Value(2.0)) == "2.0");
}

TEST_CASE("what is wrong with a setting is said in one line") {
  CHECK(error_of([](Config& c) { c.set_text("optim.rl=1", "--set"); }) ==
        "--set: unknown key 'optim.rl'; did you mean 'optim.lr'?");
  CHECK(error_of([](Config& c) { c.set_text("optim.lr", "--set"); }) ==
        "--set: 'optim.lr': expected key=value");
  CHECK(error_of([](Config& c) { c.set_text("train.batch=many", "--set"); }) ==
        "--set: train.batch = many: expected an integer from 1 to 1000000");
  CHECK(error_of([](Config& c) { c.set_text("train.batch=1.5", "--set"); }) ==
        "--set: train.batch = 1.5: expected an integer from 1 to 1000000");
  CHECK(error_of([](Config& c) { c.set_text("train.batch=0", "--set"); }) ==
        "--set: train.batch = 0: expected an integer from 1 to 1000000");
  CHECK(error_of([](Config& c) { c.set_text("train.batch=", "--set"); }) ==
        "--set: train.batch = '': expected an integer from 1 to 1000000");
  CHECK(error_of([](Config& c) { c.set_text("optim.lr=nan", "--set"); }) ==
        "--set: optim.lr = nan: expected a number from 0 to 1000");
  CHECK(error_of([](Config& c) { c.set_text("optim.name=adma", "--set"); }) ==
        "--set: optim.name = \"adma\": expected one of adam, adamw, sgd, nesterov, rmsprop; did you mean "
        "'adam'?");
  CHECK(error_of([](Config& c) { c.set_text("model.bias=yes", "--set"); }) ==
        "--set: model.bias = yes: expected true or false");
  CHECK(error_of([](Config& c) { c.set_text("model.channels=8,x", "--set"); }) ==
        "--set: model.channels = 8,x: expected a list of integers from 1 to 64, as [8, 8]");
  CHECK(error_of([](Config& c) { c.set_text("model.channels=8,0", "--set"); }) ==
        "--set: model.channels = [8, 0]: expected a list of integers from 1 to 64, as [8, 8]");
  CHECK(error_of([](Config& c) {
          c.set("train.seed", std::string("one"), "--seed");
        }).find("--seed: train.seed = \"one\": expected an integer from 0") == 0);
}

TEST_CASE("what is wrong with a file names its line, and none of it is taken") {
  const auto load = [](std::string_view text) {
    return error_of([&](Config& c) { c.load_toml_text(text, "f.toml"); });
  };
  CHECK(load("[train]\nbatch = 2\nstep = 7\n") ==
        "f.toml:3: unknown key 'train.step'; did you mean 'train.steps'?");
  CHECK(load("[train]\nbatch = 2\n[optim]\nlr = 'big'\n") ==
        "f.toml:4: optim.lr = \"big\": expected a number from 0 to 1000");
  CHECK(load("[train]\nbatch = 2.0\n") ==
        "f.toml:2: train.batch = 2.0: expected an integer from 1 to 1000000");
  CHECK(load("[train]\nbatch = 1979-05-27\n") ==
        "f.toml:2: train.batch: expected true or false, a number, text or a list of integers");
  CHECK(load("[model]\nchannels = ['a']\n") ==
        "f.toml:2: model.channels: expected true or false, a number, text or a list of integers");
  CHECK(load("[train]\nbatch = \n").find("f.toml:2: ") == 0);
}

TEST_CASE("a configuration file is read from disk") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "f.toml") << "optim.lr = 0.25\n";
  Config config(keys());
  config.load_toml(folder.path() / "f.toml");
  CHECK(config.real("optim.lr") == 0.25);
  CHECK(config.origin("optim.lr") == (folder.path() / "f.toml").string() + ":1");
  CHECK(text_of<IoError>([&] {
          config.load_toml(folder.path() / "none.toml");
        }).find("there is no such file") != std::string::npos);
  CHECK(text_of<IoError>([&] { config.load_toml(folder.path()); }).find("is a folder, expected a file") !=
        std::string::npos);
}

TEST_CASE("keys describe themselves") {
  const std::string text = describe_keys(shared_keys());
  CHECK(text.find("train.batch = 64") != std::string::npos);
  CHECK(text.find("(one of adam, adamw, sgd, nesterov, rmsprop)") != std::string::npos);
  for (const Key& key : shared_keys()) CHECK_MESSAGE(!key.doc.empty(), key.name);
  CHECK(Config(keys()).listing().front() == std::pair<std::string, std::string>("train.batch", "64"));
}

}  // namespace fovea::apps
